"""Each rule on both sides: where a channel may go, and where it must stay."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from tests.passes.common import assert_equivalent, kinds, with_dead_channels
from tests.support.builder import GraphBuilder, frozen, per_tensor
from tests.support.graphs import graphs
from tinyml.ir import ops
from tinyml.ir.graph import DType, Graph, Quant, Shape
from tinyml.ir.ops import Activation, Pads
from tinyml.passes import optimize
from tinyml.passes.dead_channels import remove_dead_channels
from tinyml.passes.narrow import steps

AROUND = Pads(1, 1, 1, 1)
ZERO_POINT = -20
QUANT = per_tensor(0.05, ZERO_POINT)
SHAPE = (1, 5, 4, 3)
LARGE = 2**31 - 1


def starting(shape: Shape = SHAPE) -> tuple[GraphBuilder, str]:
    b = GraphBuilder()
    return b, b.input(shape, QUANT, name="x")


def cut(graph: Graph) -> dict[str, int]:
    """Channels of each activation that has fewer after the pass, whose exactness is tested."""
    after = remove_dead_channels(graph)
    assert_equivalent(graph, after)
    assert [n.name for n in after.nodes] == [n.name for n in graph.nodes]
    activations = {n: t for n, t in after.tensors.items() if not t.is_const}
    assert activations.keys() == {n for n, t in graph.tensors.items() if not t.is_const}
    widths = {n: (t.shape[-1:], graph.tensors[n].shape[-1:]) for n, t in activations.items()}
    assert (after is graph) == all(new == old for new, old in widths.values())
    return {name: new[0] for name, (new, old) in widths.items() if new != old}


def refill(b: GraphBuilder, name: str | None, data: np.ndarray) -> None:
    assert name is not None
    b.tensors[name] = replace(b.tensors[name], shape=data.shape, data=frozen(data))


def kill(b: GraphBuilder, y: str, outs: Sequence[int], sums: int | Sequence[int] = 0) -> str:
    """`y` with zero filters for some channels, whose value comes from the bias `sums`."""
    node = next(node for node in b.nodes if node.output == y)
    axis = -1 if isinstance(node.op, ops.DepthwiseConv2D) else 0
    w = b.tensors[node.inputs[1] or ""].values.copy()
    np.moveaxis(w, axis, 0)[list(outs)] = 0
    refill(b, node.inputs[1], w)
    if node.inputs[2] is not None:
        bias = b.tensors[node.inputs[2]].values.copy()
        bias[list(outs)] = sums
        refill(b, node.inputs[2], bias)
    return y


def unread(b: GraphBuilder, y: str, ins: Sequence[int]) -> str:
    """`y` of a CONV_2D or FULLY_CONNECTED without weights for some inputs."""
    node = next(node for node in b.nodes if node.output == y)
    w = b.tensors[node.inputs[1] or ""].values.copy()
    w[..., list(ins)] = 0
    refill(b, node.inputs[1], w)
    return y


def dead_conv(b: GraphBuilder, x: str, *, value: str = "other", name: str = "a") -> str:
    """Six channels; 1, 3 and 4 are constant: at the zero point, or at other values."""
    y = b.conv(x, 6, (1, 1), quant=QUANT, output=name)
    return kill(b, y, (1, 3, 4), 0 if value == "zero" else (9000, -7000, 2500))


def after(graph: Graph, index: int = -1) -> ops.Op:
    return remove_dead_channels(graph).nodes[index].op


# Convolutions


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("value", ["zero", "other"])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 2)])
def test_constants_move_into_the_bias(kernel: tuple[int, int], value: str, bias: bool) -> None:
    b, x = starting()
    y = b.conv(dead_conv(b, x, value=value), 5, kernel, bias=bias)
    graph = b.graph(y)
    assert cut(graph) == {"a": 3}
    assert (graph.nodes[1].inputs[2] is None) is not bias
    found = remove_dead_channels(graph).nodes[1].inputs[2]
    assert (found is None) == (not bias and value == "zero")


def test_constants_at_borders() -> None:
    """With padding, a constant that is not the zero point counts inside the map only."""
    for value, found in (("zero", {"a": 3}), ("other", {})):
        b, x = starting()
        graph = b.graph(b.conv(dead_conv(b, x, value=value), 5, pads=AROUND))
        assert cut(graph) == found


def test_taps_that_never_meet_the_padding() -> None:
    """A constant may move where only such taps have weights."""
    for tap, found in (((1, 1), {"a": 3}), ((0, 1), {})):
        b, x = starting()
        y = b.conv(dead_conv(b, x), 5, pads=AROUND)
        w = b.nodes[-1].inputs[1] or ""
        data = np.zeros_like(b.tensors[w].values)
        data[:, tap[0], tap[1]] = b.tensors[w].values[:, tap[0], tap[1]]
        refill(b, w, data)
        assert cut(b.graph(y)) == found


def test_taps_that_are_always_in_the_padding() -> None:
    """A map of one row under a kernel of three: its first and last row of weights do nothing."""
    b, x = starting((1, 1, 4, 3))
    y = b.conv(dead_conv(b, x), 5, (3, 1), pads=Pads(1, 1, 0, 0))
    assert cut(b.graph(y)) == {"a": 3}

    b, x = starting((1, 1, 4, 3))
    y = b.conv(x, 5, (3, 1), pads=Pads(1, 1, 0, 0), output="a")
    w = b.nodes[-1].inputs[1] or ""
    data = b.tensors[w].values.copy()
    data[:2, 1] = 0
    refill(b, w, data)
    assert cut(b.graph(b.conv(y, 2, (1, 1)))) == {"a": 3}


def test_a_bias_that_would_not_fit_int32() -> None:
    for large, found in ((LARGE, {}), (LARGE // 2, {"a": 3})):
        for sign in (1, -1):
            b, x = starting()
            a = kill(b, dead_conv(b, x), (1, 3, 4), (sign * 9000, sign * -7000, sign * 2500))
            y = b.conv(a, 5, (1, 1))
            refill(b, b.nodes[-1].inputs[2], np.full(5, sign * large, np.int32))
            assert cut(b.graph(y)) == found


def test_all_channels_dead_but_one_stays() -> None:
    b, x = starting()
    a = kill(b, b.conv(x, 4, output="a"), range(4), (100, 2000, -3000, 4000))
    graph = b.graph(b.conv(a, 2, (1, 1)))
    assert cut(graph) == {"a": 1}


def test_without_per_channel_scales() -> None:
    b, x = starting()
    a = kill(b, b.conv(x, 4, per_channel=False, output="a"), (0, 2), 1234)
    assert cut(b.graph(b.conv(a, 2, (1, 1), per_channel=False))) == {"a": 2}


def test_weights_that_two_layers_share() -> None:
    b, x = starting()
    first = b.conv(x, 3, (1, 1), quant=QUANT, output="a")
    b.nodes.append(replace(b.nodes[-1], name="again", inputs=(x, *b.nodes[-1].inputs[1:])))
    b.nodes[-1] = replace(b.nodes[-1], outputs=("c",))
    b.tensors["c"] = replace(b.tensors[first], name="c")
    kill(b, first, (1,), 5000)
    graph = b.graph(b.conv(first, 2, (1, 1)), "c")
    assert cut(graph) == {"a": 2}


# Depthwise convolutions


@pytest.mark.parametrize("pads", [Pads(), AROUND])
@pytest.mark.parametrize("value", ["zero", "other"])
def test_through_a_depthwise(value: str, pads: Pads) -> None:
    """A constant stays one but where it meets padding and is not the zero point."""
    b, x = starting()
    y = b.depthwise(dead_conv(b, x, value=value), pads=pads, output="d")
    graph = b.graph(b.conv(y, 2, (1, 1)))
    exact = value == "zero" or pads == Pads()
    assert cut(graph) == ({"a": 3, "d": 3} if exact else {})


def test_a_border_that_the_activation_hides() -> None:
    """Every position is computed, so it is seen that all are clamped to the same value."""
    b, x = starting()
    y = b.depthwise(dead_conv(b, x), pads=AROUND, activation=Activation.RELU, output="d")
    refill(b, b.nodes[-1].inputs[2], np.full(6, -(10**7), np.int32))
    graph = b.graph(b.conv(y, 2, (1, 1)))
    assert cut(graph) == {"a": 3, "d": 3}


def test_zero_filters_of_a_depthwise() -> None:
    b, x = starting()
    a = b.conv(x, 4, (1, 1), output="a")
    y = kill(b, b.depthwise(a, pads=AROUND, output="d"), (0, 3), 777)
    assert cut(b.graph(b.conv(y, 2, (1, 1)))) == {"a": 2, "d": 2}


def test_zero_filters_of_a_depthwise_on_an_input_of_the_graph() -> None:
    b, x = starting()
    y = kill(b, b.depthwise(x, output="d"), (1,), 777)
    assert cut(b.graph(b.conv(y, 2, (1, 1)))) == {}


@pytest.mark.parametrize(("dead", "found"), [((2, 3), {"a": 2, "d": 4}), ((2, 5), {})])
def test_multipliers(dead: tuple[int, int], found: dict[str, int]) -> None:
    """An input goes with all its outputs."""
    b, x = starting()
    a = b.conv(x, 3, (1, 1), output="a")
    y = kill(b, b.depthwise(a, 2, output="d"), dead, 777)
    graph = b.graph(b.conv(y, 2, (1, 1)))
    assert cut(graph) == found


def test_the_outputs_of_a_single_input_go_one_by_one() -> None:
    b, x = starting((1, 5, 4, 1))
    y = kill(b, b.depthwise(x, 8, output="d"), (0, 1, 5), 777)
    graph = b.graph(b.conv(y, 2, (1, 1)))
    assert cut(graph) == {"d": 5}
    op = after(graph, 0)
    assert isinstance(op, ops.DepthwiseConv2D) and op.multiplier == 5


# Nobody reads it


def test_channels_without_weights() -> None:
    """Not constant, but multiplied by 0: they go, back to where they are made."""
    b, x = starting()
    y = b.conv(x, 6, output="a")
    y = b.node(ops.Relu(), (y,), output="r")
    y = b.depthwise(y, kernel=(1, 2), pads=AROUND, output="d")
    graph = b.graph(unread(b, b.conv(y, 3, pads=AROUND), (0, 2, 5)))
    assert cut(graph) == {"a": 3, "r": 3, "d": 3}


def test_what_only_dead_channels_read() -> None:
    b, x = starting()
    a = b.conv(x, 4, (1, 1), output="a")
    c = b.conv(a, 4, (1, 1), output="c")
    w = b.tensors[b.nodes[-1].inputs[1] or ""].values.copy()
    w[:3, ..., 3] = 0
    refill(b, b.nodes[-1].inputs[1], w)
    assert cut(b.graph(unread(b, b.conv(c, 2), (3,)))) == {"a": 3, "c": 3}


def test_another_reader_keeps_it() -> None:
    b, x = starting()
    y = b.conv(x, 6, (1, 1), output="a")
    first = unread(b, b.conv(y, 2), (0, 2))
    second = unread(b, b.conv(y, 2), (2, 3))
    assert cut(b.graph(first, second)) == {"a": 5}


def test_inputs_and_outputs_stay_whole() -> None:
    b, x = starting()
    y = dead_conv(b, unread(b, b.conv(x, 3), (0, 1)))
    graph = b.graph(b.conv(y, 2, (1, 1)), y)
    assert cut(graph) == {}


# Element-wise ops


UNARY = (
    ops.Relu(),
    ops.HardSwish(),
    ops.LeakyRelu(alpha=0.1),
    ops.Quantize(),
    ops.MaxPool2D(filter=(2, 2), pads=AROUND),
    ops.AveragePool2D(filter=(3, 2), pads=AROUND, activation=Activation.RELU),
    ops.ResizeNearestNeighbor(size=(7, 9)),
    ops.ResizeBilinear(size=(8, 3)),
    ops.Mean(axes=(1, 2)),
    ops.Mean(axes=(2,), keep_dims=True),
    ops.Transpose((0, 2, 1, 3)),
    ops.Reshape((1, 20, 1, 6)),
    ops.Reshape((4, 30)),
    ops.Split(axis=1, count=1),
)


@pytest.mark.parametrize("op", UNARY, ids=lambda op: op.kind)
def test_ops_that_keep_channels_apart(op: ops.Op) -> None:
    b, x = starting()
    y = b.node(op, (dead_conv(b, x),), output="y")
    wide = b.tensors[y].shape[-1]
    graph = b.graph(b.dense(y, 2) if len(b.tensors[y].shape) != 4 else b.conv(y, 2, (1, 1)))
    assert cut(graph) == {"a": 3, "y": wide // 2}


@pytest.mark.parametrize(
    "op",
    [
        ops.Transpose((0, 3, 1, 2)),
        ops.Mean(axes=(3,), keep_dims=True),
        ops.Softmax(),
        ops.Reshape((1, 6, 5, 4)),
    ],
    ids=lambda op: op.kind,
)
def test_ops_that_mix_channels(op: ops.Op) -> None:
    b, x = starting()
    quant = per_tensor(1 / 256, -128) if isinstance(op, ops.Softmax) else None
    y = b.node(op, (dead_conv(b, x),), quant)
    assert cut(b.graph(b.conv(y, 2, (1, 1)))) == {}


def test_arg_max_over_rows() -> None:
    b, x = starting()
    a = dead_conv(b, x)
    graph = b.graph(b.node(ops.ArgMax(axis=1), (a,), dtype=DType.INT32))
    assert cut(graph) == {}


BINARY = (ops.Add, ops.Sub, ops.Mul, ops.Minimum, ops.Maximum, ops.Prelu)


@pytest.mark.parametrize("kind", BINARY, ids=lambda kind: kind.kind)
def test_two_operands(kind: type[ops.Op]) -> None:
    """A channel of the result is constant where both operands' are; all three go together."""
    for dead, found in (((1, 2), {"a": 3, "c": 3, "y": 3}), ((), {})):
        b, x = starting()
        a = kill(b, b.conv(x, 4, (1, 1), quant=QUANT, output="a"), (0, 1), (4000, 5000))
        c = b.conv(x, 4, (1, 1), quant=QUANT, output="c")
        if dead:
            kill(b, c, dead, (6000, 3000))
        y = b.node(kind(), (a, c), QUANT, output="y")
        assert cut(b.graph(b.conv(y, 2, (1, 1)))) == found


