"""Programs of training steps: their gradients, and what they promise about order."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from tests.support.builder import GraphBuilder, per_tensor
from tests.train.nets import chain_net, image, label, odd_net, residual_net
from tests.train.transcription import Case, filtered
from tinyml.ir import ops
from tinyml.ir.graph import Graph, Tensor
from tinyml.ir.ops import Activation, Pads
from tinyml.reference import run
from tinyml.train import autodiff, reference
from tinyml.train import program as pr
from tinyml.train.forward import dequantized
from tinyml.train.gradient_filter import Window
from tinyml.train.grid import filter_grids
from tinyml.train.options import BIAS, LayerUpdate, TrainOptions
from tinyml.train.program import LossKind, Precision
from tinyml.train.tail import Last, Tail, chosen_layers, split, weighted_layers

FLOAT = TrainOptions(precision=Precision.FLOAT32)
NETS = (residual_net(3), residual_net(10, 8), chain_net(3), odd_net(1))


def tail_of(graph: Graph, last: int | None = None) -> Tail:
    count = len(weighted_layers(graph)) if last is None else last
    return split(graph, chosen_layers(graph, Last(count)))


def outcome(
    tail: Tail, options: TrainOptions, target: Any, rate: float = 0.0, seed: int = 0
) -> reference.Outcome:
    program = autodiff.training_program(tail, options)
    state = reference.initial_state(tail, program)
    start = reference.boundary(tail, program, image(tail.graph, seed))
    return reference.train_step(tail, program, state, start, target, rate)


def learning(tail: Tail) -> set[str]:
    """All weights and biases of the head."""
    names = (name for node in weighted_layers(tail.head) for name in node.inputs[1:])
    return {name for name in names if name is not None}


def jax_loss(
    tail: Tail, jax: Any, start: Any, target: Any, kind: LossKind, through: Any = None
) -> Any:
    """The head's loss as a function of its parameters, in jax.

    `through` (node, value) replaces what a node gives, before its activation.
    """
    jnp, lax = jax.numpy, jax.lax

    def windows(op: Any, value: Any, filter: Any) -> Any:
        p = op.pads
        pads = ((0, 0), (p.top, p.bottom), (p.left, p.right), (0, 0))
        return lax.reduce_window(value, 0.0, lax.add, (1, *filter, 1), (1, *op.stride, 1), pads)

    def bias(node: Any, get: Any) -> Any:
        return get(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else 0.0

    def apply(node: Any, get: Any) -> Any:
        op, x, y = node.op, get(node.inputs[0]), tail.head.tensors[node.output]
        match op:
            case ops.Conv2D() | ops.DepthwiseConv2D():
                w, p = get(node.inputs[1]), op.pads
                deep = isinstance(op, ops.DepthwiseConv2D)
                result = lax.conv_general_dilated(
                    x,
                    w.transpose(1, 2, 0, 3) if deep else w.transpose(1, 2, 3, 0),
                    op.stride,
                    ((p.top, p.bottom), (p.left, p.right)),
                    dimension_numbers=("NHWC", "HWIO", "NHWC"),
                    feature_group_count=x.shape[3] if deep else 1,
                    precision="highest",
                ) + bias(node, get)
            case ops.FullyConnected():
                w = get(node.inputs[1])
                result = x.reshape(-1, w.shape[1]) @ w.T + bias(node, get)
            case ops.Add():
                result = x + get(node.inputs[1])
            case ops.AveragePool2D():
                count = windows(op, jnp.ones((1, *x.shape[1:3], 1)), op.filter)
                result = windows(op, x, op.filter) / count
            case ops.Mean():
                result = x.mean(axis=op.axes, keepdims=op.keep_dims)
            case ops.Concatenation():
                result = jnp.concatenate([get(name) for name in node.inputs], op.axis)
            case _:
                result = x.reshape(y.shape)
        if through is not None:
            return through(node, result)
        activation = getattr(op, "activation", Activation.NONE)
        if activation is Activation.RELU or isinstance(op, ops.Relu):
            return jax.nn.relu(result)
        if activation is Activation.RELU6 or isinstance(op, ops.Relu6):
            return jax.nn.relu6(result)
        return result

    def loss(parameters: Any) -> Any:
        values = {**start, **parameters}
        for node in tail.head.nodes:
            if not isinstance(node.op, ops.Softmax):
                values[node.output] = apply(node, values.__getitem__)
        y = values[tail.logits]
        if kind is LossKind.MEAN_SQUARED_ERROR:
            return jnp.mean((y - target) ** 2)
        return -jax.nn.log_softmax(y.reshape(-1))[int(target[0])]

    return loss


@pytest.mark.parametrize("graph", NETS, ids=lambda g: g.name)
@pytest.mark.parametrize("kind", LossKind)
def test_exact_gradients_are_those_of_autograd(graph: Graph, kind: LossKind) -> None:
    jax = pytest.importorskip("jax", reason="jax, an independent autograd, is not installed")
    is_mse = kind is LossKind.MEAN_SQUARED_ERROR
    tail = tail_of(without_softmax(graph) if is_mse else graph)
    target = np.float32([[1, -2, 0.5]]) if is_mse else label(2)
    options = replace(FLOAT, loss=kind)
    program = autodiff.training_program(tail, options)
    state = reference.initial_state(tail, program)
    start = reference.boundary(tail, program, image(graph))
    done = reference.train_step(tail, program, state, start, target, 0.0)
    loss = jax_loss(tail, jax, start, target, kind)
    value, gradients = jax.value_and_grad(loss)(dict(state.parameters))
    assert done.loss == pytest.approx(float(value), rel=1e-4)
    assert set(done.gradients) == learning(tail)
    for name, mine in done.gradients.items():
        scale = np.abs(gradients[name]).max()
        np.testing.assert_allclose(mine, gradients[name], rtol=1e-3, atol=1e-4 * scale + 1e-9)


def without_softmax(graph: Graph) -> Graph:
    nodes = tuple(node for node in graph.nodes if not isinstance(node.op, ops.Softmax))
    return replace(graph, outputs=nodes[-1].outputs).rebuilt(nodes)


@pytest.mark.parametrize("graph", NETS, ids=lambda g: g.name)
def test_exact_gradients_are_differences(graph: Graph) -> None:
    """Along random directions: (loss(p + e d) - loss(p - e d)) / 2 e against gradient * d."""
    tail = tail_of(graph)
    program = autodiff.training_program(tail, FLOAT)
    state = reference.initial_state(tail, program)
    start = reference.boundary(tail, program, image(graph))
    base = reference.train_step(tail, program, state, start, label(1), 0.0)
    rng = np.random.default_rng(0)
    for name, gradient in base.gradients.items():
        # Mostly along the gradient, so that the difference stands out of float32's rounding.
        step = gradient / np.linalg.norm(gradient)
        step = (step + rng.normal(0, 0.1 / np.sqrt(step.size), step.shape)).astype(np.float32)
        reach = 5e-4 * np.abs(state.parameters[name]).max()
        losses = []
        for sign in (1, -1):
            moved = {**state.parameters, name: state.parameters[name] + sign * reach * step}
            there = replace(state, parameters=moved)
            losses.append(reference.train_step(tail, program, there, start, label(1), 0.0).loss)
        slope = (losses[0] - losses[1]) / (2 * reach)
        assert slope == pytest.approx(float((gradient * step).sum()), rel=0.05), name


@pytest.mark.parametrize("radius", [2, 4])
@pytest.mark.parametrize("precision", Precision)
def test_patches_passed_on_are_the_gradient_spread_and_pooled(
    precision: Precision, radius: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where grids coincide no full-size gradient is made; what comes out is the same."""
    tail = tail_of(chain_net(3))
    options = TrainOptions(precision=precision, radius=radius)
    steps = autodiff.training_program(tail, options).steps
    assert sum(isinstance(step, pr.PoolShare) for step in steps) == 3
    assert not any(isinstance(step, pr.Spread) for step in steps)
    short = outcome(tail, options, label(0))
    monkeypatch.setattr(autodiff._Compiler, "shared_grid", lambda *_: None)
    long = outcome(tail, options, label(0))
    assert sum(isinstance(s, pr.Spread) for s in autodiff.training_program(tail, options).steps)
    for name, gradient in short.gradients.items():
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(
            gradient, long.gradients[name], rtol=1e-4, atol=1e-5 * scale, err_msg=name
        )


