"""A picture of the arena for a terminal: one line a segment, addresses from left to right."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from tinyml.ir.graph import Graph
from tinyml.memory.plan import Block, Buffer, MemoryPlan, live_bytes
from tinyml.schedule.schedule import Schedule, Segment, SegmentKind

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SCRATCH = "#"
_FREE = "."
_NAME = 20
"""Columns for the op."""


def draw(graph: Graph, schedule: Schedule, plan: MemoryPlan, *, width: int = 96) -> str:
    """The arena in each segment, then what the letters of the fullest one stand for.

    A line shows the tick of its segment at which the most bytes are live.
    A letter is a buffer (whole tensors or a ring of rows), `#` a scratch, `.` free;
    each column stands for the same number of bytes and shows the buffer that holds
    most of them. `<` marks the fullest segments. No line is longer than `width` columns
    (at least 60).
    """
    digits = len(str(max(plan.arena_bytes, 1)))
    bar = max(width, 60) - (5 + _NAME + 1 + digits + 2 + 2 + 2)
    scale = max(-(-plan.arena_bytes // bar), 1)
    cells = -(-plan.arena_bytes // scale)
    peak = max(plan.peaks)
    letters = _letters(plan.buffers)
    kind_of = {node.name: node.op.kind.lower() for node in graph.nodes}
    rings = schedule.ring_rows

    lines = [
        f"arena {plan.arena_bytes} bytes, {_verdict(plan)}; column {scale} bytes",
        *([] if plan.split is None else [f"from {plan.split} on in the second memory"]),
        f"{'step':>4} {'op':<{_NAME}} {'bytes':>{digits}}  |{'0':<{cells}}|",
    ]
    ticks = _fullest_ticks(plan)
    for step, live in enumerate(plan.peaks):
        label = _label(schedule.segments[step], kind_of) if schedule.segments else ""
        row = _row(plan, letters, ticks[step], cells, scale)
        mark = " <" if live == peak else ""
        lines.append(f"{step:>4} {_clip(label, _NAME):<{_NAME}} {live:>{digits}}  |{row}|{mark}")

    fullest = plan.peaks.index(peak)
    lines.append(f"fullest at step {fullest}, {peak} bytes:")
    shown = dict.fromkeys(buffer for buffer, _ in _live(plan, ticks[fullest]))
    for buffer in sorted(shown, key=lambda b: plan.offsets[b.name]):
        start = plan.offsets[buffer.name]
        names = [
            f"{name} ({_count(rings[name], 'row')})" if name in rings else name
            for name in buffer.tensors
        ]
        text = (
            f"  {letters[buffer.name]} {start:>{digits}} .. {start + buffer.bytes:<{digits}}"
            f" {buffer.bytes:>{digits}} bytes  {', '.join(names) or buffer.name}"
        )
        lines.append(_clip(text, max(width, 60)))
    return "\n".join(lines) + "\n"


def _label(segment: Segment, kind_of: Mapping[str, str]) -> str:
    if segment.kind is SegmentKind.STREAM:
        return f"stream {_count(len(segment.nodes), 'op')}"
    return "+".join(kind_of[name] for name in segment.nodes)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _verdict(plan: MemoryPlan) -> str:
    if plan.arena_bytes == plan.lower_bound:
        return "the lower bound"
    gap = f"lower bound {plan.lower_bound}"
    return f"proven least ({gap})" if plan.optimal else gap


def _clip(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 2] + ".."


def _letters(buffers: Sequence[Buffer]) -> dict[str, str]:
    """A letter per buffer, in turn; buffers that are live together differ while letters last."""
    found: dict[str, str] = {}
    turn = 0
    for buffer in buffers:
        if not buffer.tensors:
            found[buffer.name] = _SCRATCH
            continue
        together = {found[b.name] for b in buffers if b.name in found and _meet(b, buffer)}
        choices = [_LETTERS[(turn + i) % len(_LETTERS)] for i in range(len(_LETTERS))]
        letter = next((c for c in choices if c not in together), choices[0])
        turn = _LETTERS.index(letter) + 1
        found[buffer.name] = letter
    return found


def _meet(a: Buffer, b: Buffer) -> bool:
    return a.first <= b.last and b.first <= a.last


def _fullest_ticks(plan: MemoryPlan) -> list[int]:
    """Per segment, a tick at which the most bytes are live."""
    live = live_bytes(plan.buffers, plan.starts[-1])
    edges = plan.starts if len(plan.starts) > 1 else (0, *plan.starts)
    return [start + int(live[start:stop].argmax()) for start, stop in pairwise(edges)]


def _live(plan: MemoryPlan, tick: int) -> Iterator[tuple[Buffer, Block]]:
    for buffer in plan.buffers:
        for block in buffer.blocks:
            if block.first <= tick <= block.last:
                yield buffer, block


def _row(plan: MemoryPlan, letters: dict[str, str], tick: int, cells: int, scale: int) -> str:
    """The arena at `tick`: per cell, the buffer of which a block has most of its bytes."""
    row = [_FREE] * cells
    most = [0] * cells
    for buffer, block in _live(plan, tick):
        start = plan.offsets[buffer.name] + block.offset
        stop = start + block.bytes
        for cell in range(start // scale, -(-stop // scale)):
            part = min(stop, (cell + 1) * scale) - max(start, cell * scale)
            if part > most[cell]:
                row[cell], most[cell] = letters[buffer.name], part
    return "".join(row)
