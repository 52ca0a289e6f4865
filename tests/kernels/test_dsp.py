"""The kernels of instruction sets that this machine lacks, on emulated cores that have them.

A program holds many one-node cases, so that few programs and boots are needed; the
target says what each node made of its input, by checksum and then byte for byte.
"""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.kernels.cases import cases
from tests.support.emitted import collect
from tests.support.strategies import Case
from tests.support.strategies.base import case, f32, tensor
from tinyml.board import Board, list_boards, load_board
from tinyml.emit import emit
from tinyml.ir import ops
from tinyml.ir.graph import DType, Graph, Quant
from tinyml.kernels import bind, ways
from tinyml.kernels.call import ConstArray, KernelCall
from tinyml.kernels.dsp_depthwise import EXACTLY
from tinyml.kernels.registry import by_name, kernels
from tinyml.link import Client
from tinyml.memory.check import check_plan
from tinyml.memory.lifetimes import lifetimes, merged
from tinyml.memory.plan import MemoryPlan, live_bytes
from tinyml.planning import Plan
from tinyml.reference import run
from tinyml.runners import open_target
from tinyml.schedule.schedule import Schedule, Segment, SegmentKind
from tinyml.toolchain import build, elf_path

EXAMPLES = {
    "CONV_2D": 200,
    "DEPTHWISE_CONV_2D": 140,
    "FULLY_CONNECTED": 100,
    "ADD": 100,
    "AVERAGE_POOL_2D": 70,
    "MAX_POOL_2D": 40,
    "MEAN": 70,
    "MUL": 40,
}
"""How many cases of an operator are run; of others, which look up bytes, ten."""

RESCALED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MUL")
"""Operators whose result has a scale of its own, and an activation."""

LEAST_EXAMPLES = 10
"""Fewest examples that each kernel must be run with."""

CORES = {
    "dsp": "qemu-cortex-m4",
    "mve": "qemu-cortex-m55",
    "neon": "raspberry-pi-3",
    "dotprod": "raspberry-pi-5",
    "mul32": "qemu-cortex-m3",
}
"""Where the kernels of an instruction set are run."""


def kinds(isa: str) -> list[str]:
    """The operators that kernels of an instruction set serve."""
    return sorted({op for k in kernels() if k.isa == isa for s in k.serves for op in s.ops})


RELU = ops.Activation.RELU

KINDS = sorted({kind for isa in CORES for kind in kinds(isa)})


def programs(isa: str) -> list[tuple[str, ...]]:
    """Operators whose cases are one program: those with many cases alone, all others together."""
    alone = [kind for kind in kinds(isa) if EXAMPLES.get(kind, 0) >= 100]
    rest = tuple(kind for kind in kinds(isa) if kind not in alone)
    return [*((kind,) for kind in alone), *((rest,) if rest else ())]


def together(some: Sequence[Case]) -> Case:
    """One graph with the nodes of all cases, and their inputs."""
    tensors, nodes, feeds = {}, [], {}
    for i, one in enumerate(some):
        (node,) = one.graph.nodes
        for t in one.graph.tensors.values():
            tensors[f"{t.name}_{i}"] = replace(t, name=f"{t.name}_{i}")
        inputs = tuple(None if name is None else f"{name}_{i}" for name in node.inputs)
        outputs = tuple(f"{name}_{i}" for name in node.outputs)
        nodes.append(replace(node, name=f"node{i}", inputs=inputs, outputs=outputs))
        feeds |= {f"{name}_{i}": data for name, data in one.inputs.items()}
    ends = tuple(name for node in nodes for name in node.outputs)
    return Case(Graph("cases", tensors, tuple(nodes), tuple(feeds), ends), feeds)


