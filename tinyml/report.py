"""Reports for people: Rich tables that fit 80 columns, and progress on standard error."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tinyml.errors import ConvertError, TinymlError
from tinyml.results import (
    BoardList,
    BuildReport,
    CodeChoice,
    ConvertReport,
    DoctorReport,
    FlashReport,
    Inspection,
    Mismatch,
    PackageReport,
    PlanReport,
    ProfileReport,
    RunReport,
    TensorInfo,
    VerifyReport,
)

_FEEDS = {"rows": "comes row by row", "pull": "is read in pieces through a callback"}

VALUES_SHOWN = 16
"""Output elements that `tinyml run` prints per tensor; --json has them all."""


def inspection(console: Console, report: Inspection) -> None:
    """What is in a model file."""
    table = table_of(("op", "left"), ("input", "left"), ("output", "left"), ("MACs", "right"))
    for index, op in enumerate(report.ops):
        table.add_row(str(index), op.op, _shapes(op.inputs), _shapes(op.outputs), count_of(op.macs))
    console.print(table)
    for label, tensors in (("input", report.inputs), ("output", report.outputs)):
        for tensor in tensors:
            console.print(f"{label:7} {escape(_tensor(tensor))}", highlight=False)
    facts(
        console,
        ("weights", f"{report.weight_bytes:,} bytes"),
        ("MACs", f"{report.macs:,}"),
    )
    for entry in report.unsupported:
        line = ", ".join(f"{key}: {value}" for key, value in entry.items())
        console.print(f"[red]unsupported[/red] {escape(line)}", highlight=False)


def conversion(console: Console, report: ConvertReport) -> None:
    """What was written, and whether it can be deployed."""
    facts(
        console,
        ("model", f"{report.model} ({report.format})"),
        ("written", f"{report.out}, {report.bytes:,} bytes (float: {report.float_bytes:,})"),
        ("types", f"int8 weights per channel, {report.activations} activations"),
        ("calibrated", f"with {report.samples:,} samples"),
    )
    if report.unsupported:
        console.print(f"[red]not deployable[/red] {escape(report.unsupported)}", highlight=False)


def plan(console: Console, report: PlanReport) -> None:
    """The per-layer table, the picture of the arena and the totals."""
    layers(console, report)
    if report.picture:
        console.print(report.picture, markup=False, highlight=False, soft_wrap=True)
    proof = "the least there is for this order" if report.optimal else "not proven to be the least"
    facts(
        console,
        ("board", report.board),
        ("arena", f"{report.arena_bytes:,} bytes, {proof} (bound {report.lower_bound_bytes:,})"),
        *([("state", f"{report.state_bytes:,} bytes of it")] if report.state_bytes else []),
        *_banks(report),
        *([("input", _FEEDS[report.feed])] if report.feed in _FEEDS else []),
        ("MACs", _macs(report)),
        *(
            [("predicted", f"{report.instructions:,} instructions")]
            if report.instructions is not None
            else []
        ),
    )
    if len(report.pareto) > 1:
        console.print(_pareto(report))
    if report.optimize:
        console.print(_optimize(report.optimize))


def _banks(report: PlanReport) -> Iterator[tuple[str, str]]:
    """The parts of an arena in two regions."""
    total = sum(bank.accessed for bank in report.banks)
    for bank in report.banks:
        share = f"{bank.accessed / total:.0%} of what is read and written"
        yield f"in {bank.region}", f"{bank.bytes:,} bytes, {len(bank.buffers)} buffers, {share}"


def _pareto(report: PlanReport) -> Table:
    """What else there is: less memory for more work, or the reverse."""
    table = table_of(
        ("", "left"),
        ("arena", "right"),
        ("MACs", "right"),
        ("x", "right"),
        ("schedule", "left"),
        numbered=False,
    )
    for point in report.pareto:
        taken = (point.arena_bytes, point.macs) == (report.arena_bytes, report.macs)
        times = f"{point.macs / report.model_macs:.2f}" if report.model_macs else "-"
        table.add_row(
            "*" if taken else "", f"{point.arena_bytes:,}", f"{point.macs:,}", times, point.schedule
        )
    return table


def _optimize(choices: Iterable[CodeChoice]) -> Table:
    """What code made for speed and for size cost."""

    def count(value: int | None) -> str:
        return "unknown" if value is None else f"{value:,}"

    table = table_of(
        ("", "left"),
        ("--optimize", "left"),
        ("code", "right"),
        ("constants", "right"),
        ("instructions", "right"),
        numbered=False,
    )
    for each in choices:
        table.add_row(
            "*" if each.taken else "",
            each.optimize,
            count(each.code_bytes),
            count(each.const_bytes),
            count(each.instructions),
        )
    return table


def layers(console: Console, report: PlanReport) -> None:
    """One line per layer: op, shapes, MACs, live SRAM; the peak is marked.

    Layers that stream rows to each other are one segment: its SRAM stands beside the
    first, and beside each how many rows of its output are held at a time.
    """
    streams = any(layer.ring_rows is not None for layer in report.layers)
    table = table_of(
        ("op", "left"),
        ("input", "left"),
        ("output", "left"),
        *([("held", "right")] if streams else []),
        ("MACs", "right"),
        ("SRAM", "right"),
    )
    last = -1
    for index, layer in enumerate(report.layers):
        mark = " *" if layer.peak_sram_bytes == report.peak_sram_bytes else "  "
        sram = f"{layer.peak_sram_bytes:,}{mark}" if layer.segment != last else f'"{mark}'
        held = "all" if layer.ring_rows is None else _rows(layer.ring_rows)
        table.add_row(
            str(index),
            layer.op,
            _shapes(layer.inputs),
            _shapes(layer.outputs),
            *([held] if streams else []),
            count_of(layer.macs),
            sram,
        )
        last = layer.segment
    console.print(table)
    console.print("SRAM: live bytes of the arena while the layer runs; * is the peak")
    if streams:
        console.print('held: rows of the output that are stored at a time; ": the same segment')


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def build(console: Console, report: BuildReport) -> None:
    """Where the project is and how large."""
    facts(
        console,
        ("project", report.project),
        ("firmware", report.elf),
        ("compiler", report.compiler),
        (
            "flash",
            f"{report.flash_bytes:,} bytes"
            f" ({report.code_bytes:,} code, {report.const_bytes:,} constants)",
        ),
        *(
            [("external", f"{report.more_const_bytes:,} bytes of these constants")]
            if report.more_const_bytes
            else []
        ),
        ("SRAM", f"{report.sram_bytes:,} bytes ({report.arena_bytes:,} of them the arena)"),
        ("stack", f"{report.stack_bytes:,} bytes reserved"),
    )


def verification(console: Console, report: VerifyReport) -> None:
    """The verdict."""
    word = "[bold green]BIT-EXACT[/]" if report.bit_exact else "[bold red]DIFFERENT[/]"
    console.print(f"{word} on {escape(report.board)}", highlight=False)
    facts(
        console,
        ("inputs", f"{report.inputs:,}"),
        ("compared", f"{report.bytes_compared:,} output bytes, one by one"),
        ("", f"{report.op_outputs_compared:,} layer outputs, by checksum"),
        ("mismatches", f"{report.mismatches:,}"),
    )
    if report.accuracy is not None:
        facts(console, ("accuracy", f"{report.accuracy:.2%}, as run on {report.board}"))
    if report.first_mismatch is not None:
        facts(
            console,
            ("difference", f"at most {report.max_abs_diff:g}"),
            ("first", _mismatch(report.first_mismatch)),
        )


def profile(console: Console, report: ProfileReport) -> None:
    """Cost per layer, always with its unit."""
    table = table_of(
        ("op", "left"),
        ("MACs", "right"),
        (report.unit, "right"),
        ("per MAC", "right"),
        ("share", "right"),
    )
    for index, layer in enumerate(report.layers):
        table.add_row(
            str(index),
            layer.op,
            count_of(layer.macs),
            f"{layer.count:,}",
            f"{layer.count / layer.macs:.2f}" if layer.macs else "-",
            f"{layer.count / report.total:.1%}" if report.total else "-",
        )
    console.print(table)
    facts(
        console,
        ("total", f"{report.total:,} {report.unit} per inference on {report.board}"),
        *(
            [("cycles", f"{report.estimated_cycles:,} estimated ({report.cycles_model})")]
            if report.estimated_cycles is not None
            else []
        ),
        ("arena", f"{report.arena_bytes_touched:,} bytes touched of {report.arena_bytes:,}"),
        *(
            (f"in {bank.region}", f"{bank.bytes_touched:,} bytes touched of {bank.bytes:,}")
            for bank in report.banks
        ),
        ("stack", f"{report.stack_bytes_used:,} bytes used"),
    )


def outputs(console: Console, report: RunReport) -> None:
    """The outputs of one inference."""
    for name, values in report.outputs.items():
        shown = " ".join(f"{value:g}" for value in values[:VALUES_SHOWN])
        more = f" ... {len(values):,} in all (--json has them)"
        line = f"{name} {_shape(report.shapes[name])}: {shown}"
        console.print(escape(line + (more if len(values) > VALUES_SHOWN else "")), highlight=False)


def flash(console: Console, report: FlashReport) -> None:
    """What was done, and how to go on; of a dry run nothing but the command."""
    if not report.done:
        print(report.command, file=console.file)
        return
    port = f" --port {report.port}" if report.port else " --port PORT"
    console.print(f"flashed    {escape(report.board)} by {escape(report.tool)}", highlight=False)
    line = f"next       tinyml verify {report.project}{port}"
    console.print(escape(line), highlight=False, soft_wrap=True)


def package(console: Console, report: PackageReport) -> None:
    """Where the package is."""
    line = f"packaged   {report.path} ({report.form}, {report.files} files)"
    console.print(escape(line), highlight=False, soft_wrap=True)


def boards(console: Console, report: BoardList) -> None:
    """All boards."""
    table = table_of(("board", "left"), ("what it is", "left"), ("tests", "left"), numbered=False)
    words = {"run": "run", "compiled": "compile", "data": "read data"}
    for board in report.boards:
        how = words[board.tested] + (f" in {board.emulator}" if board.emulator else "")
        table.add_row(board.name, escape(board.title), escape(how))
    console.print(table)


def doctor(console: Console, report: DoctorReport) -> None:
    """What is there, and how to install what is not."""
    table = table_of(
        ("", "left"), ("tool", "left"), ("version", "left"), ("for", "left"), numbered=False
    )
    for check in report.checks:
        mark = "[green]ok[/]" if check.found else "[red]missing[/]"
        version = _short_version(check.version)
        table.add_row(mark, escape(check.name), escape(version), escape(check.needed_for))
    console.print(table)
    for check in report.checks:
        if not check.found:
            console.print(f"{escape(check.name)}: {escape(check.install)}", highlight=False)


def error(console: Console, problem: TinymlError) -> None:
    """One line for what happened, one for what to try."""
    console.print(f"[bold red]error:[/] {escape(problem.what)}", highlight=False, soft_wrap=True)
    if isinstance(problem, ConvertError):
        for line in problem.log:
            console.print(line, markup=False, highlight=False, soft_wrap=True, style="dim")
    if problem.hint:
        console.print(f"[bold]try:[/] {escape(problem.hint)}", highlight=False, soft_wrap=True)


@contextmanager
def progress(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that `(done, total)` calls move; on a terminal only, and gone at the end."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(what, total=None)

        def update(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield update


@contextmanager
def waiting(console: Console, what: str, *, shown: bool = True) -> Iterator[None]:
    """A spinner for work of unknown length; on a terminal only, and gone at the end."""
    if shown and console.is_terminal:
        with console.status(escape(what)):
            yield
    else:
        yield


def _short_version(text: str) -> str:
    """The number in what a program says of itself: its last word that looks like one."""
    numbers = [word for word in text.split() if re.fullmatch(r"\d+(\.\d+)+", word)]
    return numbers[-1] if numbers else text


def table_of(*columns: tuple[str, str], numbered: bool = True) -> Table:
    """A table with columns of these titles, aligned "left" or "right", behind a number."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    if numbered:
        table.add_column("#", justify="right")
    for name, justify in columns:
        table.add_column(name, justify="right" if justify == "right" else "left")
    return table


