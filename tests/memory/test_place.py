"""Offsets: against brute force where that is possible, at the bound or proven elsewhere."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.nets import in_order, random_net
from tinyml.memory import plan_memory
from tinyml.memory.check import check_plan
from tinyml.memory.exact import search
from tinyml.memory.lifetimes import Lifetimes, Overlay, merged
from tinyml.memory.place import place
from tinyml.memory.plan import ALIGNMENT, Block, Buffer
from tinyml.resources import runtime_dir

# (size in units of ALIGNMENT, first, last); no placement meets the lower bound.
GAPS = {
    (8, 9): (
        (4, 0, 1), (3, 1, 3), (4, 0, 0), (1, 2, 3), (1, 1, 2), (4, 3, 4), (3, 2, 2), (4, 4, 4),
    ),
    (6, 7): (
        (3, 1, 2), (1, 1, 2), (3, 5, 5), (5, 0, 0), (2, 3, 8), (2, 3, 4), (1, 0, 4), (1, 4, 5),
        (1, 1, 3), (4, 6, 8),
    ),
    (5, 6): (
        (2, 0, 2), (3, 0, 1), (1, 8, 8), (1, 3, 3), (1, 8, 8), (2, 6, 7), (3, 5, 6), (2, 4, 5),
        (2, 8, 8), (1, 3, 4), (1, 2, 3), (3, 7, 7), (2, 2, 4), (1, 8, 8),
    ),
}  # fmt: skip
"""(lower bound, optimum) -> buffers; small instances with a gap are rare."""


def _lifetimes(
    items: tuple[tuple[int, int, int], ...], overlays: tuple[Overlay, ...] = ()
) -> Lifetimes:
    buffers = tuple(
        Buffer(f"b{i}", size * ALIGNMENT, (Block(0, size * ALIGNMENT, first, last),), (f"b{i}",))
        for i, (size, first, last) in enumerate(items)
    )
    ticks = max(last for _, _, last in items) + 1
    return Lifetimes(tuple(range(ticks + 1)), buffers, overlays)


def _fits(found: Lifetimes, height: int) -> bool:
    """Whether any offsets at all keep within `height`: every multiple of ALIGNMENT is tried."""
    buffers = found.buffers
    lives = [(b.bytes, b.first, b.last) for b in buffers]
    overlays = {(o.old, o.new) for o in found.overlays}
    offsets: list[int] = []

    def apart(i: int, j: int) -> bool:
        (size, first, last), (other, begin, end) = lives[i], lives[j]
        if last < begin or end < first:
            return True
        x, y = offsets[i], offsets[j]
        if x == y and ((i, j) in overlays or (j, i) in overlays):
            return True
        return x + size <= y or y + other <= x

    def extend() -> bool:
        i = len(offsets)
        if i == len(buffers):
            return True
        for offset in range(0, height - buffers[i].bytes + 1, ALIGNMENT):
            offsets.append(offset)
            if all(apart(i, j) for j in range(i)) and extend():
                return True
            offsets.pop()
        return False

    return extend()


def _height(found: Lifetimes, offsets: tuple[int, ...]) -> int:
    return max(o + b.bytes for o, b in zip(offsets, found.buffers, strict=True))


def _overlays(rng: Random, items: list[tuple[int, int, int]]) -> tuple[Overlay, ...]:
    """Some results in place: equal sizes, the operand ending where the result begins."""
    found, used = [], set()
    for new, (size, first, _) in enumerate(items):
        for old, (other, begin, end) in enumerate(items[:new]):
            fits = other == size and end == first and begin < end and old not in used
            if fits and rng.random() < 0.7:
                found.append(Overlay(old, new))
                used.add(old)
    return tuple(found)


@st.composite
def instances(draw: st.DrawFn) -> Lifetimes:
    """Up to eight buffers: at random, or an instance with a gap, slightly changed."""
    rng = Random(draw(st.integers(0, 2**32)))
    if rng.random() < 0.5:
        items = list(GAPS[8, 9])
        for i in rng.sample(range(len(items)), rng.randint(0, 2)):
            size, first, last = items[i]
            items[i] = (max(1, size + rng.choice((-1, 0, 1))), first, last)
    else:
        items = []
        for _ in range(rng.randint(1, 8)):
            first = rng.randint(0, 5)
            items.append((rng.randint(1, 4), first, first + rng.choice((0, 1, 1, 2, 4))))
    items.sort(key=lambda item: item[1])
    return _lifetimes(tuple(items), _overlays(rng, items))


@given(instances())
@settings(max_examples=100, derandomize=True, deadline=None)
def test_brute_force_agrees(found: Lifetimes) -> None:
    result = place(found)
    assert result.optimal
    height = _height(found, result.offsets)
    assert result.lower_bound <= height
    assert not _fits(found, height - ALIGNMENT)
    assert _fits(found, height)


@given(instances())
@settings(max_examples=25, derandomize=True, deadline=None)
def test_search_alone_finds_the_optimum_and_proves_it(found: Lifetimes) -> None:
    """Without the greedy placements, which hide most of it."""
    order = Random(len(found.buffers)).sample(range(len(found.buffers)), len(found.buffers))
    height = max(b.bytes for b in found.buffers)
    while not _fits(found, height):
        height += ALIGNMENT
    good = search(found, order, height, 10**6)
    assert good.offsets is not None
    assert _height(found, good.offsets) <= height
    bad = search(found, order, height - ALIGNMENT, 10**6)
    assert bad.offsets is None
    assert bad.complete


@pytest.mark.parametrize("figures", GAPS)
def test_proves_an_optimum_above_the_bound(figures: tuple[int, int]) -> None:
    found = _lifetimes(GAPS[figures])
    result = place(found)
    bound, optimum = (figure * ALIGNMENT for figure in figures)
    assert (result.lower_bound, _height(found, result.offsets)) == (bound, optimum)
    assert result.optimal


@pytest.mark.parametrize("nodes", [0, 1, 3])
@pytest.mark.parametrize("figures", GAPS)
def test_a_search_cut_short_proves_nothing(figures: tuple[int, int], nodes: int) -> None:
    found = _lifetimes(GAPS[figures])
    result = place(found, work_limit=nodes * (len(found.buffers) + found.ticks))
    assert _height(found, result.offsets) > result.lower_bound
    assert not result.optimal


@pytest.mark.parametrize(("figures", "nodes"), [((8, 9), 100), ((6, 7), 300), ((5, 6), 1200)])
def test_the_cuts_keep_the_proof_short(figures: tuple[int, int], nodes: int) -> None:
    """Without any one of them, these proofs take more nodes."""
    found = _lifetimes(GAPS[figures])
    result = search(found, range(len(found.buffers)), figures[0] * ALIGNMENT, 10**6)
    assert result.offsets is None
    assert result.complete
    assert result.nodes <= nodes


def test_leaves_an_overlay_out_where_that_is_smaller() -> None:
    """The first gap, its second buffer cut in two at a step with room for both halves.

    In place, the halves share an offset and the gap remains; side by side, it closes.
    """
    items = (
        (4, 0, 1), (3, 1, 2), (3, 2, 4), (4, 0, 0), (1, 3, 4), (1, 1, 3), (4, 4, 5), (3, 3, 3),
        (4, 5, 5),
    )  # fmt: skip
    found = _lifetimes(items, (Overlay(1, 2),))
    joined, _ = merged(found, found.overlays)
    forced = Lifetimes(found.starts, joined, ())
    assert _height(forced, place(forced).offsets) == 9 * ALIGNMENT
    result = place(found)
    assert _height(found, result.offsets) == 8 * ALIGNMENT
    assert result.offsets[1] != result.offsets[2]


def test_overlays_where_that_is_smaller() -> None:
    items = ((2, 0, 3), (2, 3, 6))
    joined, apart = _lifetimes(items, (Overlay(0, 1),)), _lifetimes(items)
    assert _height(joined, place(joined).offsets) == 2 * ALIGNMENT
    assert _height(apart, place(apart).offsets) == 4 * ALIGNMENT


def test_chooses_the_operand_to_overlay() -> None:
    """Either operand may be overwritten; only one at a time can."""
    found = _lifetimes(((2, 0, 1), (2, 0, 1), (2, 1, 2)), (Overlay(0, 2), Overlay(1, 2)))
    result = place(found)
    assert _height(found, result.offsets) == 4 * ALIGNMENT
    assert result.optimal


def _perfect(rng: Random, steps: int, height: int, count: int) -> Lifetimes:
    """A rectangle of steps x height cut into `count` buffers: the bound can be met."""
    pieces = [(0, steps, 0, height)]
    while len(pieces) < count:
        pieces.sort(key=lambda p: (p[1] - p[0]) * (p[3] - p[2]) * (rng.random() + 0.2))
        a, b, low, high = pieces.pop()
        if b - a > 1 and (high - low == 1 or rng.random() < 0.5):
            cut = rng.randrange(a + 1, b)
            pieces += [(a, cut, low, high), (cut, b, low, high)]
        else:
            cut = rng.randrange(low + 1, high)
            pieces += [(a, b, low, cut), (a, b, cut, high)]
    rng.shuffle(pieces)
    return _lifetimes(tuple((high - low, a, b - 1) for a, b, low, high in pieces))


@pytest.mark.parametrize("seed", range(20))
def test_meets_the_bound_without_a_free_byte(seed: int) -> None:
    found = _perfect(Random(seed), 12, 50, 20)
    result = place(found)
    assert _height(found, result.offsets) == result.lower_bound == 50 * ALIGNMENT


@given(st.integers(0, 2**32))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_random_networks_are_planned_optimally_and_checked(seed: int) -> None:
    rng = Random(seed)
    sizes = [rng.randint(1, 300) for _ in range(8)]
    graph, calls = random_net(rng, rng.randint(1, 30), sizes=sizes, wide=rng.random())
    plan = plan_memory(graph, in_order(graph), calls)
    check_plan(graph, in_order(graph), calls, plan)
    assert plan.optimal
    assert plan == plan_memory(graph, in_order(graph), calls)


def test_alignment_is_the_same_in_c() -> None:
    header = (runtime_dir() / "include" / "tinyml.h").read_text()
    assert f"#define TINYML_ALIGNMENT {ALIGNMENT}\n" in header