def side_by_side(graph: Graph, schedule: Schedule, calls: Mapping[str, KernelCall]) -> MemoryPlan:
    """A place of its own for every buffer: to pack so many well takes long.

    Some results are in place, over either operand.
    """
    found = lifetimes(graph, schedule, calls)
    buffers, _ = merged(found, [o for i, o in enumerate(found.overlays) if i % 5 < 2])
    ends = accumulate((buffer.bytes for buffer in buffers), initial=0)
    offsets = dict(zip((buffer.name for buffer in buffers), ends, strict=False))
    buffers = tuple(sorted(buffers, key=lambda b: (b.first, offsets[b.name], b.last)))
    live = live_bytes(buffers, found.ticks)
    return MemoryPlan(
        arena_bytes=sum(buffer.bytes for buffer in buffers),
        lower_bound=int(live.max()),
        optimal=False,
        buffers=buffers,
        offsets=offsets,
        peaks=tuple(int(live[a:b].max()) for a, b in pairwise(found.starts)),
        starts=found.starts,
    )


def roomy(board: Board) -> Board:
    """`board` with the arena in the largest RAM that it has: all cases together need much."""
    if board.is_process:
        return board
    largest = max((r for r in board.regions if r.kind == "ram"), key=lambda r: r.bytes).name
    placement = ((section, largest if section == "arena" else r) for section, r in board.placement)
    return replace(board, placement=tuple(placement), spill=())


def check(
    some: Sequence[Case],
    board: Board,
    folder: Path,
    compiler: str = "auto",
    *,
    optimize: str = "speed",
) -> Counter[str]:
    """Runs the cases on the emulated board; how often each kernel took part.

    Every other node has its rows flattened. Optimised for size, each takes the least preferred of
    its kernels.
    """
    emulator = board.emulator or board.user_emulator
    tools = (emulator and emulator.program, board.toolchain.gcc[0])
    if not all(tool and shutil.which(tool) for tool in tools):
        pytest.skip(f"the compiler or the emulator of {board.name} is not installed")
    board, both = roomy(board), together(some)
    graph = both.graph
    calls = {}
    for i, node in enumerate(graph.nodes):
        first, *others = ways(graph, node, board.isa, flatten=i % 2 == 0)
        calls[node.name] = others[-1] if others and optimize == "size" else first
    # As they come: searches for the best order and offsets take long, and gain nothing here.
    schedule = Schedule(tuple(Segment(SegmentKind.LAYER, (name,)) for name in calls))
    memory = side_by_side(graph, schedule, calls)
    check_plan(graph, schedule, calls, memory)
    plan = Plan(graph, calls, schedule, memory)
    project = emit(plan, board, folder, source=b"cases", options={"optimize": optimize})
    build(project, compiler)
    expected = run(graph, both.inputs)
    nodes = {node.name: node for node in graph.nodes}
    with open_target(board, elf_path(project), None, counting=False) as stream:
        client = Client(stream)
        client.invoke([both.inputs[name].tobytes() for name in graph.inputs])
        for index, name in enumerate(graph.outputs):
            want = expected[name]
            got = np.frombuffer(client.read_output(index), want.dtype).reshape(want.shape)
            (maker,) = (n for n in nodes.values() if name in n.outputs)
            assert got.tobytes() == want.tobytes(), (
                f"{calls[maker.name].kernel}, {maker.op}, {calls[maker.name].loop}:\n"
                f"{np.argwhere(got != want)[:5].tolist()} of {want.shape}: "
                f"{got[got != want][:5]} instead of {want[got != want][:5]}"
            )
    return Counter(call.kernel for call in calls.values())


@cache
def drawn(kind: str, count: int) -> list[Case]:
    """Cases of operator `kind` that have kernels."""
    return [one for one in collect(cases(kind), count) if one.graph.nodes[0].op.kind == kind]


def clamped(one: Case) -> Case:
    """The same with a ReLU whose range is all bytes, as most networks have them."""
    (node,) = one.graph.nodes
    (y,) = one.graph.results(node)
    below = replace(y, quant=Quant(y.q.scales, (-128,)))
    op = replace(node.op, activation=RELU)
    tensors = {**one.graph.tensors, y.name: below}
    return Case(replace(one.graph, tensors=tensors, nodes=(replace(node, op=op),)), one.inputs)


