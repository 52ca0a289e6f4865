"""The integer constants of SVDF and LSTM layers, computed exactly as by TFLite Micro."""

from dataclasses import dataclass
from math import exp, frexp

import numpy as np
import numpy.typing as npt

from tinyml.ir import ops
from tinyml.ir.graph import Graph, Node, Tensor
from tinyml.ir.ops.recurrent import (
    GATES,
    LSTM_CELL,
    LSTM_HIDDEN,
    LSTM_INPUT_WEIGHTS,
    LSTM_RECURRENT_WEIGHTS,
)
from tinyml.quant.scales import Rescale, operand, rescale, unsupported

GATE_SCALE = 2.0**-12
"""Of what goes into the functions of an LSTM: Q3.12."""

UNIT_SCALE = 2.0**-15
"""Of what comes out of them: Q0.15."""

_LARGEST_CELL, _SMALLEST_CELL = 2, -24
"""Exponents of the scales of a cell for which its tanh stays within 32 bits."""


@dataclass(frozen=True, slots=True)
class SvdfParams:
    """SVDF: the sums over inputs are rescaled by `feature`, those over time by `output`."""

    input_zero_point: int
    state_zero_point: int
    output_zero_point: int
    feature: Rescale
    output: Rescale


def svdf_params(graph: Graph, node: Node) -> SvdfParams:
    """SVDF; TFLite Micro multiplies and divides these scales in float32."""
    x, feature, time, state = (operand(graph, node, i) for i in (0, 1, 2, 4))
    y, bias = graph.results(node)[0], graph.operands(node)[3]
    into_state = _float(x.q.scale) * _float(feature.q.scale) / _float(state.q.scale)
    products = _float(state.q.scale) * _float(time.q.scale)
    if (
        bias is not None
        and abs((bias.quant.scale if bias.quant else 0.0) - float(products)) >= 1e-5
    ):
        raise unsupported(
            node,
            bias,
            f"the bias is not quantised by {products:g}, state times time weights",
            "quantise the bias by the product of both scales",
        )
    return SvdfParams(
        input_zero_point=x.q.zero_point,
        state_zero_point=state.q.zero_point,
        output_zero_point=y.q.zero_point,
        feature=rescale(node, feature, float(into_state)),
        output=rescale(node, time, float(products / _float(y.q.scale))),
    )


@dataclass(frozen=True, slots=True)
class GateParams:
    """One gate: its sums over inputs and over the hidden state, each rescaled to Q3.12."""

    input: Rescale
    recurrent: Rescale


@dataclass(frozen=True, slots=True)
class LstmParams:
    """UNIDIRECTIONAL_SEQUENCE_LSTM: gates by `GATES`, and what their results are rescaled by."""

    gates: tuple[GateParams, ...]
    input_zero_point: int
    hidden_zero_point: int
    forget: Rescale
    """Forget gate times cell -> cell."""
    update: Rescale
    """Input gate times cell gate -> cell."""
    hidden: Rescale
    """Output gate times tanh of the cell -> hidden state."""
    cell_shift: int
    """A cell is a number times 2 ** cell_shift."""
    cell_clip: int
    """0: none."""


def lstm_params(graph: Graph, node: Node) -> LstmParams:
    """UNIDIRECTIONAL_SEQUENCE_LSTM; weights are symmetric, cells quantised by a power of two."""
    op = node.op
    assert isinstance(op, ops.Lstm)
    x, hidden, cell = (operand(graph, node, i) for i in (0, LSTM_HIDDEN, LSTM_CELL))
    gates = []
    for gate in range(len(GATES)):
        weights = operand(graph, node, LSTM_INPUT_WEIGHTS + gate)
        recurrent = operand(graph, node, LSTM_RECURRENT_WEIGHTS + gate)
        gates.append(GateParams(_gate(node, x, weights), _gate(node, hidden, recurrent)))
    fraction, exponent = frexp(cell.q.scale)
    if fraction != 0.5 or not _SMALLEST_CELL <= exponent - 1 <= _LARGEST_CELL:
        raise unsupported(
            node,
            cell,
            f"its scale {cell.q.scale:g} is no power of two from 2**{_SMALLEST_CELL} to "
            f"2**{_LARGEST_CELL}",
            "convert the model anew",
        )
    clip = min(float(_float(op.cell_clip)) / cell.q.scale, 32767.0)
    return LstmParams(
        gates=tuple(gates),
        input_zero_point=x.q.zero_point,
        hidden_zero_point=hidden.q.zero_point,
        forget=rescale(node, cell, UNIT_SCALE * cell.q.scale / cell.q.scale),
        update=rescale(node, cell, UNIT_SCALE * UNIT_SCALE / cell.q.scale),
        hidden=rescale(node, hidden, UNIT_SCALE * UNIT_SCALE / hidden.q.scale),
        cell_shift=exponent - 1,
        cell_clip=int(clip),
    )


def _gate(node: Node, x: Tensor, weights: Tensor) -> Rescale:
    """As of any dense layer: the product of the scales in float32, the rest in double."""
    return rescale(node, weights, float(_float(x.q.scale) * _float(weights.q.scale)) / GATE_SCALE)


def _float(value: float) -> np.float32:
    return np.float32(value)


def sigmoid_table() -> npt.NDArray[np.uint16]:
    """What the 16-bit functions interpolate between: sigmoids of 0, 1/24, ... 255/24 in Q0.16.

    Each is raised by half of what the curve lies above its chords there (steps**2 / 8 times the
    second derivative), which halves the largest error; the last one is the limit.
    """
    step = 1 / 24
    found = []
    for i in range(255):
        value = 1 / (1 + exp(-i * step))
        bend = value * (1 - value) * (2 * value - 1)
        found.append(round(65536 * (value + bend * step**2 / 16)))
    return np.array([*found, 65535], np.uint16)