@pytest.mark.parametrize("graph", NETS, ids=lambda g: g.name)
def test_int8_gradients_are_those_of_autograd_straight_through(graph: Graph) -> None:
    """Around the real values of the integers, stopped where they saturate; d = gradient / s."""
    jax = pytest.importorskip("jax", reason="jax, an independent autograd, is not installed")
    tail = tail_of(graph)
    tensors, inputs = tail.head.tensors, image(graph)
    kept = run(tail.head, inputs, keep=True)
    real = {name: dequantized(tensors[name], value) for name, value in kept.items()}
    inside = {n.output: not_saturated(tail.head, n, kept[n.output]) for n in tail.head.nodes}

    def through(node: Any, value: Any) -> Any:
        moving = inside[node.output] * value
        return real[node.output] + moving - jax.lax.stop_gradient(moving)

    start = {name: real[name] for name in tail.head.inputs}
    loss = jax_loss(tail, jax, start, label(1), LossKind.CROSS_ENTROPY, through)
    parameters = {n: dequantized(t, t.values) for n, t in tensors.items() if t.is_const}
    value, gradients = jax.value_and_grad(loss)(parameters)
    done = outcome(tail, TrainOptions(), label(1))
    assert done.loss == pytest.approx(float(value), rel=1e-4, abs=1e-6)
    assert {n for n, gradient in done.gradients.items() if gradient.any()} == learning(tail)
    for name, mine in done.gradients.items():
        expected = gradients[name] / scales_of(tensors[name], mine.ndim)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(mine, expected, rtol=1e-3, atol=1e-4 * scale, err_msg=name)


