"""Exact placement: is there one of at most a given height?

Depth-first search over canonical placements. Lower every buffer of a placement
as far as it goes: each then lies at 0 or rests on another. So it is enough to
place buffers in the order of their offsets, each as low as what is placed
allows. At a node of the search, `floor[t]` is the height reached at tick t and
`low[i]` the floor under buffer i. Cuts:

* a buffer goes no lower than the previous one (equal offsets: by index);
* a buffer is not placed where another still fits below it: placing that one
  first gives at least as good a placement;
* at each step, the lowest `low` of the buffers still to come there plus the sum
  of their sizes must stay within the height.

An overlay (a result in place) makes one block of the two buffers, placed as a
whole. As long as it may still be made, the result's size does not count at the
step that it shares with its operand.

The cuts are those of the canonical solutions, dominance and floor inference in
Moffitt, "MiniMalloc: A Lightweight Memory Allocator for Hardware-Accelerated
Machine Learning", ASPLOS 2023; overlays are added here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tinyml.memory.lifetimes import Lifetimes


@dataclass(frozen=True, slots=True)
class Search:
    """What a search found.

    `complete`: the whole tree was searched, so without `offsets` there is no
    placement of that height. `nodes` is what it cost.
    """

    offsets: tuple[int, ...] | None
    complete: bool
    nodes: int


def search(found: Lifetimes, order: Sequence[int], height: int, node_limit: int) -> Search:
    """A placement within `height` bytes, or none, or no answer within `node_limit` nodes.

    A buffer is taken to be live as a whole from its first tick to its last, and a result
    that may overlay an operand to begin at the operand's last tick (`place.rectangular`).
    `order` is a permutation of the buffers; those that could go to the same
    offset are tried in this order, which decides how soon a placement is found.
    """
    problem = _problem(found, order)
    stack = [_children(problem, _root(problem, found.ticks), height)]
    path: list[_State] = []
    nodes = 0
    while stack:
        state = next(stack[-1], None)
        if state is None:
            stack.pop()
            if path:
                path.pop()
            continue
        path.append(state)
        if not state.todo:
            return Search(_offsets(problem, path), True, nodes)
        if nodes == node_limit:
            return Search(None, False, nodes)
        nodes += 1
        stack.append(_children(problem, state, height))
    return Search(None, True, nodes)


@dataclass(frozen=True, slots=True)
class _Problem:
    """The buffers in the order in which they are tried."""

    ids: tuple[int, ...]
    """The position of each in `Lifetimes.buffers`."""
    first: tuple[int, ...]
    last: tuple[int, ...]
    size: tuple[int, ...]
    under: tuple[tuple[int, ...], ...]
    """Per result, the operands that it may overlay."""
    over: tuple[int | None, ...]
    """Per operand, the result that may overlay it."""


def _problem(found: Lifetimes, ids: Sequence[int]) -> _Problem:
    buffers = found.buffers
    place = {index: position for position, index in enumerate(ids)}
    under: list[list[int]] = [[] for _ in ids]
    over: list[int | None] = [None] * len(ids)
    for overlay in found.overlays:
        under[place[overlay.new]].append(place[overlay.old])
        over[place[overlay.old]] = place[overlay.new]
    return _Problem(
        tuple(ids),
        tuple(buffers[i].first for i in ids),
        tuple(buffers[i].last for i in ids),
        tuple(buffers[i].bytes for i in ids),
        tuple(map(tuple, under)),
        tuple(over),
    )


@dataclass(frozen=True, slots=True)
class _State:
    """A node of the search: what is placed, by its effect on the rest."""

    block: tuple[int, ...]
    """Placed last: a buffer and the results that overlay it."""
    offset: int
    """Of that block."""
    todo: tuple[int, ...]
    low: list[int]
    """Per buffer."""
    demand: list[int]
    """Per step, the bytes still to come."""


def _root(p: _Problem, steps: int) -> _State:
    demand = [0] * steps
    for i in range(len(p.size)):
        for step in range(p.first[i] + bool(p.under[i]), p.last[i] + 1):
            demand[step] += p.size[i]
    return _State((-1,), 0, tuple(range(len(p.size))), [0] * len(p.size), demand)


def _children(p: _Problem, state: _State, height: int) -> Iterator[_State]:
    """The states that one more block gives, lowest first; none where the cuts forbid all."""
    low, level = state.low, state.offset
    if not state.todo or not _fits(p, state, height):
        return
    beneath = min(low[i] + p.size[i] for i in state.todo)
    after = (level, state.block[0])
    todo = set(state.todo)
    choices: list[tuple[int, int, tuple[int, ...]]] = []
    for i in state.todo:
        block: tuple[int, ...] = ()
        offset = level
        result: int | None = i
        while result is not None and result in todo:
            block += (result,)
            offset = max(offset, low[result])
            if offset >= beneath or offset + p.size[i] > height:
                break
            if (offset, i) > after and any(low[b] == offset for b in block):
                choices.append((offset, i, block))
            result = p.over[result]
    for offset, _, block in sorted(choices):
        yield _placed(p, state, block, offset)


def _fits(p: _Problem, state: _State, height: int) -> bool:
    """Whether what is still to come at each step fits above the lowest place it can have."""
    floor = [height] * len(state.demand)
    for i in state.todo:
        low = max(state.low[i], state.offset)
        for step in range(p.first[i], p.last[i] + 1):
            if low < floor[step]:
                floor[step] = low
    return all(f + d <= height for f, d in zip(floor, state.demand, strict=True))


def _placed(p: _Problem, state: _State, block: tuple[int, ...], offset: int) -> _State:
    """`state` with `block` put at `offset`."""
    size, first, last = p.size[block[0]], p.first[block[0]], p.last[block[-1]]
    todo = tuple(i for i in state.todo if i not in block)
    low, demand = state.low.copy(), state.demand.copy()
    for i in todo:
        if p.first[i] <= last and first <= p.last[i] and low[i] < offset + size:
            low[i] = offset + size
    waiting = set(state.todo)
    for i in block:
        shared = any(operand in waiting for operand in p.under[i])
        for step in range(p.first[i] + shared, p.last[i] + 1):
            demand[step] -= size
    left = set(todo)
    for i in block:
        # A result that has lost its last chance to overlay an operand needs room beside it.
        result = p.over[i]
        if result in left and not any(operand in left for operand in p.under[result]):
            demand[p.first[result]] += p.size[result]
    return _State(block, offset, todo, low, demand)


def _offsets(p: _Problem, path: Sequence[_State]) -> tuple[int, ...]:
    offsets = [0] * len(p.ids)
    for state in path:
        for i in state.block:
            offsets[p.ids[i]] = state.offset
    return tuple(offsets)
