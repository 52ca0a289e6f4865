"""Filters as the kernels for the DSP extension want them (`tinyml_dsp_filters`)."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tinyml.quant.params import LinearParams

Array = npt.NDArray[np.generic]
T = TypeVar("T", bound=np.generic)

EXACT = 32
"""TINYML_DSP_EXACT"""


def steps(n: int) -> int:
    """Steps of four elements in a vector of n."""
    return -(-n // 4)


def pairs(params: LinearParams, biases: Array, weights: Array) -> npt.NDArray[np.int32]:
    """The `pairs` of a `tinyml_dsp_filters`; `weights` are [channels, n], biases folded int32."""
    count = steps(weights.shape[1])
    rows = np.pad(weights, ((0, 0), (0, 4 * count - weights.shape[1])))
    words = np.ascontiguousarray(rows).view("<i4").astype(np.int32)
    return np.concatenate(
        (
            _paired(biases),
            _paired(words).reshape(-1, 2, count).transpose(0, 2, 1).reshape(-1, 2 * count),
            _paired(params.multipliers),
            _rights(params, biases, weights),
        ),
        axis=1,
    ).astype(np.int32)


def _paired(values: npt.NDArray[T]) -> npt.NDArray[T]:
    """Values per channel, a row per pair of channels; an odd last one is a pair with itself."""
    if len(values) % 2:
        values = np.concatenate((values, values[-1:]))
    return values.reshape(len(values) // 2, -1)


def _rights(params: LinearParams, biases: Array, weights: Array) -> npt.NDArray[np.int64]:
    """The last word of each pair.

    The kernels' short rescale is exact where the double of the sum, and the first
    rounding with what is added for the second, stay inside int32 whatever the input.
    """
    shifts = params.shifts.astype(np.int64)
    right = np.maximum(-shifts, 0)
    largest = np.abs(biases.astype(np.int64)) + 128 * np.abs(weights.astype(np.int64)).sum(axis=1)
    added = (2 * abs(params.output_zero_point) + 1) << right  # the double of it
    short = (shifts < 0) & (2 * largest + added + 2 < 2**31)
    both = _paired(short.astype(np.int64)).min(axis=1, keepdims=True) > 0
    encoded = np.where(both, _paired(right), _paired(shifts + EXACT))
    words: npt.NDArray[np.int64] = (
        np.where(both, 0, -(2**31)) + encoded[:, :1] + (encoded[:, 1:] << 8)
    )
    return words
