"""The kernels of instruction sets that this machine lacks, on emulated cores that have them.

A program holds many one-node cases, so that few programs and boots are needed; the
target says what each node made of its input, by checksum and then byte for byte.
"""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
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
from tinyml.kernels import bind
from tinyml.kernels.call import ConstArray
from tinyml.kernels.dsp_depthwise import EXACTLY
from tinyml.kernels.registry import kernels
from tinyml.link import Client
from tinyml.memory import plan_memory
from tinyml.memory.check import check_plan
from tinyml.planning import Plan
from tinyml.reference import run
from tinyml.runners import open_target
from tinyml.schedule.schedule import Schedule, Segment, SegmentKind
from tinyml.toolchain import build, elf_path

EXAMPLES = {"CONV_2D": 500, "DEPTHWISE_CONV_2D": 300}
"""How many cases of an operator are run; of others 200."""

LEAST_EXAMPLES = 10
"""Fewest examples that each kernel must be run with."""

KINDS = {op for k in kernels() if k.isa != "portable" for s in k.serves for op in s.ops}


def merged(some: Sequence[Case]) -> Case:
    """One graph with the nodes of all cases, and their inputs."""
    tensors, nodes, feeds = {}, [], {}
    for i, one in enumerate(some):
        (node,) = one.graph.nodes
        for t in one.graph.tensors.values():
            tensors[f"{t.name}{i}"] = replace(t, name=f"{t.name}{i}")
        inputs = tuple(None if name is None else f"{name}{i}" for name in node.inputs)
        outputs = tuple(f"{name}{i}" for name in node.outputs)
        nodes.append(replace(node, name=f"node{i}", inputs=inputs, outputs=outputs))
        feeds |= {f"{name}{i}": data for name, data in one.inputs.items()}
    ends = tuple(name for node in nodes for name in node.outputs)
    return Case(Graph("cases", tensors, tuple(nodes), tuple(feeds), ends), feeds)


def check(some: Sequence[Case], board: Board, folder: Path, compiler: str = "auto") -> Counter[str]:
    """Runs the cases on the emulated board; how often each kernel took part.

    Every other node has its rows flattened.
    """
    if board.emulator is None or shutil.which(board.emulator.program) is None:
        pytest.skip(f"the emulator of {board.name} is not installed")
    both = merged(some)
    graph = both.graph
    calls = {
        node.name: bind(graph, node, board.isa, flatten=i % 2 == 0)
        for i, node in enumerate(graph.nodes)
    }
    # As they come: the search for the best order takes long, and these are all independent.
    schedule = Schedule(tuple(Segment(SegmentKind.LAYER, (name,)) for name in calls))
    memory = plan_memory(graph, schedule, calls)
    check_plan(graph, schedule, calls, memory)
    project = emit(Plan(graph, calls, schedule, memory), board, folder, source=b"cases")
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


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_equals_reference(kind: str, tmp_path: Path) -> None:
    runs = check(drawn(kind, EXAMPLES.get(kind, 200)), load_board("qemu-cortex-m4"), tmp_path)
    for kernel in kernels():
        if kernel.isa != "portable" and any(kind in service.ops for service in kernel.serves):
            assert runs[kernel.name] >= LEAST_EXAMPLES, (kernel.name, runs)


@pytest.mark.parametrize("name", ["qemu-cortex-m7", "qemu-cortex-m33", "qemu-cortex-m55"])
def test_other_cores(name: str, tmp_path: Path) -> None:
    some = [one for kind in sorted(KINDS) for one in drawn(kind, 80)]
    runs = check(some, load_board(name), tmp_path)
    assert {k.name for k in kernels() if k.isa == "dsp"} <= set(runs)


def test_clang(tmp_path: Path) -> None:
    pytest.importorskip("ziglang")
    some = [one for kind in sorted(KINDS) for one in drawn(kind, 80)]
    check(some, load_board("qemu-cortex-m4"), tmp_path, "zig")


def portable_only(graph: Graph) -> bool:
    """Whether the case is one of a kind of depthwise convolution that has no other kernel."""
    (node,) = graph.nodes
    op = node.op
    if not isinstance(op, ops.DepthwiseConv2D):
        return False
    _, height, width, channels = graph.tensors[node.inputs[1] or ""].shape
    return (
        height != width
        or height not in (3, 5, 7)
        or op.multiplier > 1
        or op.dilation[1] > 1
        or op.stride[1] > 2
        or channels < 4
    )


