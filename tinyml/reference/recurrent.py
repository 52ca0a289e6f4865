"""Layers that keep a state, and the variables of a model."""

import numpy as np

from tinyml.ir import ops
from tinyml.ir.graph import Array, Graph, Node
from tinyml.ir.ops.recurrent import (
    GATES,
    LSTM_BIASES,
    LSTM_CELL,
    LSTM_HIDDEN,
    LSTM_INPUT_WEIGHTS,
    LSTM_RECURRENT_WEIGHTS,
)
from tinyml.quant import fixedpoint as fx
from tinyml.quant.recurrent import LstmParams, lstm_params, sigmoid_table, svdf_params
from tinyml.quant.scales import LIMITS, Rescale, operand
from tinyml.reference.registry import ANY_TYPE, Operands, computes, present

_INT16 = (-32768, 32767)


@computes(ops.AssignVariable, types=ANY_TYPE)
def _assign(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    return (present(operands, 0).reshape(graph.results(node)[0].shape),)


@computes(ops.Svdf)
def _svdf(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    """TFLite Micro's `EvalIntegerSvdfReference`, whose states of int8 wrap at the edges."""
    op = node.op
    assert isinstance(op, ops.Svdf)
    p = svdf_params(graph, node)
    x, feature, time = (present(operands, i).astype(np.int64) for i in range(3))
    state, bias = present(operands, 4), operands[3]
    filters, length = time.shape
    batches = len(x)
    sums = _rescaled((x - p.input_zero_point) @ feature.T, p.feature)
    limited = fx.clip(sums, *LIMITS[operand(graph, node, 4).dtype])
    newest = (limited + p.state_zero_point).astype(state.dtype)  # which may wrap
    kept = state.reshape(batches, filters, length).astype(np.int64)
    kept = np.concatenate((kept[:, :, 1:], newest[:, :, None]), axis=2)
    over_time = ((kept - p.state_zero_point) * time).sum(axis=2)
    total = over_time.reshape(batches, -1, op.rank).sum(axis=2)
    if bias is not None:
        total = total + bias
    y = fx.clip(_rescaled(fx.wrap_int32(total), p.output) + p.output_zero_point, -128, 127)
    return y.astype(np.int8), kept.reshape(state.shape).astype(state.dtype)


@computes(ops.Lstm)
def _lstm(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    """TFLite Micro's `EvalLstm` for int8 inputs and 16-bit cells; batches are independent."""
    op = node.op
    assert isinstance(op, ops.Lstm)
    p = lstm_params(graph, node)
    stored = present(operands, 0)
    x = stored.astype(np.int64) if op.time_major else stored.swapaxes(0, 1).astype(np.int64)
    batches = x.shape[1]
    hidden, cell = (
        present(operands, i).reshape(batches, -1).astype(np.int64) for i in (LSTM_HIDDEN, LSTM_CELL)
    )
    steps = []
    for each in x:
        hidden, cell = _lstm_step(p, operands, each, hidden, cell)
        steps.append(hidden)
    y = np.stack(steps, axis=0 if op.time_major else 1).astype(np.int8)
    shapes = (tensor.shape for tensor in graph.results(node)[1:])
    return (
        y,
        hidden.astype(np.int8).reshape(next(shapes)),
        cell.astype(np.int16).reshape(next(shapes)),
    )


def _lstm_step(
    p: LstmParams, operands: Operands, x: fx.Ints, hidden: fx.Ints, cell: fx.Ints
) -> tuple[fx.Ints, fx.Ints]:
    """The next hidden state and cell; all [batches, size]."""

    def gate(name: str) -> fx.Ints:
        """Input and hidden state through the weights of a gate, in Q3.12."""
        at = GATES.index(name)
        weights = present(operands, LSTM_INPUT_WEIGHTS + at).astype(np.int64)
        recurrent = present(operands, LSTM_RECURRENT_WEIGHTS + at).astype(np.int64)
        bias = present(operands, LSTM_BIASES + at).astype(np.int64)
        sums = fx.wrap_int32((x - p.input_zero_point) @ weights.T + bias)
        again = (hidden - p.hidden_zero_point) @ recurrent.T
        scales = p.gates[at]
        first = fx.clip(_rescaled(sums, scales.input), *_INT16)
        second = fx.clip(_rescaled(again, scales.recurrent), *_INT16)
        return fx.clip(first + second, *_INT16)

    forget, update = sigmoid(gate("forget")), sigmoid(gate("input"))
    new = tanh(gate("cell"), -12)
    kept = fx.clip(_rescaled(forget * cell, p.forget), *_INT16)
    added = fx.clip(_rescaled(update * new, p.update), *_INT16)
    cell = fx.clip(kept + added, *_INT16)
    if p.cell_clip:
        cell = fx.clip(cell, -p.cell_clip, p.cell_clip)
    output = sigmoid(gate("output"))
    product = _rescaled(tanh(cell, p.cell_shift) * output, p.hidden)
    return fx.clip(product + p.hidden_zero_point, -128, 127), cell


def _rescaled(x: fx.Ints, scale: Rescale) -> fx.Ints:
    return fx.multiply_by_quantized_multiplier(x, scale.multiplier, scale.shift)


def sigmoid(x: fx.Ints) -> fx.Ints:
    """Q3.12 to Q0.15: TFLite's 16-bit `Logistic`, linear between the entries of a table."""
    scaled = x * 3
    low = _interpolated(np.abs(scaled), 9, 0x7FFF << 10)
    result = np.where(scaled >= 0, low + (1 << 9), (1 << 25) - low + (1 << 9) - 1)
    return result >> 10


def tanh(x: fx.Ints, exponent: int) -> fx.Ints:
    """Numbers times 2 ** exponent to Q0.15: TFLite's 16-bit `Tanh`, from the same table."""
    shift = exponent + 12
    scaled = (x * 3) << shift if shift >= 0 else (x * 3 + (1 << (-shift - 1))) >> -shift
    low = _interpolated(np.abs(scaled), 8, 0xFFFF << 8)
    half = 1 << 23
    result = np.where(scaled >= 0, low - half + (1 << 7), -low + half + (1 << 7) - 1)
    return result >> 8


def _interpolated(magnitude: fx.Ints, bits: int, most: int) -> fx.Ints:
    """The sigmoid of magnitude / 2**bits / 24 in Q0.16 with `bits` more bits; `most` at the end."""
    table = sigmoid_table().astype(np.int64)
    at = np.minimum(magnitude >> bits, 255)
    low, high = table[at], table[np.minimum(at + 1, 255)]
    between = (low << bits) + (magnitude & ((1 << bits) - 1)) * (high - low)
    return np.where(at >= 255, most, between)