def test_residuals_share_their_channels() -> None:
    """Over two blocks: what the last one adds to a channel keeps it everywhere."""
    for last, found in (((0, 1), {"a": 2, "c": 2, "y": 2, "d": 2, "z": 2}), ((0,), {})):
        b, x = starting()
        a = kill(b, b.conv(x, 4, (1, 1), quant=QUANT, output="a"), (0, 1), 0)
        c = kill(b, b.conv(a, 4, (1, 1), quant=QUANT, output="c"), (0, 1), 2222)
        y = b.node(ops.Add(), (a, c), QUANT, output="y")
        d = kill(b, b.conv(y, 4, (1, 1), quant=QUANT, output="d"), last, 3333)
        z = b.node(ops.Add(), (y, d), QUANT, output="z")
        graph = b.graph(b.conv(z, 2, (1, 1)))
        assert cut(graph) == (found or {"a": 3, "c": 3, "y": 3, "d": 3, "z": 3})


@pytest.mark.parametrize("shape", [(), (1,), (6,), (1, 1, 1, 6), (1, 5, 4, 1), (1, 5, 4, 6)])
def test_constant_operands(shape: Shape) -> None:
    """A map that differs from pixel to pixel makes a constant channel one that is not."""
    b, x = starting()
    c = b.random_const(shape, QUANT)
    y = b.node(ops.Add(), (dead_conv(b, x), c), output="y")
    graph = b.graph(b.conv(y, 2, (1, 1)))
    exact = len(shape) < 2 or shape[1] == 1
    assert cut(graph) == ({"a": 3, "y": 3} if exact else {})
    if exact and shape and shape[-1] == 6:
        assert remove_dead_channels(graph).tensors[c].shape == (*shape[:-1], 3)


