"""Stream segments: what lives when, on networks made by hand, and every damage that is found."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tests.memory.execute import works
from tests.memory.streams import Maps, stream
from tests.memory.test_check import retop
from tinyml.errors import PlanError
from tinyml.kernels.call import KernelCall, RowLoop
from tinyml.memory import plan_memory
from tinyml.memory.check import check_plan
from tinyml.memory.draw import draw
from tinyml.memory.plan import Block, MemoryPlan
from tinyml.schedule.schedule import Ring, Schedule, Segment, SegmentKind


class Case:
    """A graph, a schedule with streams, and its plan."""

    def __init__(self, net: Maps, outputs: Sequence[str], *runs: Sequence[str]) -> None:
        """`runs` are the segments, by outputs; those of one node are layers."""
        self.graph = net.graph(*outputs)
        self.calls: dict[str, KernelCall] = net.calls
        self.schedule = Schedule(
            tuple(
                stream(self.graph, self.calls, [f"n_{t}" for t in run])
                if len(run) > 1
                else Segment(SegmentKind.LAYER, (f"n_{run[0]}",))
                for run in runs
            )
        )
        self.plan = plan_memory(self.graph, self.schedule, self.calls)
        self.check()

    def check(self, plan: MemoryPlan | None = None, schedule: Schedule | None = None) -> None:
        check_plan(self.graph, schedule or self.schedule, self.calls, plan or self.plan)

    def rings(self) -> dict[str, int]:
        return self.schedule.ring_rows

    def with_segment(self, at: int = 0, **changes: object) -> Schedule:
        segments = list(self.schedule.segments)
        segments[at] = replace(segments[at], **changes)
        return Schedule(tuple(segments))

    def check_schedule(self, schedule: Schedule) -> None:
        """`schedule` with a plan of its own: only the schedule may be wrong."""
        self.check(plan_memory(self.graph, schedule, self.calls), schedule)

    def at(self, name: str) -> int:
        """Where a tensor or the scratch of a node lies."""
        tensors = {t for b in self.plan.buffers for t in b.tensors}
        return self.plan.offset_of(name) if name in tensors else self.plan.scratch_offset(name)

    def spread(self) -> "Case":
        """Every buffer beside all others, so that one can be moved onto another alone."""
        offsets, top = {}, 0
        for buffer in self.plan.buffers:
            offsets[buffer.name] = top
            top += buffer.bytes
        self.plan = retop(replace(self.plan, offsets=offsets))
        self.check()
        return self

    def moved(self, what: str, offset: int) -> MemoryPlan:
        """The buffer of a tensor or of a node's scratch at another offset."""
        buffer = next(b for b in self.plan.buffers if what in (*b.tensors, *b.scratch_of))
        return retop(replace(self.plan, offsets={**self.plan.offsets, buffer.name: offset}))


def _chain() -> Case:
    """Strides, padding, dilation and scratches; 30 rows down to 1."""
    net = Maps()
    net.map("x", 30, 20)
    net.conv("a", "x", 24, pad=1, scratch=30)
    net.conv("b", "a", 16, taps=5, stride=2, pad=2, scratch=90)
    net.conv("c", "b", 16, taps=3, dilation=2, pad=2)
    net.mean("d", "c", 10)
    net.conv("y", "d", 5, taps=1, scratch=7)
    return Case(net, ["y"], "abcdy")


