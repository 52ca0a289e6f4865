"""The trade-off: what memory costs in work."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from tinyml.picture.chart import Chart, Frame, Mark, Scale, byte_grid, dot, line, text
from tinyml.results import ParetoPoint, PlanReport

WIDTH = 1000
HEIGHT = 280
FRAME = Frame(left=76, top=16, width=WIDTH - 110, height=210)


def curve_chart(report: PlanReport) -> Chart:
    """Arena bytes against executed MACs; the plan that was taken is marked."""
    points = sorted(report.pareto, key=lambda point: point.macs)
    taken = taken_point(report)
    high = max((point.arena_bytes for point in points), default=1)
    bytes_scale = Scale(0, high * 1.08, FRAME.bottom, FRAME.top)
    macs_scale = _macs_scale([point.macs for point in points])
    places = [(macs_scale(point.macs), bytes_scale(point.arena_bytes)) for point in points]
    marks, texts = byte_grid(FRAME, bytes_scale, 5)
    marks.append(Mark("curve", line(_stairs(places))))
    last = FRAME.left - 100.0
    for point, (x, y) in zip(points, places, strict=True):
        style = "point taken" if point == taken else "point"
        marks.append(Mark(style, dot(x, y, 5 if point == taken else 3.5), words(report, point)))
        if x - last >= 46:
            texts.append(text("tick-x", x, FRAME.bottom + 16, times(report, point)))
            last = x
    texts.append(text("caption-left", FRAME.left, FRAME.top - 4, "arena bytes"))
    axis = "executed MACs, times the model's own"
    texts.append(text("tick-x", (FRAME.left + FRAME.right) / 2, HEIGHT - 16, axis))
    title = f"Arena bytes against executed MACs of {Path(report.model).stem}: {len(points)} plans"
    return Chart(title, WIDTH, HEIGHT, tuple(marks), tuple(texts))


def taken_point(report: PlanReport) -> ParetoPoint | None:
    """The point of the curve that the plan is; None where a limit led away from the curve."""
    for point in report.pareto:
        if (point.arena_bytes, point.macs) == (report.arena_bytes, report.macs):
            return point
    return None


def times(report: PlanReport, point: ParetoPoint) -> str:
    """Executed MACs as a multiple of the model's own."""
    return f"{point.macs / report.model_macs:.3f}x" if report.model_macs else "-"


def words(report: PlanReport, point: ParetoPoint) -> str:
    """What a point says of itself."""
    return (
        f"{point.arena_bytes:,} bytes, {point.macs:,} MACs ({times(report, point)})\n"
        f"{point.schedule}"
    )


def _macs_scale(macs: Sequence[int]) -> Scale:
    """From the least to the most, with some room; never empty."""
    low, high = min(macs, default=0), max(macs, default=0)
    room = max((high - low) * 0.05, 1.0)
    return Scale(low - room, high + room, FRAME.left, FRAME.right)


def _stairs(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """What is within reach: the memory of a point until there is more work for the next."""
    corners = [corner for (_, y), (x, lower) in pairwise(places) for corner in ((x, y), (x, lower))]
    return [*places[:1], *corners, *([(FRAME.right, places[-1][1])] if places else [])]