def test_a_factor_of_zero() -> None:
    """In a squeeze-and-excite block: no gate makes anything of a channel that is 0."""
    for value, found in (("zero", {"a": 3, "s": 3, "g": 3, "y": 3}), ("other", {})):
        b, x = starting()
        a = dead_conv(b, x, value=value)
        s = b.node(ops.Mean(axes=(1, 2), keep_dims=True), (a,), output="s")
        g = b.conv(s, 6, (1, 1), output="g")
        y = b.node(ops.Mul(), (a, g), QUANT, output="y")
        assert cut(b.graph(b.conv(y, 2, (1, 1)))) == found


def test_a_factor_that_may_be_anything() -> None:
    """Not known is not 0, where the zero point is 0, either."""
    b = GraphBuilder()
    x = b.input(SHAPE, per_tensor(0.05))
    a = kill(b, b.conv(x, 4, (1, 1), quant=per_tensor(0.05), output="a"), (1,), 5000)
    y = b.node(ops.Mul(), (b.conv(x, 4, (1, 1), quant=per_tensor(0.05)), a), QUANT)
    assert cut(b.graph(b.conv(y, 2, (1, 1)))) == {}


@pytest.mark.parametrize("dead", [(), (1, 2)])
def test_weights_that_are_an_operand_elsewhere(dead: tuple[int, ...]) -> None:
    """They stay whole, until the layer has weights of its own, which are fewer."""
    b, x = starting((1, 6))
    y = kill(b, b.dense(x, 4, quant=QUANT, output="a"), dead, 3000)
    w = b.nodes[-1].inputs[1]
    c = b.dense(x, 6, output="c")
    z = b.node(ops.Reshape((1, 1, 4, 6)), (b.node(ops.Add(), (c, w), output="y"),), output="z")
    graph = b.graph(b.dense(y, 2), unread(b, b.conv(z, 2, (1, 1)), (0, 3)))
    assert cut(graph) == ({"a": 2, "c": 4, "y": 4, "z": 4} if dead else {})


