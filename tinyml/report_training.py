"""Reports of training for people; as `report`."""

from rich.console import Console
from rich.markup import escape

from tinyml.report import count_of, facts, table_of
from tinyml.train.target.results import (
    TrainPlanReport,
    TrainProfileReport,
    TrainVerifyReport,
)

_NAME = 44
"""Characters of a name that tables show: converters give long ones."""


def plan(console: Console, report: TrainPlanReport) -> None:
    """The peak of every step, what is saved and what learns, and what else there is."""
    table = table_of(("step", "left"), ("for", "left"), ("MACs", "right"), ("SRAM", "right"))
    peak = max((step.peak_sram_bytes for step in report.steps), default=0)
    for index, step in enumerate(report.steps):
        mark = " *" if step.peak_sram_bytes == peak else "  "
        table.add_row(
            str(index),
            _short(step.name),
            step.phase,
            count_of(step.macs),
            f"{step.peak_sram_bytes:,}{mark}",
        )
    console.print(table)
    for title, sizes in (("saved", report.saved), ("learns", report.learning)):
        lists = table_of((title, "left"), ("bytes", "right"), numbered=False)
        for each in sizes:
            lists.add_row(_short(each.name), f"{each.bytes:,}")
        console.print(lists)
    if report.trade_off:
        others = table_of(
            ("layers", "right"), ("filter", "right"), ("budget", "right"), ("saved", "right"),
            ("backward MACs", "right"), numbered=False,
        )  # fmt: skip
        for other in report.trade_off:
            others.add_row(
                f"last={other.layers}",
                str(other.radius),
                f"{other.sram_bytes:,}",
                f"{other.saved_bytes:,}",
                f"{other.backward_macs:,}",
            )
        console.print(others)
    proof = "the least there is for this order" if report.optimal else "not proven to be the least"
    facts(
        console,
        ("board", report.board),
        ("trains", f"{', '.join(report.trained)} in {report.precision}"),
        ("SRAM", f"{report.sram_bytes:,} bytes: arena, parameters, momentum"),
        ("arena", f"{report.step_arena_bytes:,} bytes in a step, {proof}; "
         f"{report.inference_arena_bytes:,} in inference"),
        ("parameters", f"{report.parameter_bytes:,} bytes"),
        ("momentum", f"{report.state_bytes:,} bytes"),
        ("saved", f"{report.saved_bytes:,} bytes for the backward pass"),
        *((phase, f"{macs:,} MACs") for phase, macs in report.macs.items()),
    )  # fmt: skip


def verification(console: Console, report: TrainVerifyReport) -> None:
    """The verdict."""
    word = "[bold green]BIT-EXACT[/]" if report.bit_exact else "[bold red]DIFFERENT[/]"
    console.print(f"{word} training on {escape(report.board)}", highlight=False)
    facts(
        console,
        ("steps", f"{report.steps:,}"),
        ("compared", f"{report.parameter_bytes:,} bytes of parameters and momentum, one by one"),
        ("", f"{report.buffers_compared:,} results of calls, by checksum"),
        ("changed", f"{report.parameters_changed:,} parameters"),
        ("loss", f"{report.first_loss:.4f} at first, {report.last_loss:.4f} at last"),
        ("arena", f"{report.arena_bytes_touched:,} bytes touched of {report.arena_bytes:,}"),
        ("stack", f"{report.stack_bytes_used:,} bytes used"),
    )
    if report.first_mismatch is not None:
        first = report.first_mismatch
        facts(console, ("first", f"sample {first.sample}, {first.step}, '{first.what}'"))


def profile(console: Console, report: TrainProfileReport) -> None:
    """Cost per call, always with its unit."""
    table = table_of(
        ("step", "left"), ("for", "left"), ("MACs", "right"), (report.unit, "right"),
        ("share", "right"),
    )  # fmt: skip
    for index, step in enumerate(report.steps):
        table.add_row(
            str(index),
            _short(step.name),
            step.phase,
            count_of(step.macs),
            f"{step.count:,}",
            f"{step.count / report.total:.1%}" if report.total else "-",
        )
    console.print(table)
    facts(
        console,
        ("total", f"{report.total:,} {report.unit} per training step on {report.board}"),
        *((phase, f"{count:,} {report.unit}") for phase, count in report.phases.items()),
        ("arena", f"{report.arena_bytes_touched:,} bytes touched of {report.arena_bytes:,}"),
        ("stack", f"{report.stack_bytes_used:,} bytes used"),
    )


def _short(name: str) -> str:
    """The first path of a name."""
    first = name.split(";")[0]
    return escape(first if len(first) <= _NAME else f"{first[: _NAME - 3]}...")