def test_chain() -> None:
    case = _chain()
    assert case.rings() == {"a": 5, "b": 5, "c": 1, "d": 1}
    (segment,) = case.schedule.segments
    ticks = {
        tensor: [t for t, entry in enumerate(segment.program) if entry == at]
        for at, tensor in enumerate("abcdy")
    }
    first = {tensor: when[0] for tensor, when in ticks.items()}
    last = {tensor: when[-1] for tensor, when in ticks.items()}
    lives = {b.tensors or b.scratch_of: (b.bytes, b.first, b.last) for b in case.plan.buffers}
    assert lives == {
        ("x",): (600, 0, last["a"]),
        ("a",): (5 * 24, first["a"], last["b"]),
        ("b",): (5 * 16, first["b"], last["c"]),
        ("c",): (16, first["c"], last["d"]),
        ("d",): (16, last["d"], first["y"]),
        ("y",): (8, first["y"], last["y"]),
        ("n_a", "n_b", "n_y"): (96, 0, last["y"]),
        ("n_d",): (40, first["d"], last["d"]),
    }
    x, scratch, sums = (
        next(b for b in case.plan.buffers if b.name == name).blocks
        for name in ("x", "scratch:n_a and 2 more", "scratch:n_d")
    )
    # Row 0, 20 bytes, is last read for row 1 of a; row 1 shares 4 of 8 bytes with it.
    assert x[:2] == (Block(0, 16, 0, ticks["a"][1]), Block(16, 24, 0, ticks["a"][2]))
    # 8 bytes are for y, too, 32 for a; the rest is for b alone.
    assert scratch == (
        Block(0, 8, 0, last["y"]),
        Block(8, 24, 0, last["b"]),
        Block(32, 64, first["b"], last["b"]),
    )
    assert sums == (Block(0, 40, first["d"], last["d"]),)
    assert case.plan.starts == (0, len(segment.program))
    assert case.plan.peaks == (case.plan.lower_bound,)
    assert case.plan.arena_bytes < sum(size for size, _, _ in lives.values())
    assert case.plan.scratch_offset("n_a") == case.plan.scratch_offset("n_y")
    with pytest.raises(KeyError):
        case.plan.scratch_offset("n_c")


def _residual() -> Case:
    """A segment between layers; a branch inside it, another past it, two outputs whole."""
    net = Maps()
    net.map("x", 12, 16)
    net.merge("early", ["x"], 16)
    net.conv("a", "early", 32, taps=1)
    net.conv("b", "a", 32, pad=1)
    net.conv("c", "b", 16, taps=1)
    net.merge("sum", ["early", "c"], 16, in_place=(0, 1))
    net.conv("half", "sum", 8, stride=2, pad=1)
    net.merge("late", ["early", "sum"], 16)
    net.op("y", ["half"], 10)
    return Case(net, ["y", "late"], ["early"], ["a", "b", "c", "sum", "half"], ["late"], ["y"])


def test_residual() -> None:
    case = _residual()
    assert case.rings() == {"a": 3, "b": 1, "c": 1}
    lives = {b.tensors: (b.bytes, b.first, b.last) for b in case.plan.buffers}
    layer, start, late, y, end = case.plan.starts
    assert (layer, start, y - late, end - y) == (0, 12, 12, 1)
    assert lives[("early",)] == (192, 0, y - 1)
    assert lives[("sum",)] == (192, start + 4, y - 1)
    assert lives[("half",)] == (48, start + 9, y)
    assert lives[("late",)] == (192, late, y)
    assert lives[("a",)] == (96, start, late - 4)
    # As b's last row but one is computed: 10 rows of sum are there, and 5 of half.
    assert case.plan.peaks[1] == 192 + 160 + 40 + 96 + 32 + 16
    early = next(b for b in case.plan.buffers if b.name == "early")
    assert early.blocks == tuple(Block(16 * r, 16, r, late + r) for r in range(12))


