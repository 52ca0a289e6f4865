"""The picture of a training run: accuracy and loss over updates, as an SVG file."""

from collections.abc import Sequence
from dataclasses import dataclass

from tinyml.picture import chart_svg
from tinyml.picture.chart import Chart, Frame, Mark, Scale, Text, dot, line, text

WIDTH, HEIGHT = 720, 420
ACCURACY = Frame(left=64, top=30, width=WIDTH - 88, height=150)
LOSS = Frame(left=64, top=230, width=WIDTH - 88, height=130)
GRID = 4
"""Lines above the axis of each."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Values over updates, and what they are."""

    title: str
    points: Sequence[tuple[int, float]]
    high: float
    """The top of the axis, which begins at 0."""
    unit: str = ""


def picture(title: str, accuracy: Curve, loss: Curve) -> str:
    """Both curves, one above the other, as SVG."""
    marks: list[Mark] = []
    texts: list[Text] = []
    updates = Scale(0, max(accuracy.points[-1][0], 1), ACCURACY.left, ACCURACY.right)
    for frame, curve in ((ACCURACY, accuracy), (LOSS, loss)):
        height = Scale(0, curve.high, frame.bottom, frame.top)
        for step in range(GRID + 1):
            value = curve.high * step / GRID
            y = height(value)
            marks.append(Mark("grid", line([(frame.left, y), (frame.right, y)])))
            texts.append(text("tick-y", frame.left - 6, y + 3.5, f"{value:g}{curve.unit}"))
        texts.append(text("caption-left", frame.left, frame.top - 10, curve.title))
        places = [(updates(at), height(value)) for at, value in curve.points]
        marks.append(Mark("curve", line(places)))
    for at, value in accuracy.points:
        x, y = updates(at), Scale(0, accuracy.high, ACCURACY.bottom, ACCURACY.top)(value)
        marks.append(
            Mark("point", dot(x, y, 3.5), f"{value:.1f}{accuracy.unit} after {at} updates")
        )
        texts.append(text("tick-x", x, LOSS.bottom + 16, str(at)))
    texts.append(text("tick-x", (LOSS.left + LOSS.right) / 2, HEIGHT - 18, "updates on the board"))
    return chart_svg(Chart(title, WIDTH, HEIGHT, tuple(marks), tuple(texts)))
