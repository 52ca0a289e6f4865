"""Hypothesis strategies: one-op graphs with inputs, within what TFLite Micro accepts.

`CASES[kind]` gives `Case`s for the op of that TFLite name: small random shapes, every
stride, dilation and (SAME or VALID) padding, extreme zero points, rescales that shift
both ways or vanish, and extreme data. int32 accumulators never overflow.
"""

from hypothesis.strategies import SearchStrategy

from tests.support.strategies import elementwise, linear, logic, movement
from tests.support.strategies.base import Case
from tinyml.ir import ops

CASES: dict[str, SearchStrategy[Case]] = {
    "CONV_2D": linear.conv(),
    "DEPTHWISE_CONV_2D": linear.depthwise(),
    "FULLY_CONNECTED": linear.fully_connected(),
    "TRANSPOSE_CONV": linear.transpose_conv(),
    "BATCH_MATMUL": linear.batch_matmul(),
    "AVERAGE_POOL_2D": linear.average_pool(),
    "MAX_POOL_2D": linear.max_pool(),
    "ADD": elementwise.add(),
    "SUB": elementwise.sub(),
    "MUL": elementwise.mul(),
    "MINIMUM": elementwise.minimum(),
    "MAXIMUM": elementwise.maximum(),
    "PRELU": elementwise.prelu(),
    "RELU": elementwise.relu(),
    "RELU6": elementwise.relu6(),
    "LEAKY_RELU": elementwise.leaky_relu(),
    "LOGISTIC": elementwise.logistic(),
    "TANH": elementwise.tanh(),
    "HARD_SWISH": elementwise.hard_swish(),
    "ABS": logic.absolute(),
    "RSQRT": logic.rsqrt(),
    "ELU": logic.elu(),
    "SQUARED_DIFFERENCE": logic.squared_difference(),
    **{kind.kind: logic.comparison(kind) for kind in ops.COMPARISONS},
    "LOGICAL_AND": logic.logical(ops.LogicalAnd),
    "LOGICAL_OR": logic.logical(ops.LogicalOr),
    "LOGICAL_NOT": logic.logical_not(),
    "SOFTMAX": elementwise.softmax(),
    "QUANTIZE": elementwise.quantize(),
    "DEQUANTIZE": elementwise.dequantize(),
    "MEAN": elementwise.mean(),
    "ARG_MAX": elementwise.arg(ops.ArgMax),
    "ARG_MIN": elementwise.arg(ops.ArgMin),
    "REDUCE_MAX": elementwise.extremes(ops.ReduceMax),
    "REDUCE_MIN": elementwise.extremes(ops.ReduceMin),
    "SPLIT_V": movement.split_v(),
    "PACK": movement.pack(),
    "UNPACK": movement.unpack(),
    "BROADCAST_TO": movement.broadcast_to(),
    "SPACE_TO_DEPTH": movement.space_to_depth(),
    "DEPTH_TO_SPACE": movement.depth_to_space(),
    "GATHER": movement.gather(),
    "PAD": movement.pad(),
    "RESHAPE": movement.reshape(),
    "TRANSPOSE": movement.transpose(),
    "CONCATENATION": movement.concatenation(),
    "SPLIT": movement.split(),
    "STRIDED_SLICE": movement.strided_slice(),
    "RESIZE_BILINEAR": movement.resize_bilinear(),
    "RESIZE_NEAREST_NEIGHBOR": movement.resize_nearest_neighbor(),
}

__all__ = ["CASES", "Case"]