# Ops that move channels


def test_concatenation_along_channels() -> None:
    b, x = starting()
    parts = (
        b.conv(x, 2, (1, 1), quant=QUANT, output="p"),
        b.random_const((1, 5, 4, 2), QUANT),
        dead_conv(b, x),
        b.const(np.full((1, 5, 4, 3), 9, np.int8), QUANT),
    )
    y = b.node(ops.Concatenation(axis=3), parts, output="y")
    graph = b.graph(unread(b, b.conv(y, 4, (1, 1)), (0, 2)))
    assert cut(graph) == {"p": 1, "a": 3, "y": 6}


def test_concatenation_along_rows() -> None:
    for value, found in ((9000, {"a": 3, "c": 3, "y": 3}), (8000, {})):
        b, x = starting()
        a = kill(b, b.conv(x, 4, (1, 1), quant=QUANT, output="a"), (2,), 9000)
        c = b.node(ops.Relu(), (a,), output="c")
        if value != 9000:
            c = b.node(ops.Quantize(), (c,), per_tensor(0.06, ZERO_POINT))
            b.tensors[c] = replace(b.tensors[c], quant=QUANT)
            kill(b, a, (2,), -9000)
        y = b.node(ops.Concatenation(axis=1), (a, c), output="y")
        assert cut(b.graph(b.conv(y, 2, (1, 1)))) == found


