"""The arena over time: which bytes hold what, and below it how many are live."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from tinyml.memory.plan import Buffer, MemoryPlan, live_bytes
from tinyml.picture.chart import Chart, Frame, Mark, Scale, Text, box, byte_grid, line, text
from tinyml.planning import Plan
from tinyml.schedule.schedule import Segment, SegmentKind

WIDTH = 1000
ARENA = Frame(left=76, top=18, width=WIDTH - 92, height=400)
STRIP = Frame(left=76, top=424, width=WIDTH - 92, height=12)
"""Where segments are told apart, below the arena."""
LIVE = Frame(left=76, top=468, width=WIDTH - 92, height=96)
HEIGHT = 576

SHADES = 3
"""Of each colour, so that buffers that touch differ."""
LEAST_SEGMENT = 4.0
"""Pixels for the shortest segment, as far as there is room."""
LETTER = 6.2
"""Pixels that a letter is wide, about."""
LINE = 11.0
"""Pixels that a line of text is high."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """Ticks to pixels: ticks of a segment are equally wide, segments as the roots of their ticks.

    So one segment of thousands of ticks leaves room for many of one tick. `starts` are a
    memory plan's, `edges` the pixels at which they lie.
    """

    starts: tuple[int, ...]
    edges: tuple[float, ...]

    def __call__(self, tick: int) -> float:
        """The pixel at which `tick` begins."""
        index = min(bisect_right(self.starts, tick), len(self.starts) - 1) - 1
        first, stop = self.starts[index : index + 2]
        return Scale(first, stop, *self.edges[index : index + 2])(tick)


def time_axis(starts: Sequence[int], left: float, width: float) -> TimeAxis:
    """The axis of a plan; `starts` are its segments' and the number of ticks."""
    starts = starts if len(starts) > 1 else (0, *starts)
    weights = [math.sqrt(stop - start) for start, stop in pairwise(starts)]
    least = min(LEAST_SEGMENT, width / (2 * len(weights)))
    free = width - least * len(weights)
    widths = [least + free * weight / sum(weights) for weight in weights]
    return TimeAxis(tuple(starts), tuple(accumulate(widths, initial=left)))


def role(buffer: Buffer, rings: Mapping[str, int]) -> str:
    """What a buffer is for: "ring", "tensor" or "scratch", which are styles as well."""
    if not buffer.tensors:
        return "scratch"
    return "ring" if any(name in rings for name in buffer.tensors) else "tensor"


def arena_chart(plan: Plan) -> Chart:
    """The picture of a plan."""
    memory = plan.memory
    axis = time_axis(memory.starts, ARENA.left, ARENA.width)
    scale = Scale(0, max(memory.arena_bytes, 1), ARENA.bottom, ARENA.top)
    marks, texts = byte_grid(ARENA, scale, 6)
    held = _buffers(plan, axis, scale)
    marks += [mark for mark, _ in held]
    texts += [label for _, label in held if label is not None]
    marks += _segments(plan, axis)
    texts += _segment_numbers(axis)
    marks.append(Mark("limit", line([(ARENA.left, ARENA.top), (ARENA.right, ARENA.top)])))
    size = f"arena {memory.arena_bytes:,} bytes"
    texts.append(text("caption", ARENA.right, ARENA.top - 5, size))
    live_marks, live_texts = _live(memory, axis)
    title = (
        f"The arena of {plan.graph.name} over time: {memory.arena_bytes:,} bytes, "
        f"{len(plan.schedule.segments)} segments"
    )
    return Chart(title, WIDTH, HEIGHT, (*marks, *live_marks), (*texts, *live_texts))


def labels(plan: Plan) -> dict[str, str]:
    """Tensor name -> the number and the operator it comes from, or "input"."""
    found = dict.fromkeys(plan.graph.inputs, "input")
    found |= {state.before: "state" for state in plan.graph.states}
    for index, node in enumerate(plan.graph.nodes):
        found |= {name: f"{index} {node.op.kind.lower()}" for name in node.outputs}
    return found


def _buffers(plan: Plan, axis: TimeAxis, scale: Scale) -> list[tuple[Mark, Text | None]]:
    """Every buffer with its blocks, and a label where there is room for one."""
    memory, rings, named = plan.memory, plan.schedule.ring_rows, labels(plan)
    shades = _shades(plan)
    drawn = []
    for buffer in memory.buffers:
        kind, offset = role(buffer, rings), memory.offsets[buffer.name]
        boxes: list[Box] = [
            (
                axis(block.first),
                scale(offset + block.offset + block.bytes),
                axis(block.last + 1),
                scale(offset + block.offset),
            )
            for block in buffer.blocks
        ]
        path = "".join(dict.fromkeys(box(*each) for each in boxes))
        mark = Mark(f"{kind} shade-{shades[buffer.name]}", path, _title(plan, buffer))
        words = ", ".join(named[name] for name in buffer.tensors) or "scratch"
        drawn.append((mark, _label(kind, words, boxes)))
    return drawn