def _branches() -> Case:
    """A concatenation of branches that lag differently, a squeeze and a scale by one row."""
    net = Maps()
    net.map("x", 10, 8)
    net.conv("a", "x", 8, taps=1, scratch=8)
    net.conv("b", "a", 8, pad=1)
    net.conv("c", "b", 8, taps=5, pad=2, scratch=40)
    net.merge("cat", ["a", "b", "c"], 24)
    net.mean("mean", "cat", 24)
    net.conv("gate", "mean", 24, taps=1)
    net.merge("scaled", ["cat", "gate"], 24, in_place=(0,))
    net.pick("twice", "scaled", [(y // 2, min(y // 2 + 1, 9)) for y in range(20)])
    return Case(net, ["twice"], ["a", "b", "c", "cat", "mean", "gate", "scaled", "twice"])


def test_branches() -> None:
    case = _branches()
    rings = case.rings()
    assert rings["a"] > 3  # the longest branch lags
    assert rings["cat"] == 10  # a ring that holds every row
    assert rings["mean"] == rings["gate"] == 1
    assert rings["scaled"] == 2


def test_in_place_across_a_stream_segment() -> None:
    """A layer after a stream may overwrite what the stream has written."""
    net = Maps()
    net.map("x", 8, 8)
    net.conv("a", "x", 8, pad=1)
    net.conv("b", "a", 8, pad=1)
    net.merge("y", ["b"], 8, in_place=(0,))
    case = Case(net, ["y"], "ab", "y")
    assert case.plan.offset_of("y") == case.plan.offset_of("b")
    net.alias("view", "y")
    Case(net, ["view"], "ab", "y", ["view"])


def test_in_place_row_by_row_where_the_kernel_allows() -> None:
    """The checker needs no rule against it: a row may overlay the very row it is made from."""
    net = Maps()
    net.map("x", 8, 8)
    net.conv("a", "x", 8, pad=1)
    net.merge("b", ["a"], 8, in_place=(0,))
    net.mean("y", "b", 8)
    case = Case(net, ["y"], "aby").spread()
    case.check(case.moved("b", case.plan.offset_of("a")))
    case.calls["n_b"] = replace(case.calls["n_b"], in_place=())
    with pytest.raises(PlanError, match=r"'n_b' at row 0: output 'b' overwrites input 'a'"):
        case.check(case.moved("b", case.plan.offset_of("a")))


CASES = [_chain, _residual, _branches]


@pytest.mark.parametrize("make", CASES)
def test_a_ring_one_row_too_small(make: Callable[[], Case]) -> None:
    case = make()
    for at, segment in enumerate(case.schedule.segments):
        for ring in segment.rings:
            small = replace(ring, rows=ring.rows - 1)
            rings = tuple(small if r is ring else r for r in segment.rings)
            message = rf"at row \d+ reads row \d+ of '{ring.tensor}', but byte \d+"
            with pytest.raises(PlanError, match=message if small.rows else "holds 0 of the"):
                case.check_schedule(case.with_segment(at, rings=rings))


@pytest.mark.parametrize("make", CASES)
def test_a_program_with_an_entry_dropped_or_repeated_or_misdirected(
    make: Callable[[], Case],
) -> None:
    case = make()
    for at, segment in enumerate(case.schedule.segments):
        program, count = segment.program, len(segment.nodes)
        for i, entry in enumerate(program):
            for wrong in (
                (*program[:i], *program[i + 1 :]),
                (*program[:i], entry, *program[i:]),
                (*program[:i], (entry + 1) % count, *program[i + 1 :]),
            ):
                with pytest.raises(PlanError, match=r"'n_\w+' takes \d+ of its \d+ steps"):
                    case.check_schedule(case.with_segment(at, program=wrong))
    for wrong_entry in (-2, 99):
        with pytest.raises(PlanError, match="runs a node that it has not"):
            at = next(i for i, s in enumerate(case.schedule.segments) if s.program)
            program = case.schedule.segments[at].program
            case.check_schedule(case.with_segment(at, program=(*program[1:], wrong_entry)))


@pytest.mark.parametrize("make", CASES)
def test_program_entries_swapped(make: Callable[[], Case]) -> None:
    """Every swap of neighbours is accepted exactly when the program still works."""
    case = make()
    found = set()
    for at, segment in enumerate(case.schedule.segments):
        for i in range(len(segment.program) - 1):
            program = list(segment.program)
            program[i : i + 2] = program[i + 1], program[i]
            schedule = case.with_segment(at, program=tuple(program))
            plan = plan_memory(case.graph, schedule, case.calls)
            good = works(case.graph, schedule, case.calls, plan)
            found.add(good)
            if good:
                case.check_schedule(schedule)
            else:
                with pytest.raises(PlanError, match=r"at row \d+ reads row \d+ of '\w+', but"):
                    case.check_schedule(schedule)
    assert found == {True, False}


def test_scratch_over_a_ring() -> None:
    net = Maps()
    net.map("x", 9, 8)
    net.conv("a", "x", 8, scratch=16)
    net.conv("b", "a", 8)
    net.conv("y", "b", 8)
    case = Case(net, ["y"], "aby").spread()
    assert case.rings() == {"a": 3, "b": 3}
    with pytest.raises(PlanError, match=r"'n_a' at row 0: its scratch overlaps 'a'"):
        case.check(case.moved("n_a", case.plan.offset_of("a")))
    with pytest.raises(PlanError, match=r"'n_a' at row 0: its scratch overlaps 'x'"):
        case.check(case.moved("n_a", case.plan.offset_of("x") + 8))
    message = r"'n_y' at row 0 reads row 0 of 'b', but byte \d+ of the arena holds nothing"
    with pytest.raises(PlanError, match=message):
        case.check(case.moved("n_a", case.plan.offset_of("b")))


def test_sums_overlapped_by_the_scratch_of_another_node() -> None:
    case = _chain().spread()
    plan = case.moved("n_d", case.plan.scratch_offset("n_a"))
    with pytest.raises(PlanError, match=r"MEAN 'n_d' at row 1 adds to its sums, but byte \d+"):
        case.check(plan)
    for tensor in "cd":
        with pytest.raises(PlanError, match=f"its scratch overlaps '{tensor}'"):
            case.check(case.moved("n_d", case.plan.offset_of(tensor)))
    # The first rows of x are no longer needed when the sums begin, its last ones are.
    x = case.plan.offset_of("x")
    case.check(case.moved("n_d", x))
    with pytest.raises(PlanError, match=r"reads row 28 of 'x', but .* holds 'scratch:n_d'"):
        case.check(case.moved("n_d", x + 560))


def test_ring_over_a_tensor_that_is_carried_past() -> None:
    net = Maps()
    net.map("x", 4, 8)
    for output, source in ("ax", "ba", "cb"):
        net.conv(output, source, 8, taps=1)
    net.merge("y", ["x"], 8)
    case = Case(net, ["c", "y"], "abc", "y").spread()
    assert case.rings() == {"a": 1, "b": 1}
    # Row 0 of x is overwritten when nothing in the segment needs it any more.
    message = r"RELU 'n_y' at row 0 reads row 0 of 'x', but byte .* holds row 3 of 'b'"
    with pytest.raises(PlanError, match=message):
        case.check(case.moved("b", case.plan.offset_of("x")))
    with pytest.raises(PlanError, match=r"'n_a' at row 1 reads row 1 of 'x', .* row 0 of 'b'"):
        case.check(case.moved("b", case.plan.offset_of("x") + 8))


def test_ring_that_something_else_needs() -> None:
    case = _residual()
    rings = case.schedule.segments[1].rings
    for name, who in (("sum", "n_late"), ("half", "n_y")):
        schedule = case.with_segment(1, rings=(*rings, Ring(name, 6)))
        with pytest.raises(PlanError, match=f"only some rows of '{name}' are stored"):
            plan_memory(case.graph, schedule, case.calls)
        with pytest.raises(PlanError, match=f"'{name}' is held in a ring, but {who} needs it"):
            case.check(schedule=schedule)
    chain = _chain()
    schedule = chain.with_segment(rings=(*chain.schedule.segments[0].rings, Ring("y", 1)))
    with pytest.raises(PlanError, match="'y' is held in a ring, but the application needs it"):
        chain.check(schedule=schedule)
    for ring in (Ring("x", 30), Ring("y", 1)):
        with pytest.raises(PlanError, match=f"only some rows of '{ring.tensor}' are stored"):
            plan_memory(chain.graph, chain.with_segment(rings=(ring,)), chain.calls)


def test_rings_that_are_none() -> None:
    case = _chain()
    rings = case.schedule.segments[0].rings
    for wrong, message in (
        (Ring("x", 3), "ring 'x' is not written in its segment"),
        (Ring("ghost", 3), "ring 'ghost' is not written in its segment"),
        (rings[0], "ring 'a' is not written in its segment, or is there twice"),
    ):
        with pytest.raises(PlanError, match=message):
            case.check(schedule=case.with_segment(rings=(*rings, wrong)))
    for tensor, rows, height in (("a", 0, 30), ("a", 31, 30), ("d", 2, 1)):
        others = [ring for ring in rings if ring.tensor != tensor]
        schedule = case.with_segment(rings=(Ring(tensor, rows), *others))
        message = f"a ring holds {rows} of the {height} rows of '{tensor}'"
        with pytest.raises(PlanError, match=message):
            plan_memory(case.graph, schedule, case.calls)
        with pytest.raises(PlanError, match=message):
            case.check(schedule=schedule)


def test_ring_larger_than_its_buffer() -> None:
    case = _chain()
    rings = case.schedule.segments[0].rings
    schedule = case.with_segment(rings=(Ring("a", 6), *rings[1:]))
    with pytest.raises(PlanError, match="tensor 'a' exceeds its buffer 'a'"):
        case.check(schedule=schedule)


def _changed(call: KernelCall, **changes: object) -> KernelCall:
    return replace(call, loop=replace(call.loop, **changes))


def test_calls_that_do_not_stream() -> None:
    case = _chain()
    for node, changes, message in (
        ("n_b", {"batches": 2}, "'n_b' does not work row by row"),
        ("n_d", {"batches": 2}, "'n_d' does not work row by row"),
        ("n_b", {"out_row_bytes": 15}, "'n_b' takes 'b' for 15 rows of 15 bytes"),
        ("n_d", {"in_row_bytes": 15}, "'n_d' takes 'c' for 15 rows of 15 bytes"),
        ("n_d", {"in_height": 5, "in_row_bytes": 48}, "takes 15 of its 5 steps"),
        ("n_b", {"inputs": ()}, "'n_b' reads 1 tensors by 0 rules"),
    ):
        good = case.calls[node]
        case.calls[node] = _changed(good, **changes)
        with pytest.raises(PlanError, match=message):
            case.check()
        case.calls[node] = good
    for node in ("n_b", "n_d"):
        calls = {**case.calls, node: _changed(case.calls[node], batches=2)}
        with pytest.raises(PlanError, match=f"'{node}' cannot give its result row by row"):
            plan_memory(case.graph, case.schedule, calls)


def test_node_of_two_outputs_in_a_stream() -> None:
    net = Maps()
    net.map("x", 8, 8)
    net.op("a", ["x"], 64, more=[("b", 64)])
    net.shape["b"] = (8, 8)
    net.conv("y", "b", 8, taps=1)
    net.calls["n_a"] = net.calls["n_y"]
    graph = net.graph("a", "y")
    program = tuple(i % 2 for i in range(16))
    schedule = Schedule((Segment(SegmentKind.STREAM, ("n_a", "n_y"), (), program),))
    plan = plan_memory(graph, schedule, net.calls)
    with pytest.raises(PlanError, match="'n_a' does not work row by row"):
        check_plan(graph, schedule, net.calls, plan)


def test_reader_that_sees_other_rows_than_the_ring_has() -> None:
    """Fine for a tensor that lies whole, never for a ring."""
    net = Maps()
    net.map("x", 8, 8)
    net.conv("a", "x", 8, taps=1)
    net.conv("y", "a", 8, taps=1)
    case = Case(net, ["y"], "ay")
    loop = case.calls["n_y"].loop
    assert isinstance(loop, RowLoop)
    wider = replace(loop.inputs[0], height=4, row_bytes=16)
    case.calls["n_y"] = _changed(case.calls["n_y"], out_height=4, out_row_bytes=16, inputs=(wider,))
    program = (0,) * 8 + (1,) * 4
    with pytest.raises(PlanError, match="'n_y' and its producer see other rows of ring 'a'"):
        case.check_schedule(case.with_segment(program=program))
    case.check_schedule(case.with_segment(program=program, rings=()))
    early = (*program[:7], 1, 1, 1, 1, 0)
    with pytest.raises(PlanError, match=r"'n_y' at row 3 reads row 3 of 'a', but byte \d+"):
        case.check_schedule(case.with_segment(program=early, rings=()))


def test_layer_segments_that_are_none() -> None:
    case = _residual()
    for changes in (
        {"nodes": ("n_early", "n_a")},
        {"rings": (Ring("early", 12),)},
        {"program": (0,)},
    ):
        schedule = case.with_segment(0, **changes)
        if "nodes" in changes:
            rest = case.with_segment(1, nodes=case.schedule.segments[1].nodes[1:]).segments[1:]
            schedule = Schedule((schedule.segments[0], *rest))
        with pytest.raises(PlanError, match="layer segment n_early"):
            case.check(schedule=schedule)
    net = Maps()
    net.map("x", 8, 8)
    net.conv("a", "x", 8, taps=1)
    net.alias("view", "a")
    graph = net.graph("view")
    schedule = Schedule((Segment(SegmentKind.STREAM, ("n_a", "n_view"), (), (0,) * 8 + (1,)),))
    plan = plan_memory(graph, schedule, net.calls)
    with pytest.raises(PlanError, match="'n_view' does not work row by row"):
        check_plan(graph, schedule, net.calls, plan)


def test_picture() -> None:
    case = _residual()
    lines = draw(case.graph, case.schedule, case.plan).splitlines()
    assert lines[3].split("|")[0].split() == ["1", "stream", "5", "ops", str(case.plan.peaks[1])]
    chain = _chain()
    text = draw(chain.graph, chain.schedule, chain.plan)
    for what in ("x", "a (5 rows)", "c (1 row)", "scratch:n_d", "scratch:n_a and 2 more"):
        assert f" bytes  {what}\n" in text
