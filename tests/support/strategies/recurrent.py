"""Strategies for operators that keep a state: one-op graphs with the inputs of several calls."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from tests.support.strategies.base import (
    FLAGS,
    case,
    f32,
    quants,
    scales,
    tensor,
    values,
    zero_points,
)
from tinyml.ir import ops
from tinyml.ir.graph import Array, DType, Graph, Node, Quant, Shape, State, Tensor, updated
from tinyml.ir.ops.recurrent import GATES


@dataclass(frozen=True, slots=True)
class Sequence:
    """A graph and the inputs of each of its invocations, from a reset on."""

    graph: Graph
    inputs: tuple[dict[str, Array], ...]


def filled(shape: Shape, dtype: DType, value: int) -> Array:
    """What a state is reset to."""
    data = np.full(shape, value, dtype.numpy)
    data.setflags(write=False)
    return data


def stateful(
    op: ops.Op,
    operands: tuple[Tensor | None, ...],
    results: tuple[Tensor, ...],
    initial: tuple[Array, ...],
    inputs: tuple[dict[str, Array], ...],
) -> Sequence:
    """The graph of one node; its states begin as `initial`."""
    before = [operand for operand in (operands[i] for i in op.updates) if operand is not None]
    after = tuple(tensor(f"{t.name} (next)", t.shape, t.quant, t.dtype) for t in before)
    made = case(op, operands, (*results, *after), {})
    (node,) = made.graph.nodes
    states = tuple(
        State(old, new, value) for (old, new), value in zip(updated(node), initial, strict=True)
    )
    names = {t.name for t in before}
    return Sequence(
        Graph(
            "case",
            made.graph.tensors,
            (node,),
            tuple(name for name in made.graph.inputs if name not in names),
            tuple(t.name for t in results),
            states,
        ),
        inputs,
    )


@st.composite
def feeds(draw: st.DrawFn, shape: Shape, most: int, dtype: DType = DType.INT8):
    """Values of input x for up to so many invocations."""
    count = draw(st.integers(1, most))
    return tuple({"x": draw(values(shape, dtype))} for _ in range(count))


@st.composite
def svdf(draw: st.DrawFn, state_dtype: DType | None = None) -> Sequence:
    """States of both types, sums over time that use what 32 bits hold."""
    dtype = state_dtype or draw(st.sampled_from((DType.INT16, DType.INT8)))
    batches, inputs = draw(st.integers(1, 2)), draw(st.integers(1, 12))
    rank, units, memory = draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 8))
    filters = rank * units
    x_quant, feature_scale = draw(quants()), draw(scales(-9, 0))
    wide = dtype is DType.INT16
    ratio = 2.0 ** draw(st.floats(-9, 2) if wide else st.floats(-16, -3))
    state_quant = Quant((f32(x_quant.scale * feature_scale / ratio),), (draw(zero_points(dtype)),))
    low_time = draw(scales(-12, -4))
    products = float(np.float32(state_quant.scale) * np.float32(low_time))
    room = 2**31 - 2**21
    reach = room // (2**15 * memory * rank) if wide else 127
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    low, high = -min(reach, 2**15), min(reach, 2**15 - 1)
    style = draw(st.sampled_from(("random", "random", "extremes")))
    if style == "random":
        time_data = rng.integers(low, high, (filters, memory), endpoint=True)
    else:
        time_data = rng.choice(np.array([low, high]), (filters, memory))
    bias_data = rng.integers(-(2**20), 2**20, units).astype(np.int32)
    y_scale = f32(products * 2.0 ** draw(st.floats(2, 26) if wide else st.floats(0, 14)))
    y_quant = Quant((y_scale,), (draw(zero_points()),))
    x_shape = (batches, inputs)
    state = tensor("state", (batches, filters * memory), state_quant, dtype)
    return stateful(
        ops.Svdf(rank),
        (
            tensor("x", x_shape, x_quant),
            tensor(
                "feature",
                (filters, inputs),
                Quant((feature_scale,), (0,)),
                data=draw(values((filters, inputs))).copy(),
            ),
            tensor(
                "time",
                (filters, memory),
                Quant((low_time,), (0,)),
                dtype,
                time_data.astype(dtype.numpy),
            ),
            tensor("bias", (units,), Quant((products,), (0,)), DType.INT32, bias_data),
            state,
        ),
        (tensor("y", (batches, units), y_quant),),
        (filled(state.shape, dtype, 0 if wide else state_quant.zero_point),),
        draw(feeds(x_shape, 6)),
    )


@st.composite
def lstm(draw: st.DrawFn) -> Sequence:
    """Batches and steps in either order; gates from hardly open to saturated; clipped cells."""
    batches, steps = draw(st.integers(1, 2)), draw(st.integers(1, 4))
    inputs, size = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    time_major = draw(FLAGS)
    x_quant = draw(quants(scale=scales(-8, 0)))
    hidden_quant = draw(quants(scale=scales(-9, -5)))
    exponent = draw(st.integers(-15, -9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def weights(name: str, columns: int, scale: float) -> Tensor:
        ratio = 2.0 ** draw(st.floats(-8, 3))
        quant = Quant((f32(ratio * 2.0**-12 / scale),), (0,))
        return tensor(name, (size, columns), quant, data=draw(values((size, columns))).copy())

    first = [weights(f"{gate} weights", inputs, x_quant.scale) for gate in GATES]
    recurrent = [weights(f"{gate} recurrent", size, hidden_quant.scale) for gate in GATES]
    biases = [
        tensor(
            f"{gate} bias",
            (size,),
            Quant((f32(x_quant.scale * w.q.scale),), (0,)),
            DType.INT32,
            rng.integers(-(2**14), 2**14, size).astype(np.int32),
        )
        for gate, w in zip(GATES, first, strict=True)
    ]
    order = (steps, batches) if time_major else (batches, steps)
    hidden = tensor("hidden", (batches, size), hidden_quant)
    cell = tensor("cell", (batches, size), Quant((2.0**exponent,), (0,)), DType.INT16)
    clip = draw(st.sampled_from((0.0, 0.0, f32(draw(st.floats(0.01, 20.0))))))
    x_shape = (*order, inputs)
    return stateful(
        ops.Lstm(time_major, clip),
        (tensor("x", x_shape, x_quant), *first, *recurrent, *biases, hidden, cell),
        (tensor("y", (*order, size), hidden_quant),),
        (
            filled(hidden.shape, DType.INT8, hidden_quant.zero_point),
            filled(cell.shape, DType.INT16, 0),
        ),
        draw(feeds(x_shape, 3)),
    )


@st.composite
def variable(draw: st.DrawFn) -> Sequence:
    """What the last invocation was given: y is the variable before, x what it becomes."""
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    quant = draw(quants())
    before, x = tensor("variable", shape, quant), tensor("x", shape, quant)
    after, y = tensor("variable (next)", shape, quant), tensor("y", shape, quant)
    nodes = (
        Node("read", ops.Maximum(), ("variable", "variable"), ("y",)),
        Node("assign", ops.AssignVariable(), ("x", "variable"), (after.name,)),
    )
    initial = draw(values(shape)).copy()
    initial.setflags(write=False)
    graph = Graph(
        "variable",
        {t.name: t for t in (before, x, after, y)},
        nodes,
        ("x",),
        ("y",),
        (State("variable", after.name, initial),),
    )
    return Sequence(graph, draw(feeds(shape, 3)))


STATEFUL: dict[str, st.SearchStrategy[Sequence]] = {
    "ASSIGN_VARIABLE": variable(),
    "SVDF": svdf(),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": lstm(),
}