@pytest.mark.parametrize("name", list_boards())
def test_a_board_gets_only_kernels_of_its_instruction_sets(name: str) -> None:
    board = load_board(name)
    by_name = {kernel.name: kernel for kernel in kernels()}
    for kind in sorted(KINDS):
        # Where a kernel requires something, cases without it are left to the next set.
        own = [
            k for k in kernels() if k.isa == board.isa[0] and any(kind in s.ops for s in k.serves)
        ]
        allowed = board.isa if all(k.requires for k in own) else board.isa[:1]
        for one in drawn(kind, 80)[::6]:
            call = bind(one.graph, one.graph.nodes[0], board.isa)
            wanted = ("portable",) if portable_only(one.graph) else allowed
            assert by_name[call.kernel].isa in wanted


def test_which_boards_have_the_dsp_extension() -> None:
    """Those whose compiler says so, no others."""
    lacking = {"qemu-cortex-m0", "qemu-cortex-m3", "qemu-riscv32", "host"}
    having = {name for name in list_boards() if "dsp" in load_board(name).isa}
    assert having == set(list_boards()) - lacking


# ---- The rescale ------------------------------------------------------------------------------


def rescales(
    exponent: float,
    sums: npt.NDArray[np.floating],
    zero_point: int,
    op: ops.Conv2D | ops.DepthwiseConv2D,
) -> Case:
    """A convolution with these sums, a channel for each, rescaled by 2**exponent.

    A depthwise one has a kernel of 3x3.
    """
    channels = len(sums)
    quant = Quant((f32(2.0**exponent),), (0,))
    depth, shape = 1, (channels, 1, 1, 1)
    if isinstance(op, ops.DepthwiseConv2D):
        depth, shape = channels, (1, 3, 3, channels)
    x = tensor("x", (1, 3, 3, depth), Quant((1.0,), (0,)))
    w = tensor("w", shape, quant, data=np.zeros(shape, np.int8))
    b = tensor("b", (channels,), quant, DType.INT32, sums.astype(np.int32))
    (y_shape,) = op.infer((x.shape, w.shape, None))
    y = tensor("y", y_shape, Quant((1.0,), (zero_point,)))
    return case(op, (x, w, b), (y,), {"x": np.zeros(x.shape, np.int8)})


LINEAR = {
    "conv_1x1_s8_dsp": ops.Conv2D(),
    "depthwise_conv_3x3_s8_dsp": ops.DepthwiseConv2D(),
    "depthwise_conv_3x3_s8_dsp, clamped": ops.DepthwiseConv2D(activation=ops.Activation.RELU),
}


def extremes(op: ops.Conv2D | ops.DepthwiseConv2D) -> list[Case]:
    """All shifts in use, sums at ties and at the limits of the short way and of int32."""
    rng = np.random.default_rng(5)
    some = []
    for index, exponent in enumerate((-40, -33, *range(-31, 3), *rng.uniform(-30, 2, 60).tolist())):
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
        some.append(rescales(exponent, rng.permutation(sums), zero_point, op))
    return some


@pytest.mark.parametrize("kernel", LINEAR)
def test_rescale_at_extremes(kernel: str, tmp_path: Path) -> None:
    some = extremes(LINEAR[kernel])
    kernels_run = check(some, load_board("qemu-cortex-m4"), tmp_path)
    assert kernels_run[kernel.split(",")[0]] == len(some)


def test_quads_of_all_kinds_have_been_rescaled() -> None:
    """Short with and without the signs, and exactly: what the word of shifts says."""
    isa = load_board("qemu-cortex-m4").isa
    signs, exactly = Counter[int](), 0
    for one in extremes(LINEAR["depthwise_conv_3x3_s8_dsp"]):
        call = bind(one.graph, one.graph.nodes[0], isa)
        assert call.struct is not None
        quads = dict(call.struct.fields)["quads"]
        assert isinstance(quads, ConstArray)
        words = quads.data.astype(np.int64).reshape(-1, 4 + 9 + 5)[:, -1]
        kept = words[(words >= 0) | (words < EXACTLY)]
        signs.update((kept < 0).tolist())
        exactly += len(words) - len(kept)
    assert min(signs[0], signs[1], exactly) > 100
