"""Filters as the kernels for Helium want them (`tinyml_mve_filters`)."""

import numpy as np
import numpy.typing as npt

from tinyml.quant.params import LinearParams

Array = npt.NDArray[np.generic]

STEP = 16
"""TINYML_MVE_STEP: elements that one instruction multiplies."""


def steps(n: int) -> int:
    """Steps of 16 elements in a vector of n."""
    return -(-n // STEP)


def needs_exact(params: LinearParams) -> bool:
    """Whether the kernels' short rescale would not do.

    It leaves no room for shifts to the left, and rounds ties below zero upwards, which
    only shows where results below the output's zero point are not clamped to it.
    """
    return bool((params.shifts > 0).any()) or params.act_min < params.output_zero_point


def blocks(params: LinearParams, biases: Array, weights: Array) -> npt.NDArray[np.int32]:
    """The `blocks` of a `tinyml_mve_filters`; `weights` are [channels, n], biases folded int32."""
    channels, n = weights.shape
    count, block = steps(n), steps_of_four(channels)
    rows = np.pad(weights, ((0, 4 * block - channels), (0, STEP * count - n)))
    turns = rows.reshape(block, 4, count, STEP).transpose(0, 2, 1, 3)
    words = np.ascontiguousarray(turns).view("<i4").reshape(block, -1)
    return np.concatenate((words, rescale_words(params, biases)), axis=1).astype(np.int32)


def steps_of_four(channels: int) -> int:
    """Blocks of four channels."""
    return -(-channels // 4)


def rescale_words(params: LinearParams, biases: Array) -> npt.NDArray[np.int32]:
    """What stands behind the weights: a row per four channels, [biases, multipliers, ...]."""
    shifts = params.shifts.astype(np.int64)
    values = [biases, params.multipliers, np.minimum(shifts, 0)]
    if needs_exact(params):
        values.append(np.maximum(shifts, 0))
    channels = len(shifts)
    block = steps_of_four(channels)
    fours = [np.pad(v, (0, 4 * block - channels)).reshape(block, 4) for v in values]
    return np.concatenate(fours, axis=1).astype(np.int32)