def _title(plan: Plan, buffer: Buffer) -> str:
    """What a buffer says of itself."""
    offset, rings = plan.memory.offsets[buffer.name], plan.schedule.ring_rows
    named = labels(plan)
    lines = [
        f"{named[name]}: {name}" + (f" ({_rows(rings[name])})" if name in rings else "")
        for name in buffer.tensors
    ]
    if buffer.scratch_of:
        lines.append(f"scratch of {', '.join(buffer.scratch_of)}")
    lines = lines or [buffer.name]
    lines.append(f"{buffer.bytes:,} bytes at {offset:,}, ticks {buffer.first:,}-{buffer.last:,}")
    return "\n".join(lines)


def _rows(count: int) -> str:
    return "a ring of 1 row" if count == 1 else f"a ring of {count} rows"


def _label(kind: str, words: str, boxes: Sequence[Box]) -> Text | None:
    """`words` at the height where the buffer is widest; None where there is no room for them."""
    best_room, best = 0.0, (0.0, 0.0)
    for middle in {(top + bottom) / 2 for _, top, _, bottom in boxes}:
        line_box = (middle - LINE / 2, middle + LINE / 2)
        met = [each for each in boxes if each[1] < line_box[1] and line_box[0] < each[3]]
        left, right = max(each[0] for each in met), min(each[2] for each in met)
        covered = sum(min(each[3], line_box[1]) - max(each[1], line_box[0]) for each in met)
        if covered > LINE - 0.5 and right - left > best_room:
            best_room, best = right - left, (left, middle)
    room = int((best_room - 6) / LETTER)
    if room < min(len(words), 8):
        return None
    shown = words if len(words) <= room else f"{words[: room - 1]}…"
    return text(f"inside on-{kind}", best[0] + 3, best[1] + 3.5, shown)


def _shades(plan: Plan) -> dict[str, int]:
    """A shade per buffer: those of one role that are close in place and time differ, if it goes."""
    memory, rings = plan.memory, plan.schedule.ring_rows
    found: dict[str, int] = {}
    for buffer in memory.buffers:
        used = [0] * SHADES
        for other in memory.buffers:
            if other.name in found and role(other, rings) == role(buffer, rings):
                used[found[other.name]] += _touch(memory, buffer, other)
        found[buffer.name] = used.index(min(used))
    return found


def _touch(memory: MemoryPlan, a: Buffer, b: Buffer) -> bool:
    start, other = memory.offsets[a.name], memory.offsets[b.name]
    in_place = start <= other + b.bytes and other <= start + a.bytes
    return in_place and a.first <= b.last + 1 and b.first <= a.last + 1


def _segments(plan: Plan, axis: TimeAxis) -> list[Mark]:
    """Where segments begin, and a strip that shows their kinds."""
    marks = []
    for index, segment in enumerate(plan.schedule.segments):
        left, right = axis.edges[index], axis.edges[index + 1]
        if index:
            marks.append(Mark("border", line([(left, ARENA.top), (left, STRIP.bottom)])))
        ticks = axis.starts[index + 1] - axis.starts[index]
        title = (
            f"segment {index}: {segment_words(segment)}, {ticks:,} ticks, "
            f"at most {plan.memory.peaks[index]:,} bytes live"
        )
        path = box(left, STRIP.top, right, STRIP.bottom)
        marks.append(Mark(f"kind-{segment.kind.value}", path, title))
    return marks


def segment_words(segment: Segment) -> str:
    """A segment in a few words."""
    count = len(segment.nodes)
    ops = "1 operator" if count == 1 else f"{count} operators"
    if segment.kind is SegmentKind.LAYER:
        return f"layer {segment.nodes[0]}"
    if segment.kind is SegmentKind.STREAM:
        return f"stream of {ops}"
    return f"{ops} in {len(segment.bands)} x {len(segment.strips)} patches"


def _segment_numbers(axis: TimeAxis) -> list[Text]:
    texts = [text("caption", STRIP.left - 6, STRIP.bottom - 2, "segment")]
    free = STRIP.left
    for index, (left, right) in enumerate(pairwise(axis.edges)):
        words, middle = str(index), (left + right) / 2
        half = len(words) * LETTER / 2 + 2
        if middle - half >= free:
            texts.append(text("tick-x", middle, STRIP.bottom + 12, words))
            free = middle + half
    return texts


def _live(memory: MemoryPlan, axis: TimeAxis) -> tuple[list[Mark], list[Text]]:
    """The curve of live bytes, of each column of pixels the most."""
    scale = Scale(0, max(memory.arena_bytes, 1), LIVE.bottom, LIVE.top)
    marks, texts = byte_grid(LIVE, scale, 3)
    live = live_bytes(memory.buffers, memory.starts[-1]).tolist()
    columns: dict[int, int] = {}
    for tick, count in enumerate(live):
        left = int(axis(tick))
        for column in range(left, max(left + 1, int(axis(tick + 1)))):
            columns[column] = max(columns.get(column, 0), count)
    edge = [
        (float(x), scale(count))
        for column, count in sorted(columns.items())
        for x in (column, column + 1)
    ]
    area = [(edge[0][0], LIVE.bottom), *edge, (edge[-1][0], LIVE.bottom)]
    marks.append(Mark("live", line(area) + "Z", f"live bytes, at most {max(live):,}"))
    texts.append(text("caption-left", LIVE.left, LIVE.top - 8, "live bytes"))
    return marks, texts