def narrowed(one: Case) -> Case:
    """The same with no weight of -128, as converters make them."""
    (node,) = one.graph.nodes
    if not isinstance(node.op, ops.Conv2D | ops.DepthwiseConv2D | ops.FullyConnected):
        return one
    weights = one.graph.tensors[node.inputs[1] or ""]
    data = np.maximum(weights.values, -127).astype(np.int8)
    tensors = {**one.graph.tensors, weights.name: replace(weights, data=data)}
    return replace(one, graph=replace(one.graph, tensors=tensors))


def test_every_instruction_set_has_a_core() -> None:
    assert set(CORES) == {k.isa for k in kernels()} - {"portable"}
    assert all(load_board(name).isa[0] == isa for isa, name in CORES.items())


@pytest.mark.parametrize(("isa", "some_kinds"), [(isa, p) for isa in CORES for p in programs(isa)])
def test_equals_reference(isa: str, some_kinds: tuple[str, ...], tmp_path: Path) -> None:
    some = [one for kind in some_kinds for one in drawn(kind, EXAMPLES.get(kind, 10))]
    if isa == "neon":
        some = [narrowed(one) if i % 4 else one for i, one in enumerate(some)]
    runs = check(some, load_board(CORES[isa]), tmp_path)
    for kernel in kernels():
        if kernel.isa == isa and {op for s in kernel.serves for op in s.ops} & set(some_kinds):
            assert runs[kernel.name] >= LEAST_EXAMPLES, (kernel.name, runs)


@pytest.mark.parametrize("isa", CORES)
def test_equals_reference_below_a_relu(isa: str, tmp_path: Path) -> None:
    """Sums below zero are all one byte then, of which some kernels make use."""
    some = [clamped(one) for kind in kinds(isa) if kind in RESCALED for one in drawn(kind, 40)]
    check(some, load_board(CORES[isa]), tmp_path)


@pytest.mark.parametrize("name", ["qemu-cortex-m7", "qemu-cortex-m33"])
def test_other_cores(name: str, tmp_path: Path) -> None:
    some = [one for kind in kinds("dsp") for one in drawn(kind, 60)]
    runs = check(some, load_board(name), tmp_path)
    assert {k.name for k in kernels() if k.isa == "dsp"} <= set(runs)


@pytest.mark.parametrize("isa", CORES)
def test_equals_reference_in_least_code(isa: str, tmp_path: Path) -> None:
    """General kernels in place of others, in code made for size."""
    some = [narrowed(one) for kind in kinds(isa) for one in drawn(kind, 40)]
    runs = check(some, load_board(CORES[isa]), tmp_path, optimize="size")
    assert runs[f"conv_s8_{isa}"] >= LEAST_EXAMPLES
    assert not runs[f"conv_1x1_s8_{isa}"]
    if isa in ("dsp", "mve"):
        weights = [one.graph.tensors["w"] for one in drawn("FULLY_CONNECTED", 40)]
        left = sum(any(each.q.zero_points) for each in weights)
        assert runs[f"fully_connected_s8_{isa}"] == left


@pytest.mark.parametrize("isa", CORES)
def test_clang(isa: str, tmp_path: Path) -> None:
    pytest.importorskip("ziglang")
    some = [
        narrowed(one) for kind in kinds(isa) for one in drawn(kind, min(40, EXAMPLES.get(kind, 4)))
    ]
    check(some, load_board(CORES[isa]), tmp_path, "zig")


