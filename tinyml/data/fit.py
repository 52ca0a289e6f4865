"""Samples as the inputs of a model take them: which array is whose, layout, type."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from tinyml.data.dataset import Dataset
from tinyml.data.images import decode
from tinyml.errors import ModelError
from tinyml.ir.graph import Array, DType, Shape, Tensor
from tinyml.quant.affine import quantised


def fit(data: Dataset, inputs: Sequence[Tensor]) -> list[Array]:
    """For each input [1, ...] an array [count, 1, ...] of its type.

    Arrays belong to inputs by name (see `plain_name`); the only array to the only input.
    A sample may lack dimensions of 1, and may be channels first where the input is channels
    last. Values are real numbers, quantised for an input that is; an array of the input's own
    integer type is taken as quantised already. Raises ModelError for what does not fit.
    """
    if data.images:
        assert data.pixels is not None
        if len(inputs) != 1:
            raise ModelError(
                f"the model has {len(inputs)} inputs, a folder of images is for one",
                hint="give an .npz with an array for each input",
            )
        arrays: list[Array] = [decode(data.images, inputs[0].shape, data.pixels)]
    else:
        arrays = _by_name(data, inputs)
    return [
        _typed(_shaped(array, tensor), tensor) for array, tensor in zip(arrays, inputs, strict=True)
    ]


def plain_name(name: str) -> str:
    """An input's name without what exporters add: "serving_default_image:0" is "image"."""
    return re.sub(r":\d+$", "", name).removeprefix("serving_default_")


def _by_name(data: Dataset, inputs: Sequence[Tensor]) -> list[Array]:
    given = dict(data.arrays)
    if len(given) == len(inputs) == 1:
        return list(given.values())
    found = [_named(given, tensor.name) for tensor in inputs]
    missing = [t.name for t, name in zip(inputs, found, strict=True) if name is None]
    if missing:
        wanted = ", ".join(f"{plain_name(t.name)} {list(t.shape)}" for t in inputs)
        there = ", ".join(f"'{name}'" for name in given) or "none"
        raise ModelError(
            f"'{data.source}' has no array for input '{plain_name(missing[0])}' (it has {there})",
            hint=f"numpy.savez with an array for each input: {wanted}",
        )
    return [given[name] for name in found if name is not None]


def _named(given: Mapping[str, Array], name: str) -> str | None:
    return next((each for each in (name, plain_name(name)) if each in given), None)


def _shaped(array: Array, tensor: Tensor) -> Array:
    """[n, 1, ...]; transposed where samples are channels first."""
    sample, wanted = array.shape[1:], tensor.shape
    count = len(array)
    if _squeezed(sample) == _squeezed(wanted):
        return array.reshape(count, *wanted)
    channels_first = sample[-3:]
    if len(wanted) == 4 and len(sample) >= 3 and len(_squeezed(sample[:-3])) == 0:
        turned = (*channels_first[1:], channels_first[0])
        if turned == wanted[1:]:
            maps: Array = array.reshape(count, 1, *channels_first)
            return maps.transpose(0, 1, 3, 4, 2)
    raise ModelError(
        f"input '{plain_name(tensor.name)}' takes {list(wanted)}, "
        f"the samples are {list(array.shape)}",
        hint=f"give them as [n, {', '.join(map(str, wanted[1:]))}]",
    )


def _squeezed(shape: Shape) -> Shape:
    return tuple(dim for dim in shape if dim != 1)


def _typed(array: Array, tensor: Tensor) -> Array:
    dtype = tensor.dtype.numpy
    if array.dtype == dtype:
        return np.ascontiguousarray(array)
    if tensor.quant is not None and tensor.dtype is not DType.FLOAT32:
        return quantised(array, tensor)
    if np.issubdtype(dtype, np.integer) and not np.issubdtype(array.dtype, np.integer):
        raise ModelError(
            f"input '{plain_name(tensor.name)}' takes {tensor.dtype.value}, "
            f"the samples are {array.dtype}"
        )
    return array.astype(dtype)
