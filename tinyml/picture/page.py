"""One page about one plan: its charts, and the tables beside them, as data for a template."""

from dataclasses import dataclass

from tinyml.memory.plan import FEED_STATE, Buffer, MemoryPlan, live_bytes
from tinyml.picture.arena import arena_chart, labels, role, segment_words
from tinyml.picture.chart import Chart
from tinyml.picture.curve import curve_chart, taken_point, times
from tinyml.picture.tiles import tiles_chart
from tinyml.planning import Plan
from tinyml.results import PlanReport
from tinyml.schedule.schedule import Segment

LARGEST = 16
"""Buffers that are listed at the peak."""


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A segment as the table has it; `style` is its kind's, `share` its part of the arena."""

    number: int
    style: str
    words: str
    operators: str
    ticks: str
    macs: str
    peak: str
    share: str
    at_peak: bool


@dataclass(frozen=True, slots=True)
class ConsumerRow:
    """A buffer that is live at the peak; `style` is its role's."""

    style: str
    role: str
    names: str
    where: str
    bytes: str
    share: str


@dataclass(frozen=True, slots=True)
class PointRow:
    """A plan of the trade-off."""

    bytes: str
    macs: str
    times: str
    schedule: str
    taken: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that is printed."""

    title: str
    facts: tuple[tuple[str, str], ...]
    arena: Chart
    curve: Chart
    tiles: tuple[Chart, ...]
    """Of each segment that runs in patches."""
    segments: tuple[SegmentRow, ...]
    peak: str
    """When the arena is fullest, in words."""
    consumers: tuple[ConsumerRow, ...]
    more: str
    """What the table of consumers leaves out; "" for nothing."""
    points: tuple[PointRow, ...]


def plan_page(plan: Plan, report: PlanReport) -> Page:
    """The page of a plan and what is reported of it."""
    memory = plan.memory
    live = live_bytes(memory.buffers, memory.starts[-1]).tolist()
    tick = live.index(max(live))
    consumers, more = _consumers(plan, tick)
    return Page(
        title=f"{plan.graph.name} on {report.board}",
        facts=_facts(report),
        arena=arena_chart(plan),
        curve=curve_chart(report),
        tiles=tuple(
            tiles_chart(plan, index)
            for index, segment in enumerate(plan.schedule.segments)
            if segment.bands
        ),
        segments=_segments(plan, report),
        peak=f"tick {tick:,} of {len(live):,}, in segment {memory.segment_at(tick)}: "
        f"{live[tick]:,} bytes live",
        consumers=consumers,
        more=more,
        points=_points(report),
    )


def _facts(report: PlanReport) -> tuple[tuple[str, str], ...]:
    bound = f"no plan for this schedule needs less than {report.lower_bound_bytes:,}"
    proof = "the least for this schedule, proven" if report.optimal else bound
    factor = f" ({report.macs / report.model_macs:.3f}x)" if report.model_macs else ""
    feeds = {
        "whole": "the whole input lies in the arena",
        "rows": "comes row by row, each once",
        "pull": "read in pieces from slower memory",
    }
    return (
        ("arena", f"{report.arena_bytes:,} bytes; {proof}"),
        ("executed MACs", f"{report.macs:,}{factor} of the model's {report.model_macs:,}"),
        ("input", feeds[report.feed]),
        ("model", report.model),
    )


def _segments(plan: Plan, report: PlanReport) -> tuple[SegmentRow, ...]:
    memory = plan.memory
    numbers = {node.name: index for index, node in enumerate(plan.graph.nodes)}
    kinds = {node.name: node.op.kind.lower() for node in plan.graph.nodes}
    return tuple(
        SegmentRow(
            number=index,
            style=f"kind-{segment.kind.value}",
            words=segment_words(segment),
            operators=_operators(segment, numbers, kinds),
            ticks=f"{memory.starts[index + 1] - memory.starts[index]:,}",
            macs=f"{reported.macs:,}",
            peak=f"{reported.peak_sram_bytes:,}",
            share=_share(reported.peak_sram_bytes, memory),
            at_peak=reported.peak_sram_bytes == report.peak_sram_bytes,
        )
        for index, (segment, reported) in enumerate(
            zip(plan.schedule.segments, report.segments, strict=True)
        )
    )


def _operators(segment: Segment, numbers: dict[str, int], kinds: dict[str, str]) -> str:
    return ", ".join(f"{numbers[name]} {kinds[name]}" for name in segment.nodes)


def _consumers(plan: Plan, tick: int) -> tuple[tuple[ConsumerRow, ...], str]:
    """The largest buffers at `tick`, and what is left out."""
    memory, rings, named = plan.memory, plan.schedule.ring_rows, labels(plan)
    held = [(_live_at(buffer, tick), buffer) for buffer in memory.buffers]
    found = sorted(((size, buffer) for size, buffer in held if size), key=lambda each: -each[0])
    rows = tuple(
        ConsumerRow(
            style=role(buffer, rings),
            role=_role_words(buffer, rings),
            names=_names(buffer, named),
            where=f"{memory.offsets[buffer.name]:,}",
            bytes=f"{size:,}",
            share=_share(size, memory),
        )
        for size, buffer in found[:LARGEST]
    )
    rest = found[LARGEST:]
    left = sum(size for size, _ in rest)
    return rows, f"and {len(rest)} more with {left:,} bytes in all" if rest else ""


def _names(buffer: Buffer, named: dict[str, str]) -> str:
    if buffer.name == FEED_STATE:
        return "how far each operator is when a row comes"
    return ", ".join(named[name] for name in buffer.tensors) or ", ".join(buffer.scratch_of)


def _live_at(buffer: Buffer, tick: int) -> int:
    return sum(block.bytes for block in buffer.blocks if block.first <= tick <= block.last)


def _role_words(buffer: Buffer, rings: dict[str, int]) -> str:
    held = [rings[name] for name in buffer.tensors if name in rings]
    if held:
        return f"ring of {held[0]} row" + ("s" if held[0] != 1 else "")
    return "whole" if buffer.tensors else "scratch"


def _points(report: PlanReport) -> tuple[PointRow, ...]:
    taken = taken_point(report)
    return tuple(
        PointRow(
            bytes=f"{point.arena_bytes:,}",
            macs=f"{point.macs:,}",
            times=times(report, point),
            schedule=point.schedule,
            taken=point == taken,
        )
        for point in sorted(report.pareto, key=lambda point: point.macs)
    )


def _share(size: int, memory: MemoryPlan) -> str:
    """A part of the arena, in per cent, for a bar."""
    return f"{100 * size / max(memory.arena_bytes, 1):.1f}"