def portable_only(graph: Graph, isa: str) -> bool:
    """Whether, of instruction set `isa` and the portable one, only the latter serves the case."""
    (node,) = graph.nodes
    op = node.op
    if isinstance(op, ops.Mean):  # over other dimensions than of maps
        return len(graph.tensors[node.inputs[0] or ""].shape) != 4 or op.axes not in ((1, 2), (2,))
    if isinstance(op, ops.Quantize):
        types = {graph.tensors[name or ""].dtype for name in (*node.inputs, *node.outputs)}
        return not types <= {DType.INT8, DType.UINT8}
    if not isinstance(op, ops.Conv2D | ops.DepthwiseConv2D | ops.FullyConnected):
        return False
    weights = graph.tensors[node.inputs[1] or ""]
    if isa == "neon" and (weights.values == -128).any():
        return True
    if isa in ("neon", "dotprod") and op.kind == "FULLY_CONNECTED":
        return any(weights.q.zero_points)
    if not isinstance(op, ops.DepthwiseConv2D):
        return False
    _, height, width, channels = weights.shape
    if op.multiplier > 1:
        return True
    near = op.stride[1] <= 2
    square = near and height == width and op.dilation[1] == 1
    if isa == "neon":
        return channels < (8 if square and height == 3 else 16)
    if isa == "mve":
        return height > 8 or not near
    return not square or height not in (3, 5, 7) or channels < 4


@pytest.mark.parametrize("name", list_boards())
def test_a_board_gets_the_kernels_of_its_first_instruction_set(name: str) -> None:
    board = load_board(name)
    for kind in KINDS:
        first = next(isa for isa in board.isa if isa == "portable" or kind in kinds(isa))
        used = set()
        for one in drawn(kind, EXAMPLES.get(kind, 20)):
            call = bind(one.graph, one.graph.nodes[0], board.isa)
            isa = by_name(call.kernel).isa
            used.add(isa)
            if portable_only(one.graph, first):
                assert isa == "portable"
            else:
                # Additions that broadcast or have odd scales are left to the next set.
                assert isa in (board.isa if kind == "ADD" else (first,))
        assert first in used


def test_which_boards_have_which_extension() -> None:
    """Those whose compiler says so, no others."""
    having = {isa: {b for b in list_boards() if isa in load_board(b).isa} for isa in CORES}
    linux = {b for b in list_boards() if load_board(b).kind == "linux"}
    mul32 = {
        *("qemu-cortex-m0", "qemu-cortex-m0-large", "qemu-cortex-m3"),
        *("qemu-riscv32", "rp2040", "esp32-c3"),
        *("zephyr-qemu-cortex-m3", "zephyr-mps2-an385", "zephyr-mps2-an521"),
    }
    without = {"arduino-mega2560", "host", "esp32-s3"}
    assert having["mul32"] == mul32
    assert having["dsp"] == set(list_boards()) - linux - mul32 - without
    assert having["mve"] == {"qemu-cortex-m55"}
    assert having["neon"] == linux - {"raspberry-pi-armhf"}  # whose instructions are of 32 bits
    assert having["dotprod"] == {"raspberry-pi-5"}


# ---- The rescale ------------------------------------------------------------------------------


def rescales(
    exponent: float,
    sums: npt.NDArray[np.floating],
    zero_point: int,
    op: ops.Conv2D | ops.DepthwiseConv2D,
    side: int,
) -> Case:
    """A convolution of side x side with these sums, a channel for each, rescaled by 2**exponent."""
    channels = len(sums)
    quant = Quant((f32(2.0**exponent),), (0,))
    depth, shape = 1, (channels, side, side, 1)
    if isinstance(op, ops.DepthwiseConv2D):
        depth, shape = channels, (1, side, side, channels)
    x = tensor("x", (1, side, side + 2, depth), Quant((1.0,), (0,)))
    w = tensor("w", shape, quant, data=np.zeros(shape, np.int8))
    b = tensor("b", (channels,), quant, DType.INT32, sums.astype(np.int32))
    (y_shape,) = op.infer((x.shape, w.shape, None))
    y = tensor("y", y_shape, Quant((1.0,), (zero_point,)))
    return case(op, (x, w, b), (y,), {"x": np.zeros(x.shape, np.int8)})