def test_split_parts_stay_equal() -> None:
    for dead, found in (((1, 4), {"a": 4, "p": 2, "q": 2}), ((1, 3), {})):
        b, x = starting()
        a = kill(b, b.conv(x, 6, (1, 1), quant=QUANT, output="a"), dead, 4000)
        p, q = b.split_node(ops.Split(axis=3, count=2), (a,))
        graph = b.graph(b.conv(p, 2, (1, 1)), b.conv(q, 2, (1, 1)))
        names = {"p": p, "q": q}
        assert cut(graph) == {names.get(name, name): width for name, width in found.items()}


def test_slices_pick_what_they_picked() -> None:
    """Of the channels 0 to 9, here 1, 4, 7 or backwards; who else reads keeps others."""
    for begin, stride, others, found in (
        (1, 3, range(10), {"a": 3}),
        (7, -3, range(10), {"a": 3}),
        (1, 3, (2,), {}),
        (7, -3, (5,), {}),
        (1, 3, (2, 5, 9), {"a": 7}),
        (7, -3, (0, 9), {"a": 8}),
    ):
        b, x = starting()
        a = b.conv(x, 10, (1, 1), quant=QUANT, output="a")
        op = ops.StridedSlice((0, 1, 0, begin), (1, 4, 4, 3), (1, 1, 1, stride), (1, 4, 4, 3))
        s = b.node(op, (a,), output="s")
        outputs = [b.conv(s, 2, (1, 1))]
        if len(others) < 10:
            outputs.append(unread(b, b.conv(a, 2, (1, 1)), others))
        graph = b.graph(*outputs)
        assert cut(graph) == found