def not_saturated(graph: Graph, node: Any, q: np.ndarray) -> np.ndarray:
    """1 where the integer is not at the end of what the node gives."""
    plain = getattr(node.op, "activation", Activation.NONE) is Activation.NONE
    moves = ops.Reshape | ops.Concatenation | ops.Softmax
    if isinstance(node.op, moves) or (isinstance(node.op, ops.AveragePool2D) and plain):
        return np.ones(q.shape, np.float32)
    quant, low, high = graph.tensors[node.output].q, -128, 127
    activation = getattr(node.op, "activation", Activation.NONE)
    six = isinstance(node.op, ops.Relu6) or activation is Activation.RELU6
    if six or activation is Activation.RELU:
        low = max(low, quant.zero_point)
    if six:
        high = min(high, quant.zero_point + round(6 / quant.scale))
    return ((q > low) & (q < high)).astype(np.float32)


def scales_of(tensor: Tensor, rank: int) -> np.ndarray:
    """The scales, shaped to divide an array of `rank`."""
    shape = [1] * rank
    if len(tensor.q.scales) > 1:
        shape[tensor.q.axis] = len(tensor.q.scales)
    return np.array(tensor.q.scales, np.float32).reshape(shape)


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (2, 2)])
@pytest.mark.parametrize("radius", [2, 3])
def test_int8_filtered_gradients_are_the_formulas(
    depthwise: bool, stride: tuple[int, int], radius: int
) -> None:
    """Of one layer, up to what rounding the means of its input to int8 can do, and no more."""
    b = GraphBuilder(seed=radius)
    x = b.input((1, 9, 7, 3), per_tensor(0.02, -5), name="image")
    make = partial(b.depthwise, x, 2) if depthwise else partial(b.conv, x, 4)
    quant = per_tensor(0.05, 0)
    graph = b.graph(make(stride=stride, pads=Pads(1, 0, 1, 1), quant=quant))
    tail, (node,) = tail_of(graph, 1), graph.nodes
    assert isinstance(node.op, ops.Conv2D | ops.DepthwiseConv2D)
    inputs, tensors = image(graph), graph.tensors
    y = run(graph, inputs)[node.output]
    target = np.zeros(y.shape, np.float32)
    options = TrainOptions(loss=LossKind.MEAN_SQUARED_ERROR, radius=radius)
    program = autodiff.training_program(tail, options)
    state = reference.initial_state(tail, program)
    done = reference.train_step(tail, program, state, inputs, target, 0.0)
    weights = tensors[str(node.inputs[1])]
    gy = (2 / y.size) * dequantized(tensors[node.output], y) * ((y > -128) & (y < 127))
    case = Case(
        Window((3, 3), stride, (1, 1), node.op.pads),
        2 if depthwise else 0,
        dequantized(tensors["image"], inputs["image"]),
        dequantized(weights, weights.values),
        gy,
    )
    expected = filtered(case, radius)
    scales = np.array(weights.q.scales)
    mine = done.gradients[weights.name] * (scales if depthwise else scales[:, None])
    mine = mine.reshape(expected.dw.shape)
    grid, _ = filter_grids(case.x.shape, gy.shape, stride, radius)
    reach = (
        0.5 * tensors["image"].q.scale * (np.abs(expected.g).max(axis=3)[0] * grid.counts()).sum()
    )
    off = np.abs(mine - expected.dw).max()
    assert 0 < off <= reach * 1.001 + 1e-6
    assert reach < 0.5 * np.abs(expected.dw).max()
    bias = tensors[str(node.inputs[2])]
    db = done.gradients[bias.name] * np.array(bias.q.scales)
    np.testing.assert_allclose(db, gy.sum(axis=(0, 1, 2)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("graph", NETS, ids=lambda g: g.name)
@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parametrize("precision", Precision)
def test_order(graph: Graph, radius: int, precision: Precision) -> None:
    """Values are there before they are read; weights pass gradients on before they change."""
    tail = tail_of(graph)
    program = autodiff.training_program(tail, TrainOptions(precision=precision, radius=radius))
    there = {n for n, b in program.buffers.items() if b.lasting} | {*tail.head.inputs, "target"}
    updated: set[str] = set()
    for step in program.steps:
        assert there >= set(step.reads), step
        if isinstance(step, pr.InputGradient):
            assert step.reads[1] not in updated
        if isinstance(step, pr.Update):
            updated.update(step.writes)
        there.update(step.writes)
    assert updated == learning(tail)


def test_sparse_updates_touch_nothing_else() -> None:
    graph = residual_net(3)
    layers = [node.name for node in weighted_layers(graph)]
    tail = tail_of(graph)
    updates = tuple((name, BIAS) for name in layers[::2])
    for precision in Precision:
        for radius in (1, 2):
            options = TrainOptions(
                precision=precision,
                radius=radius,
                update=LayerUpdate(share=0.5),
                updates=updates,
            )
            before = reference.initial_state(tail, autodiff.training_program(tail, options))
            after = outcome(tail, options, label(0), rate=0.5).state
            whole = outcome(tail, replace(options, update=LayerUpdate()), label(0)).gradients
            part = outcome(tail, options, label(0)).gradients
            for node in weighted_layers(graph):
                weights, bias = node.inputs[1], node.inputs[2]
                assert weights is not None and bias is not None
                assert (after.parameters[bias] != before.parameters[bias]).any()
                changed = after.parameters[weights] != before.parameters[weights]
                if node.name in layers[::2]:
                    assert not changed.any()
                    continue
                channels = part[weights].shape[-1]
                assert channels == -(-changed.shape[-1] // 2)
                assert changed.any() and not changed[..., channels:].any()
                np.testing.assert_array_equal(part[weights], whole[weights][..., :channels])


def test_a_frozen_layer_between_passes_gradients_on() -> None:
    graph = chain_net(3)
    names = [node.name for node in weighted_layers(graph)]
    some = split(graph, (names[1], names[4]))
    every = outcome(split(graph, names[1:]), FLOAT, label(1)).gradients
    found = outcome(some, FLOAT, label(1)).gradients
    assert len(found) == 4
    for name, gradient in found.items():
        np.testing.assert_array_equal(gradient, every[name])


def test_saturated_outputs_stop_gradients() -> None:
    """All logits at the end of their range: nothing moves in int8."""
    graph = chain_net(3)
    tail = tail_of(graph, 1)
    program = autodiff.training_program(tail, TrainOptions())
    state = reference.initial_state(tail, program)
    bias = weighted_layers(graph)[-1].inputs[2]
    assert bias is not None
    high = {**state.parameters, bias: np.full(3, 2**24, np.int32)}
    start = reference.boundary(tail, program, image(graph))
    there = replace(state, parameters=high)
    done = reference.train_step(tail, program, there, start, label(0), 1.0)
    assert not any(gradient.any() for gradient in done.gradients.values())
    for name, value in high.items():
        np.testing.assert_array_equal(done.state.parameters[name], value)


@pytest.mark.parametrize("precision", Precision)
def test_strides_can_be_divided_out(precision: Precision) -> None:
    """Of the weights of the last strided layer, which is behind no other."""
    graph = residual_net(3)
    tail = tail_of(graph)
    options = TrainOptions(precision=precision, radius=2)
    plain = outcome(tail, options, label(1)).gradients
    divided = outcome(tail, replace(options, normalise_stride=True), label(1)).gradients
    strided = [n for n in weighted_layers(graph) if getattr(n.op, "stride", (1, 1)) == (2, 2)][-1]
    weights, bias = (str(name) for name in strided.inputs[1:])
    np.testing.assert_array_equal(divided[weights], plain[weights] / 4)
    np.testing.assert_array_equal(divided[bias], plain[bias])
    assert plain[weights].any()