LINEAR: dict[str, tuple[str, ops.Conv2D | ops.DepthwiseConv2D, int]] = {
    "1x1": ("conv_1x1_s8_dsp", ops.Conv2D(), 1),
    "3x3": ("depthwise_conv_3x3_s8_dsp", ops.DepthwiseConv2D(), 3),
    "3x3, clamped": ("depthwise_conv_3x3_s8_dsp", ops.DepthwiseConv2D(activation=RELU), 3),
    "Helium 1x1": ("conv_1x1_s8_mve", ops.Conv2D(), 1),
    "Helium 1x1, clamped": ("conv_1x1_s8_mve", ops.Conv2D(activation=RELU), 1),
    "Helium 3x3": ("depthwise_conv_3x3_s8_mve", ops.DepthwiseConv2D(), 3),
    "Helium 3x3, clamped": ("depthwise_conv_3x3_s8_mve", ops.DepthwiseConv2D(activation=RELU), 3),
    "Helium 3x3, apart": ("depthwise_conv_3x3_s8_mve", ops.DepthwiseConv2D(stride=(2, 2)), 3),
    "Helium 5x5": ("depthwise_conv_s8_mve", ops.DepthwiseConv2D(), 5),
    "NEON 1x1": ("conv_1x1_s8_neon", ops.Conv2D(), 1),
    "NEON 3x3": ("depthwise_conv_3x3_s8_neon", ops.DepthwiseConv2D(), 3),
    "NEON 5x5": ("depthwise_conv_s8_neon", ops.DepthwiseConv2D(), 5),
    "dot product 1x1": ("conv_1x1_s8_dotprod", ops.Conv2D(), 1),
    "32 bits 1x1": ("conv_1x1_s8_mul32", ops.Conv2D(), 1),
    "32 bits 1x1, clamped": ("conv_1x1_s8_mul32", ops.Conv2D(activation=RELU), 1),
}
"""Kernels, the operators they are tested with, and the side of the filter."""


def extremes(op: ops.Conv2D | ops.DepthwiseConv2D, side: int) -> list[Case]:
    """All shifts in use, sums at ties and at the limits of the short way and of int32."""
    rng = np.random.default_rng(5)
    some = []
    for index, exponent in enumerate((-40, -33, *range(-31, 3), *rng.uniform(-30, 2, 24).tolist())):
        unit = 2.0**-exponent
        steps = rng.integers(-140, 140, 24) + rng.choice([0, 0.5, -0.5], 24)
        near = np.rint(steps * unit)[:, None] + np.array([-1, 0, 1])
        limits = [2**29, 2**30, 2**31 - 1]
        edges = [s * (v - d) for v in limits for d in (0, 1, 2, 300) for s in (1, -1)]
        sums = np.concatenate((near.ravel(), edges, [0, 1, -1, -(2**31)]))
        sums = sums[(sums >= -(2**31)) & (sums < 2**31)]
        # The reference, like TFLite, wraps where a left shift overflows; the sums stay below.
        sums = sums[np.abs(sums) < 2.0 ** (31 - max(0, np.ceil(exponent + 1e-9) + 1))]
        zero_point = (-128, 127, 0, 5)[index % 4]
        some.append(rescales(exponent, rng.permutation(sums), zero_point, op, side))
    return some


@pytest.mark.parametrize("name", LINEAR)
def test_rescale_at_extremes(name: str, tmp_path: Path) -> None:
    kernel, op, side = LINEAR[name]
    some = extremes(op, side)
    kernels_run = check(some, load_board(CORES[by_name(kernel).isa]), tmp_path)
    assert kernels_run[kernel] == len(some)


def test_quads_of_all_kinds_have_been_rescaled() -> None:
    """Short with and without the signs, and exactly: what the word of shifts says."""
    isa = load_board(CORES["dsp"]).isa
    signs, exactly = Counter[int](), 0
    for one in extremes(ops.DepthwiseConv2D(), side=3):
        call = bind(one.graph, one.graph.nodes[0], isa)
        assert call.struct is not None
        quads = dict(call.struct.fields)["quads"]
        assert isinstance(quads, ConstArray)
        words = quads.data.astype(np.int64).reshape(-1, 4 + 9 + 5)[:, -1]
        kept = words[(words >= 0) | (words < EXACTLY)]
        signs.update((kept < 0).tolist())
        exactly += len(words) - len(kept)
    assert min(signs[0], signs[1], exactly) > 100
