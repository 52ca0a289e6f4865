"""The report of `tinyml evaluate` for people: scores side by side, noise layer by layer."""

from rich.console import Console
from rich.markup import escape

from tinyml.report import facts, table_of
from tinyml.results import EvaluateReport


def evaluation(console: Console, report: EvaluateReport) -> None:
    """Scores side by side, then the noise of each layer."""
    rows = [("int8", report.int8_score, "reference")]
    if report.float_score is not None:
        rows.insert(0, ("float", report.float_score, report.float_model))
    if report.target_score is not None:
        word = "bit-exact" if report.target_score.bit_exact else "DIFFERENT from the reference"
        rows.append((report.target_score.board, report.target_score.score, word))
    goals = ("accuracy", "mean_squared_error", "mean_absolute_error")
    shown = [goal for goal in goals if getattr(report.int8_score, goal) is not None]
    heads = [(goal.replace("_", " "), "right") for goal in shown]
    table = table_of(("model", "left"), *heads, ("samples", "right"), ("", "left"), numbered=False)
    for name, score, note in rows:
        values = [getattr(score, goal) for goal in shown]
        texts = [
            f"{value:.2%}" if goal == "accuracy" else f"{value:.4g}"
            for goal, value in zip(shown, values, strict=True)
        ]
        table.add_row(name, *texts, f"{score.samples:,}", escape(note))
    console.print(table)
    if report.agreement is not None:
        facts(console, ("agreement", f"{report.agreement:.2%} of samples, float and int8"))
    if report.layers:
        _noise(console, report)


def _noise(console: Console, report: EvaluateReport) -> None:
    """Signal to noise per layer; those that hurt are marked and named."""
    table = table_of(("op", "left"), ("layer", "left"), ("SNR dB", "right"), ("alone", "right"))
    for index, layer in enumerate(report.layers):
        mark = " *" if layer.name in report.hurting else "  "
        table.add_row(
            str(index),
            layer.op,
            escape(layer.name),
            _decibels(layer.snr_db),
            _decibels(layer.own_snr_db) + mark,
        )
    console.print(table)
    below = f"{report.hurting_below_db:g} dB"
    console.print(f"SNR: with the error of all layers before; alone: of this one; * under {below}")
    console.print(f"over {report.layer_samples} samples; -: no error, or nothing to compare with")
    if report.hurting:
        facts(console, ("hurting", ", ".join(report.hurting)))
    if report.unmatched:
        facts(console, ("unmatched", ", ".join(report.unmatched)))


def _decibels(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