def test_steps_of_slices() -> None:
    ins = np.array([0, 2, 3, 5, 8])
    assert steps(2, 3, np.arange(3), ins) is None
    assert steps(8, -3, np.arange(3), ins) is None
    assert steps(8, -5, np.arange(2), ins) == (4, -2)
    assert steps(2, 3, np.array([1]), ins) == (3, 1)


@pytest.mark.parametrize(("value", "exact"), [("zero", True), ("other", False)])
def test_pad_around_the_map(value: str, exact: bool) -> None:
    b, x = starting()
    op = ops.Pad(((0, 0), (1, 0), (0, 2), (0, 0)))
    y = b.node(op, (dead_conv(b, x, value=value),), output="y")
    assert cut(b.graph(b.conv(y, 2, (1, 1)))) == ({"a": 3, "y": 3} if exact else {})


def test_pad_along_channels() -> None:
    """What it fills in is constant, too."""
    b, x = starting()
    a = dead_conv(b, x)
    y = b.node(ops.Pad(((0, 0), (0, 0), (0, 0), (1, 2)), 77), (a,), output="y")
    graph = b.graph(b.conv(y, 2, (1, 1)))
    assert cut(graph) == {"a": 3, "y": 3}
    op = after(graph, 1)
    assert isinstance(op, ops.Pad) and op.paddings[-1] == (0, 0)
    assert kinds(optimize(graph)) == ["CONV_2D", "CONV_2D"]


def test_pad_along_channels_where_some_of_it_stays() -> None:
    b, x = starting()
    a = b.conv(x, 4, (1, 1), quant=QUANT, output="a")
    y = b.node(ops.Pad(((0, 0), (0, 0), (0, 0), (2, 3)), 77), (a,), output="y")
    graph = b.graph(unread(b, b.conv(y, 2, pads=AROUND), (0, 3, 8)))
    assert cut(graph) == {"a": 3, "y": 6}
    op = after(graph, 1)
    assert isinstance(op, ops.Pad) and op.paddings[-1] == (1, 2)


# Fully connected layers


def test_dense_on_a_map() -> None:
    """A column for each channel of each pixel."""
    b, x = starting()
    y = b.node(ops.Reshape((1, 120)), (dead_conv(b, x),), output="y")
    assert cut(b.graph(b.dense(y, 3))) == {"a": 3, "y": 60}

    b, x = starting()
    assert cut(b.graph(b.dense(dead_conv(b, x), 3, bias=False))) == {"a": 3}