def facts(console: Console, *found: tuple[str, str]) -> None:
    """Lines of a label and a value."""
    for label, value in found:
        console.print(f"{label:11}{escape(value)}", highlight=False, soft_wrap=True)


def _shapes(shapes: Sequence[Sequence[int]]) -> str:
    return " ".join(_shape(shape) for shape in shapes)


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def count_of(count: int) -> str:
    """A number, "-" for none."""
    return f"{count:,}" if count else "-"


def _macs(report: PlanReport) -> str:
    if not report.model_macs:
        return f"{report.macs:,}"
    return f"{report.macs:,} ({report.macs / report.model_macs:.2f} x the model's own)"


def _tensor(tensor: TensorInfo) -> str:
    quant = ""
    if tensor.scale is not None and tensor.zero_point is not None:
        sign, offset = "-+"[tensor.zero_point < 0], abs(tensor.zero_point)
        quant = f", real = {tensor.scale:.9g} * (q {sign} {offset})"
    return f"{tensor.name}: {tensor.dtype} {_shape(tensor.shape)}{quant}"


def _mismatch(first: Mismatch) -> str:
    where = f"{first.kind} '{first.op}'" if first.op else "the output"
    return (
        f"input {first.input}, {where}, tensor '{first.tensor}', element {first.index}:"
        f" expected {first.expected:g}, got {first.actual:g}"
    )
