"""Tensors of a .tflite file as tensors of the IR."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np

from tinyml.errors import ModelError
from tinyml.importers.names import Namer, printable
from tinyml.importers.tflite_file import FileGraph, FileQuant, FileTensor
from tinyml.ir.check import check_tensor
from tinyml.ir.graph import Array, DType, Quant, Tensor

_DTYPES = {dtype.value.upper(): dtype for dtype in DType}
_QUANTISED = frozenset((DType.INT8, DType.UINT8, DType.INT16, DType.INT32, DType.INT64))


@dataclass(frozen=True, slots=True)
class Unusable:
    """A tensor that no graph can hold."""

    name: str
    reason: str
    """Why, with its name."""


def tensors_of(file: FileGraph) -> dict[int, Tensor | Unusable]:
    """The tensors that something refers to, by index, under unique names.

    Raises ModelError or GraphError for a tensor that contradicts itself.
    """
    namer = Namer()
    found = {}
    for index in sorted(_used(file)):
        tensor = file.tensors[index]
        name = namer(printable(tensor.name) or f"tensor_{index}")
        reason = _oddity(tensor)
        found[index] = (
            Unusable(name, f"tensor '{name}' {reason}") if reason else _tensor(tensor, name)
        )
    return found


def _used(file: FileGraph) -> Iterable[int]:
    used: set[int] = {*file.inputs, *file.outputs}
    for operator in file.operators:
        used.update(operator.inputs, operator.outputs)
    return used - {-1}


def _oddity(tensor: FileTensor) -> str:
    if tensor.oddity:
        return tensor.oddity
    if tensor.type not in _DTYPES:
        return f"has elements of type {tensor.type}"
    if 0 in tensor.shape:
        return f"has a dynamic or empty shape {list(tensor.shape)}"
    return ""


def _tensor(found: FileTensor, name: str) -> Tensor:
    dtype = _DTYPES[found.type]
    tensor = Tensor(name, found.shape, dtype, _quant(found, dtype))
    check_tensor(tensor)  # before its size is believed
    return tensor if found.data is None else replace(tensor, data=_data(tensor, found.data))


def _data(tensor: Tensor, data: memoryview) -> Array:
    """The constant's value: a read-only view of the file, little-endian as the format is."""
    if len(data) != tensor.nbytes:
        raise ModelError(
            f"constant '{tensor.name}', {tensor.dtype.value} {tensor.shape}, has {len(data)} bytes"
        )
    array: Array = np.frombuffer(data, tensor.dtype.numpy.newbyteorder("<")).reshape(tensor.shape)
    return array


def _quant(tensor: FileTensor, dtype: DType) -> Quant | None:
    """The quantisation of an integer tensor; converters leave leftovers on other types."""
    found = tensor.quant
    if found is None or dtype not in _QUANTISED:
        return None
    if dtype is DType.INT32 and tensor.data is not None:
        return _bias_quant(tensor, found)
    return Quant(found.scales, found.zero_points, found.axis if len(found.scales) > 1 else 0)


def _bias_quant(tensor: FileTensor, found: FileQuant) -> Quant | None:
    """A bias is in units of input scale x weight scale, whatever the file says of it.

    Some files give it an axis that does not exist. What cannot be meant is left out.
    """
    count = len(found.scales)
    sound = all(isfinite(scale) and scale > 0 for scale in found.scales)
    if not sound or any(found.zero_points) or len(found.zero_points) != count:
        return None
    if count > 1 and tensor.shape != (count,):
        return None
    return Quant(found.scales, found.zero_points, 0)
