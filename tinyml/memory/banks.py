"""An arena in two stretches of memory: what is used most goes to the fast one.

Buffers take turns, those with the most accessed bytes per stored byte first: each goes to
the fast bank if there is a gap for it, and to the other if not. Then each bank is packed by
itself, as any arena is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tinyml.memory.lifetimes import Lifetimes
from tinyml.memory.place import place
from tinyml.memory.plan import ALIGNMENT, Buffer
from tinyml.memory.stairs import Problem, height, problems


@dataclass(frozen=True, slots=True)
class Banked:
    """One offset per buffer of the `Lifetimes`; from `split` on they are in the second bank."""

    offsets: tuple[int, ...]
    split: int


_Key = Callable[[Buffer], tuple[Fraction | int, ...]]

_ORDERS: tuple[_Key, ...] = (
    lambda b: (-Fraction(b.accessed, max(b.bytes, 1)), b.bytes),
    lambda b: (-b.bytes, -b.accessed),
)
"""The hottest first. Where that overfills the second bank: the largest first, which fills the
first one best."""


def place_in_banks(found: Lifetimes, rooms: tuple[int, int]) -> Banked:
    """Offsets for buffers of which the first bank takes `rooms[0]` bytes at most.

    The second bank gets the rest, which is more than `rooms[1]` only if no order of turns
    avoids that. Results are in place wherever they may be.
    """
    problem = next(problems(found))
    tried: list[tuple[int, int, tuple[int, ...], int]] = []
    for key in _ORDERS:
        offsets, split = _in_turns(problem, key, rooms[0])
        over = height(problem.buffers, offsets) - split - rooms[1]
        tried.append((max(over, 0), len(tried), offsets, split))
        if over <= 0:
            break
    _, _, offsets, split = min(tried)
    return Banked(tuple(offsets[i] for i in problem.home), split)


def _in_turns(problem: Problem, key: _Key, room: int) -> tuple[tuple[int, ...], int]:
    """The offsets of the problem's buffers, and where the second bank begins."""
    buffers = problem.buffers
    room -= room % ALIGNMENT
    turns = sorted(range(len(buffers)), key=lambda i: (key(buffers[i]), buffers[i].first, i))
    first = [-1] * len(buffers)
    waiting = turns
    while True:
        for i in waiting:
            offset = problem.lowest(i, first)
            if offset + buffers[i].bytes <= room:
                first[i] = offset
        slow = [i for i in waiting if first[i] < 0]
        if len(slow) == len(waiting):
            break
        waiting = slow
        # Packed better, it may have gaps for more.
        for i, offset in _packed(problem, [i for i in turns if first[i] >= 0], first).items():
            first[i] = offset
    split = max((first[i] + buffers[i].bytes for i in turns if first[i] >= 0), default=0)
    above = _packed(problem, slow, problem.pack(slow, best_fit=False).offsets)
    return tuple(split + above[i] if i in above else first[i] for i in range(len(buffers))), split


def _packed(problem: Problem, chosen: Sequence[int], known: Sequence[int]) -> dict[int, int]:
    """Offsets of the chosen buffers, which `known` are, too, unless others are lower."""
    buffers = tuple(problem.buffers[i] for i in chosen)
    offsets: Sequence[int] = [known[i] for i in chosen]
    if buffers:
        starts = tuple(range(problem.ticks + 1))
        packed = place(Lifetimes(starts, buffers, ())).offsets
        offsets = min(offsets, packed, key=lambda each: height(buffers, each))
    return dict(zip(chosen, offsets, strict=True))
