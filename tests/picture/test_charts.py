"""The picture of a plan made by hand, so that every rectangle is known."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from tests.memory.nets import Net, in_order
from tinyml.memory.plan import Block, Buffer, MemoryPlan
from tinyml.picture import arena_chart, chart_svg, curve_chart, plan_picture
from tinyml.picture.arena import ARENA, LIVE, STRIP, time_axis
from tinyml.picture.chart import Mark
from tinyml.planning import Plan
from tinyml.results import LayerPlan, ParetoPoint, PlanReport, SegmentPlan
from tinyml.schedule.schedule import Ring, Schedule, Segment, SegmentKind

HOSTILE = "a<b>&\"'"


def _plan() -> Plan:
    """x (64 bytes) dies in two halves while a is written; y streams; then a scratch."""
    net = Net()
    net.input("x", 64)
    net.op(HOSTILE, ["x"], 64)
    net.op("b", [HOSTILE], 32)
    net.op("y", ["b"], 32, scratch=16)
    graph = net.graph("y")
    stream = Segment(SegmentKind.STREAM, (f"n_{HOSTILE}", "n_b"), (Ring(HOSTILE, 2),), (0, 1, 0, 1))
    schedule = Schedule((stream, in_order(graph).segments[2]))
    buffers = (
        Buffer("x", 64, (Block(0, 32, 0, 1), Block(32, 32, 0, 2)), ("x",)),
        Buffer(HOSTILE, 64, (Block(0, 64, 0, 3),), (HOSTILE,)),
        Buffer("b", 32, (Block(0, 16, 1, 4), Block(16, 16, 3, 4)), ("b",)),
        Buffer("y", 32, (Block(0, 32, 4, 4),), ("y",)),
        Buffer("scratch:n_y", 16, (Block(0, 16, 4, 4),), (), ("n_y",)),
    )
    offsets = {"x": 0, HOSTILE: 64, "b": 128, "y": 96, "scratch:n_y": 32}
    memory = MemoryPlan(160, 144, False, buffers, offsets, peaks=(144, 80), starts=(0, 4, 5))
    return Plan(graph, net.calls, schedule, memory)


def _report(plan: Plan) -> PlanReport:
    peaks = plan.memory.peaks
    segments = tuple(
        SegmentPlan(segment.kind.value, segment.nodes, peak, 1000, None)
        for segment, peak in zip(plan.schedule.segments, peaks, strict=True)
    )
    layers: tuple[LayerPlan, ...] = ()
    return PlanReport(
        model=f"models/{HOSTILE}.tflite",
        board="host",
        peak_sram_bytes=max(peaks),
        arena_bytes=plan.memory.arena_bytes,
        lower_bound_bytes=plan.memory.lower_bound,
        optimal=plan.memory.optimal,
        macs=2000,
        model_macs=1600,
        instructions=None,
        feed="whole",
        segments=segments,
        layers=layers,
        pareto=(ParetoPoint(160, 144, 2000, "taken"), ParetoPoint(120, 100, 2400, HOSTILE)),
    )


def _boxes(mark: Mark) -> list[tuple[float, float, float, float]]:
    """Left, top, right, bottom of each rectangle of a path."""
    number = r"(-?[\d.]+)"
    found = re.findall(f"M{number} {number}H{number}V{number}H{number}Z", mark.path)
    assert "".join(f"M{a} {b}H{c}V{d}H{e}Z" for a, b, c, d, e in found) == mark.path
    return [(float(a), float(b), float(c), float(d)) for a, b, c, d, _ in found]


def test_every_block_lies_where_the_plan_says() -> None:
    plan = _plan()
    axis = time_axis(plan.memory.starts, ARENA.left, ARENA.width)
    marks = [m for m in arena_chart(plan).marks if "shade" in m.style]
    assert len(marks) == len(plan.memory.buffers)
    for mark, buffer in zip(marks, plan.memory.buffers, strict=True):
        start = plan.memory.offsets[buffer.name]
        drawn = _boxes(mark)
        assert len(drawn) == len(buffer.blocks)
        for (left, top, right, bottom), block in zip(drawn, buffer.blocks, strict=True):
            assert (left, right) == pytest.approx((axis(block.first), axis(block.last + 1)), abs=1)
            low, high = ((ARENA.bottom - y) * 160 / ARENA.height for y in (bottom, top))
            assert (low, high) == pytest.approx(
                (start + block.offset, start + block.offset + block.bytes), abs=0.5
            )


def test_buffers_are_told_apart_by_role() -> None:
    styles = [m.style.split()[0] for m in arena_chart(_plan()).marks if "shade" in m.style]
    assert styles == ["tensor", "ring", "tensor", "tensor", "scratch"]


def test_touching_buffers_of_one_role_have_different_shades() -> None:
    styles = [m.style for m in arena_chart(_plan()).marks if "shade" in m.style]
    _, _, b, y, _ = styles
    assert b != y and b.split()[0] == y.split()[0] == "tensor"


def test_titles_name_what_is_drawn() -> None:
    titles = [m.title for m in arena_chart(_plan()).marks if m.title]
    assert any("x" in t and "64 bytes at 0, ticks 0-2" in t for t in titles)
    assert any(HOSTILE in t and "a ring of 2 rows" in t for t in titles)
    assert any(t.startswith("scratch of n_y") for t in titles)
    assert any(t.startswith("segment 0: stream of 2 operators, 4 ticks") for t in titles)
    assert any(t == "live bytes, at most 144" for t in titles)


def test_live_bytes_reach_the_peak_and_no_further() -> None:
    (live,) = [m for m in arena_chart(_plan()).marks if m.style == "live"]
    heights = [float(y) for y in re.findall(r"[ML][-\d.]+ ([-\d.]+)", live.path)]
    assert min(heights) == pytest.approx(LIVE.bottom - LIVE.height * 144 / 160, abs=0.1)


def test_time_axis_is_monotonous_and_fills_the_width() -> None:
    starts = (0, 5000, 5001, 5002, 5100)
    axis = time_axis(starts, 10, 500)
    places = [axis(tick) for tick in range(5101)]
    assert places == sorted(places) and places[0] == 10 and places[-1] == pytest.approx(510)
    assert all(b - a >= 4 for a, b in zip(axis.edges, axis.edges[1:], strict=False))
    assert [axis(start) for start in starts] == pytest.approx(list(axis.edges))


def test_more_segments_than_pixels_still_fit() -> None:
    axis = time_axis(tuple(range(3001)), 0, 900)
    assert axis(3000) == pytest.approx(900) and axis(1) > 0


def test_curve_marks_the_plan_that_was_taken() -> None:
    report = _report(_plan())
    chart = curve_chart(report)
    styles = [m.style for m in chart.marks if m.style.startswith("point")]
    assert styles == ["point taken", "point"]
    assert {"1.250x", "1.500x"} <= {t.words for t in chart.texts}
    off = curve_chart(replace(report, arena_bytes=161))
    assert [m.style for m in off.marks if m.style.startswith("point")] == ["point", "point"]


def test_page_stands_alone_and_escapes_names() -> None:
    plan = _plan()
    text = plan_picture(plan, _report(plan))
    assert text.startswith("<!doctype html>")
    for outside in ("http://", "https://", "<script", "<link", "@import", "url("):
        assert outside not in text.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert HOSTILE not in text and "a&lt;b&gt;&amp;&#34;&#39;" in text
    body = text.partition("<body>")[2].partition("</body>")[0]
    root = ElementTree.fromstring(f"<body>{body.replace('&nbsp;', ' ')}</body>")
    shown = "".join(root.itertext())
    for words in ("160 bytes", "ring of 2 rows", "tick 1 of 5, in segment 0: 144 bytes live"):
        assert words in shown, words
    peaks = [row for row in root.iter("tr") if row.get("class") == "peak"]
    assert len(peaks) == 2, "the taken point and the fullest segment"


def test_consumers_at_the_peak_add_up_to_it() -> None:
    plan = _plan()
    text = plan_picture(plan, _report(plan))
    part = text.partition("The largest consumers")[2].partition("</table>")[0]
    sizes = [
        int(row[1].replace(",", ""))
        for row in re.findall(r'<td class="n">([\d,]+)</td><td class="n">([\d,]+)</td>', part)
    ]
    assert sizes == sorted(sizes, reverse=True) and sum(sizes) == 144


def test_chart_alone_is_an_svg_file_with_its_colours() -> None:
    root = ElementTree.fromstring(chart_svg(arena_chart(_plan())))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    style = root.find("{http://www.w3.org/2000/svg}style")
    assert style is not None and "prefers-color-scheme: dark" in (style.text or "")
    assert float(root.get("viewBox", "").split()[3]) > STRIP.bottom


def test_every_style_has_a_rule() -> None:
    plan = _plan()
    text = plan_picture(plan, _report(plan))
    rules = text.partition("<style>")[2].partition("</style>")[0]
    plain = {"caption-left", "on-ring", "on-scratch"}
    for used in set(re.findall(r'<(?:path|text|i) class="([^"]+)"', text)):
        for name in set(used.split()) - plain:
            assert f".{name}" in rules, name
