"""Filters as the kernels for the DSP extension want them, packed in groups of channels.

The last group of a layer is filled up: with its own last channel in pairs, which
costs nothing but the bytes, with zeros in fours.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tinyml.kernels.site import Fields
from tinyml.quant.pairs import AddParams
from tinyml.quant.params import LinearParams
from tinyml.quant.scales import Rescale

Array = npt.NDArray[np.generic]
Words = npt.NDArray[np.int64]

EXACT = 32
"""TINYML_DSP_EXACT"""

DOWN, HALF = -1, 1 << 30
"""A multiplier and a shift in the quick form, for channels that are zero whatever they are."""


def steps(n: int) -> int:
    """Steps of four elements in a vector of n."""
    return -(-n // 4)


def conv_scratch(height: int, width: int, in_channels: int, *, shared: bool) -> int:
    """Bytes of scratch of a convolution with windows of this size.

    TINYML_CONV_W3_S8_DSP_SCRATCH with `shared` columns, else TINYML_CONV_S8_DSP_SCRATCH.
    """
    if shared:
        return 8 * height * in_channels
    vectors = 16 * steps(height * width * in_channels)
    return vectors if in_channels % 4 == 0 else vectors + 2 * width * in_channels


def in_columns(weights: Array) -> Array:
    """[channels, n] from OHWI: the taps of four channels of a row of a filter together."""
    channels, height, width, in_channels = weights.shape
    groups = weights.reshape(channels, height, width, in_channels // 4, 4)
    return groups.transpose(0, 1, 3, 2, 4).reshape(channels, -1)


def in_steps(weights: Array) -> Array:
    """[channels, n] from OHWI: whole steps of every row of a filter, then the rests of the rows."""
    channels, height, width, in_channels = weights.shape
    rows = weights.reshape(channels, height, width * in_channels)
    whole = width * in_channels // 4 * 4
    parts = (rows[:, :, :whole], rows[:, :, whole:])
    return np.concatenate([part.reshape(channels, -1) for part in parts], axis=1)


def exact(params: LinearParams) -> bool:
    """Whether the layer needs the kernels' slow way, as trained ones do not.

    The quick one is for scales below one half. Multipliers are 2**30 or more, but
    for those that are 0, and their channels are given another (see `_alive`).
    """
    used = params.multipliers != 0
    return bool((params.shifts[used] >= 0).any()) or params.weights_zero_point != 0


def pairs(params: LinearParams, biases: Array, weights: Array) -> npt.NDArray[np.int32]:
    """The `pairs` of a `tinyml_dsp_filters`; `weights` are [channels, n], biases folded int32."""
    params, biases, weights = _alive(params, biases.astype(np.int64), weights)
    fill = len(biases) % 2
    twice = 2 * params.output_zero_point + 1
    bytes_ = _groups(_bytes(params), 2, fill)
    return np.concatenate(
        (
            _groups(biases, 2, fill),
            _groups(_words(weights), 2, fill),
            _groups(_doubled(params), 2, fill),
            bytes_ @ np.array([[1], [1 << 8]]) + (twice << 16),
        ),
        axis=1,
    ).astype(np.int32)


def fours(params: LinearParams, biases: Array, weights: Array) -> npt.NDArray[np.int32]:
    """The `fours` of a `tinyml_fully_connected_s8_dsp_op`; arguments as above."""
    _, biases, weights = _alive(params, biases.astype(np.int64), weights)
    return np.concatenate((_groups(biases, 4), _groups(_words(weights), 4)), axis=1).astype(
        np.int32
    )


def scales_of_fours(params: LinearParams) -> npt.NDArray[np.int32]:
    """Its `scales`: a row for each group of four, one row alone where all are equal."""
    channels = len(params.multipliers)
    params, _, _ = _alive(params, np.zeros(channels, np.int64), np.zeros((channels, 1), np.int8))
    bytes_ = _groups(_bytes(params), 4, -channels % 4)
    rows = np.concatenate(
        (
            _groups(_doubled(params), 4, -channels % 4),
            (bytes_ @ np.array([[1], [1 << 8], [1 << 16], [1 << 24]])),
        ),
        axis=1,
    ).astype(np.int32)
    return rows[:1] if (rows == rows[0]).all() else rows


def add_fields(params: AddParams) -> Fields | None:
    """The fields of a `tinyml_add_s8_dsp_op` but `channels`; None when the quick form is no use.

    The operand of the larger scale is rescaled by one half. Where the other one is,
    too, it takes a multiplier of one (2**31) and a shift of one, which is the same for
    the even numbers that operands are after their left shift.
    """
    operands = (params.input1, params.input2)
    half = Rescale(HALF, 0)
    if half not in operands or params.left_shift != 20:
        return None
    larger = operands.index(half)
    smaller = operands[1 - larger]
    zeros = (params.input1_zero_point, params.input2_zero_point)
    first = (0, 0) if smaller == half else _quick(smaller)
    last = _quick(params.output)
    if first is None or last is None:
        return None
    return (
        ("larger", larger),
        ("larger_zero", zeros[larger] << 19),
        ("smaller_zero", zeros[1 - larger] << 20),
        ("output_zero_point", params.output_zero_point),
        ("smaller.multiplier", first[0]),
        ("smaller.right", first[1]),
        ("output.multiplier", last[0]),
        ("output.right", last[1]),
        ("act_min", params.act_min),
        ("act_max", params.act_max),
    )


def _quick(scale: Rescale) -> tuple[int, int] | None:
    """The members of a `tinyml_dsp_scale`; None where the quick form does not serve."""
    if scale.multiplier < HALF or scale.shift >= 0:
        return None
    return 2 * scale.multiplier - (1 << 32), -scale.shift - 1


def _alive(
    params: LinearParams, biases: Words, weights: Array
) -> tuple[LinearParams, Words, Array]:
    """The same with channels of zeros where the multiplier is 0, and a multiplier for them."""
    dead = params.multipliers == 0
    if exact(params) or not dead.any():
        return params, biases, weights
    multipliers = np.where(dead, HALF, params.multipliers).astype(np.int32)
    shifts = np.where(dead, DOWN, params.shifts).astype(np.int32)
    params = replace(params, multipliers=multipliers, shifts=shifts)
    return params, np.where(dead, 0, biases), np.where(dead[:, None], np.int8(0), weights)


def _words(weights: Array) -> Words:
    """[channels, steps]: bytes four to a word, filled up with zeros."""
    rows = np.pad(weights, ((0, 0), (0, 4 * steps(weights.shape[1]) - weights.shape[1])))
    return np.ascontiguousarray(rows).view("<i4").astype(np.int64)


def _doubled(params: LinearParams) -> Words:
    """Multipliers doubled modulo 2**32."""
    return params.multipliers.astype(np.int64) * 2 - (1 << 32) * (params.multipliers >= HALF)


def _bytes(params: LinearParams) -> Words:
    """The byte beside each multiplier."""
    shifts = params.shifts.astype(np.int64)
    return shifts + EXACT if exact(params) else -shifts - 1


def _groups(values: Words, size: int, repeat: int = 0) -> Words:
    """Rows of `size` channels, whose values alternate, after filling up the last row.

    `values` is [channels] or [channels, n]; the last channel is repeated `repeat` times.
    """
    values = values.reshape(len(values), -1)
    last = np.repeat(values[-1:], repeat, axis=0)
    zeros = np.zeros(((-len(values) - repeat) % size, values.shape[1]), np.int64)
    rows = np.concatenate((values, last, zeros)).reshape(-1, size, values.shape[1])
    return rows.transpose(0, 2, 1).reshape(len(rows), -1)
