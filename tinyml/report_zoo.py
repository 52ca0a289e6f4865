"""The reports of `tinyml zoo` for people."""

from rich.console import Console
from rich.markup import escape

from tinyml.report import facts, table_of
from tinyml.zoo.commands import ZooList, ZooReport


def listed(console: Console, report: ZooList) -> None:
    """A line for each network, then where they come from."""
    table = table_of(
        ("name", "left"),
        ("family", "left"),
        ("input", "left"),
        ("size", "right"),
        ("classes", "right"),
        ("alpha", "right"),
        numbered=False,
    )
    for each in report.models:
        shape, defaults = each.input.partition(", S a")[0], (each.classes, each.alpha)
        texts = ("" if value is None else f"{value:g}" for value in defaults)
        table.add_row(each.name, each.family, escape(shape), str(each.size), *texts)
    console.print(table)
    for each in report.models:
        console.print(f"{each.name:18} {escape(each.source)}", highlight=False, soft_wrap=True)


def made(console: Console, report: ZooReport) -> None:
    """What was written, and how well it does."""
    rows = [
        ("network", f"{report.name}, input {list(report.shape)}"),
        ("parameters", f"{report.parameters:,}"),
        ("written", f"{report.out}, {report.bytes:,} bytes"),
    ]
    if report.trained:
        scores = ((report.accuracy, "accuracy {:.2%}, "), (report.loss, "loss {:.4g}"))
        text = "".join(form.format(value) for value, form in scores if value is not None)
        rows.append(("trained", f"with {report.trained:,} samples"))
        rows.append(("tested", f"in float, with {report.tested:,} others: {text}"))
    facts(console, *rows)
    if report.unsupported:
        console.print(f"[red]not deployable[/red] {escape(report.unsupported)}", highlight=False)