def test_a_channel_goes_where_no_pixel_of_it_is_read() -> None:
    for columns, found in ((range(2, 120, 6), {"a": 5, "y": 100}), (range(2, 114, 6), {})):
        b, x = starting()
        a = b.conv(x, 6, (1, 1), output="a")
        y = b.node(ops.Reshape((1, 120)), (a,), output="y")
        assert cut(b.graph(unread(b, b.dense(y, 3), columns))) == found


def test_dense_outputs() -> None:
    b, x = starting((1, 12))
    y = kill(b, b.dense(x, 8, activation=Activation.RELU, output="a"), (0, 1, 2), (500, -500, 0))
    assert cut(b.graph(b.dense(y, 3))) == {"a": 5}


def test_dense_weights_with_a_zero_point() -> None:
    """A weight is 0 at its zero point."""
    for zero_point, found in ((0, {"a": 3}), (4, {})):
        b, x = starting((1, 12))
        y = kill(b, b.dense(x, 6, output="a"), (0, 2, 5), 900)
        w = b.nodes[-1].inputs[1] or ""
        scale = b.tensors[w].q.scale
        b.tensors[w] = replace(b.tensors[w], quant=Quant((scale,), (zero_point,)))
        graph = b.graph(b.dense(y, 3))
        assert cut(graph) == found
        refill(b, w, (b.tensors[w].values == 0) * np.int8(zero_point - 7) + np.int8(7))
        assert cut(b.graph(*graph.outputs)) == {"a": 3}


def test_dense_columns_with_a_zero_point() -> None:
    b, x = starting((1, 12))
    a = kill(b, b.dense(x, 6, output="a"), (0, 2, 5), 900)
    y = b.dense(a, 3)
    w = b.nodes[-1].inputs[1] or ""
    b.tensors[w] = replace(b.tensors[w], quant=Quant(b.tensors[w].q.scales, (11,)))
    assert cut(b.graph(y)) == {"a": 3}


def test_several_vectors_from_one_pixel() -> None:
    """Columns that belong to no channel: the operand stays."""
    b, x = starting()
    a = dead_conv(b, x)
    w = b.random_const((5, 2), per_tensor(0.01))
    y = b.node(ops.FullyConnected(), (a, w, None), QUANT)
    assert cut(b.graph(y)) == {}


def test_a_dense_layer_per_channel_down_to_one_output() -> None:
    """Several scales go unchecked, one must be the product of input's and weights'."""
    b, x = starting((1, 12))
    y = kill(b, b.dense(x, 3, quant=QUANT, output="a"), (0, 2), 900)
    _, w, bias = b.nodes[-1].inputs
    assert w is not None and bias is not None
    b.tensors[w] = replace(b.tensors[w], quant=Quant((0.5, 0.25, 0.125), (0, 0, 0)))
    b.tensors[bias] = replace(b.tensors[bias], quant=Quant((8.0, 8.0, 8.0), (0, 0, 0)))
    assert cut(b.graph(b.dense(y, 3))) == {"a": 1}


# Together


def test_nothing_to_remove() -> None:
    b, x = starting()
    y = b.depthwise(b.conv(x, 4, (1, 1)), pads=AROUND)
    graph = b.graph(b.conv(b.node(ops.Add(), (y, y)), 3))
    assert remove_dead_channels(graph) is graph


def test_random_networks() -> None:
    """What goes is exact, and much does go."""
    changed = smaller = 0

    @settings(max_examples=400, deadline=None, derandomize=True, database=None)
    @given(with_dead_channels(graphs(max_nodes=14)))
    def check(graph: Graph) -> None:
        nonlocal changed, smaller
        rewritten = remove_dead_channels(graph)
        assert_equivalent(graph, rewritten, seeds=2)
        assert remove_dead_channels(rewritten) is rewritten
        before, after = (sum(g.macs(n) for n in g.nodes) for g in (graph, rewritten))
        assert after <= before
        changed += rewritten is not graph
        smaller += after < before

    check()
    assert changed > 50 and smaller > 50, (changed, smaller)
