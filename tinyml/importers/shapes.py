"""What a model computes of its own shapes, known at import because all shapes are static.

Converters turn a Flatten over an open batch into SHAPE, STRIDED_SLICE, PACK and a RESHAPE
that takes their result. With a batch of 1 that result is a constant.
"""

from collections.abc import Mapping

import numpy as np

from tinyml.importers.call import Call, RefusalError
from tinyml.importers.tflite_file import FileOperator
from tinyml.importers.tflite_ops import RESOLVERS
from tinyml.ir.graph import Array, DType, Tensor
from tinyml.ir.ops import StridedSlice

_INTEGERS = (DType.INT32, DType.INT64)

_LONGEST = 64
"""Elements: a shape has a few, and a damaged file may claim any number."""


def shape_value(operator: FileOperator, tensors: Mapping[int, object]) -> Array | None:
    """The result of an operator that computes shapes, read-only; None for any other.

    `tensors` are those of the file by index, with the results of earlier operators of
    this kind as constants.
    """
    if len(operator.outputs) != 1 or operator.is_custom or -1 in operator.inputs:
        return None
    operands = [tensors[index] for index in operator.inputs]
    result = tensors[operator.outputs[0]]
    if not isinstance(result, Tensor) or result.is_const or result.size > _LONGEST:
        return None
    if result.dtype not in _INTEGERS:
        return None
    known = [operand for operand in operands if isinstance(operand, Tensor)]
    if len(known) != len(operands) or not known:
        return None
    value = _evaluated(operator, known, result)
    if value is None or value.shape != result.shape:
        return None
    value = value.astype(result.dtype.numpy)
    value.setflags(write=False)
    return value


def _evaluated(operator: FileOperator, operands: list[Tensor], result: Tensor) -> Array | None:
    if operator.kind == "SHAPE":
        return np.array(operands[0].shape, np.int64) if len(operands) == 1 else None
    if any(not operand.is_const or operand.dtype not in _INTEGERS for operand in operands):
        return None
    if operator.kind == "PACK" and operator.options_type == "PackOptions":
        axis = operator.options.Axis()
        if len({operand.shape for operand in operands}) > 1:
            return None
        if not -len(result.shape) <= axis < len(result.shape):
            return None
        return np.stack([operand.values for operand in operands], axis)
    options_type, resolver = RESOLVERS["STRIDED_SLICE"]
    if operator.kind == "STRIDED_SLICE" and operator.options_type == options_type:
        try:
            op, _ = resolver(Call(operator.kind, operator.options, tuple(operands), (result,)))
        except RefusalError:
            return None
        assert isinstance(op, StridedSlice)
        picked = [
            begin + stride * np.arange(size)
            for begin, size, stride in zip(op.begin, op.sizes, op.strides, strict=True)
        ]
        return operands[0].values[np.ix_(*picked)].reshape(op.shape)
    return None
