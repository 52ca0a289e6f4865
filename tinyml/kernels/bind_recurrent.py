"""Layers that keep a state, and assignments to variables."""

import numpy as np

from tinyml.ir import ops
from tinyml.ir.ops.recurrent import (
    GATES,
    LSTM_BIASES,
    LSTM_INPUT_WEIGHTS,
    LSTM_RECURRENT_WEIGHTS,
)
from tinyml.kernels.call import FieldValue, KernelCall, OpStruct, WholeCall
from tinyml.kernels.site import CTYPES, Fields, Site, raw, scale_fields, table
from tinyml.quant.recurrent import lstm_params, sigmoid_table, svdf_params


def assign(site: Site) -> KernelCall:
    """ASSIGN_VARIABLE."""
    kernel = site.kernel()
    struct = OpStruct(kernel.struct, (("bytes", site.y.nbytes),))
    constant = site.x.is_const
    loop = WholeCall(
        () if constant else ("int8_t",),
        ("int8_t",),
        (table("int8_t", site.x.values.reshape(-1).view(np.int8)),) if constant else (),
        site.node.op.updates,
    )
    return KernelCall(kernel.name, struct, loop)


def svdf(site: Site) -> KernelCall:
    """SVDF, with a state of int16 or int8."""
    op = site.node.op
    assert isinstance(op, ops.Svdf)
    state = site.operand(4)
    kernel = site.kernel(f"{state.dtype.value} state")
    p = svdf_params(site.graph, site.node)
    feature, time, bias = site.operand(1), site.operand(2), site.optional(3)
    fields: Fields = (
        ("batches", site.x.shape[0]),
        ("inputs", site.x.shape[1]),
        ("filters", time.shape[0]),
        ("memory", time.shape[1]),
        ("rank", op.rank),
        ("input_zero_point", p.input_zero_point),
        ("state_zero_point", p.state_zero_point),
        ("output_zero_point", p.output_zero_point),
        *scale_fields("feature_scale", p.feature),
        *scale_fields("output_scale", p.output),
        ("feature_weights", raw(feature)),
        ("time_weights", raw(time)),
        ("bias", None if bias is None else raw(bias)),
    )
    loop = WholeCall(("int8_t",), ("int8_t", CTYPES[state.dtype]), (), op.updates)
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)


def lstm(site: Site) -> KernelCall:
    """UNIDIRECTIONAL_SEQUENCE_LSTM."""
    op = site.node.op
    assert isinstance(op, ops.Lstm)
    kernel = site.kernel()
    p = lstm_params(site.graph, site.node)
    batches, steps = op.extent(site.x.shape)
    size, inputs = site.y.shape[2], site.x.shape[2]
    gates: list[tuple[str, FieldValue]] = []
    for at, name in enumerate(GATES):
        weights, recurrent, bias = (
            site.operand(first + at)
            for first in (LSTM_INPUT_WEIGHTS, LSTM_RECURRENT_WEIGHTS, LSTM_BIASES)
        )
        scales = p.gates[at]
        gates += [
            (f"{name}_gate.weights", raw(weights)),
            (f"{name}_gate.recurrent_weights", raw(recurrent)),
            (f"{name}_gate.bias", raw(bias)),
            *scale_fields(f"{name}_gate.scale", scales.input),
            *scale_fields(f"{name}_gate.recurrent_scale", scales.recurrent),
        ]
    fields: Fields = (
        ("batches", batches),
        ("steps", steps),
        ("inputs", inputs),
        ("size", size),
        ("time_major", int(op.time_major)),
        ("input_zero_point", p.input_zero_point),
        ("hidden_zero_point", p.hidden_zero_point),
        ("cell_shift", p.cell_shift),
        ("cell_clip", p.cell_clip),
        *scale_fields("forget_scale", p.forget),
        *scale_fields("update_scale", p.update),
        *scale_fields("hidden_scale", p.hidden),
        *gates,
        ("sigmoid", table("uint16_t", sigmoid_table())),
    )
    loop = WholeCall(("int8_t",), ("int8_t", "int8_t", "int16_t"), (), op.updates)
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)
