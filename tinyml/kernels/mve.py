"""Filters as the kernels for Helium want them (`tinyml_mve_filters`)."""

from dataclasses import dataclass

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


# ---- Depthwise: words of four rows ------------------------------------------------------------

_PIXELS = 8
_LANES = 16
_ROWS = 4
_WORDS = 4


@dataclass(frozen=True, slots=True)
class Window:
    """The window of a depthwise convolution along a row, and how it is read."""

    height: int
    width: int
    stride: int
    dilation: int
    out_width: int

    def serves(self, channels: int) -> bool:
        """Whether the kernel takes it: the limits TINYML_DEPTHWISE_MVE_* of the header."""
        return channels <= 9362 and self.height <= 8 and self.stride <= 2

    @property
    def groups(self) -> int:
        """Words to a column of the window."""
        return -(-self.height // _ROWS)

    @property
    def vectors(self) -> int:
        """Vectors of four words."""
        return -(-self.groups * self.width // _WORDS)

    @property
    def pairs(self) -> bool:
        """Whether a vector of four words is what two output pixels see."""
        return (self.groups, self.width, self.stride, self.dilation) == (1, 3, 1, 1)

    @property
    def pixels(self) -> int:
        """Output pixels whose columns are in the scratch at a time."""
        return 2 * _PIXELS if self.stride == 1 and self.out_width > _PIXELS else _PIXELS

    @property
    def columns(self) -> int:
        """TINYML_DEPTHWISE_MVE_COLUMNS: columns of the scratch for each column of a stride."""
        return self.pixels + (self.width - 1) * self.dilation // self.stride

    @property
    def scratch_bytes(self) -> int:
        """TINYML_DEPTHWISE_CONV_S8_MVE_SCRATCH"""
        return _LANES * _ROWS * self.groups * self.stride * self.columns

    def offsets(self) -> list[int]:
        """Where each word of the window is in the scratch, in bytes.

        Of pairs the fourth is the next column. Other words that fill up the last vector have
        no weights: they may be anywhere.
        """
        if self.pairs:
            return [_LANES * _ROWS * column for column in range(4)]
        found = []
        for column in range(self.width):
            place, phase = divmod(column * self.dilation, self.stride)
            for group in range(self.groups):
                row = (group * self.stride + phase) * self.columns + place
                found.append(_LANES * _ROWS * row)
        return found + [0] * (_WORDS * self.vectors - len(found))

    def taps(self, weights: Array) -> npt.NDArray[np.int32]:
        """The words of each channel's weights, which are [height, width, channels]."""
        rows = np.pad(weights, ((0, _ROWS * self.groups - self.height), (0, 0), (0, 0)))
        words = np.ascontiguousarray(rows.transpose(2, 1, 0)).view("<i4")
        words = words.reshape(weights.shape[2], -1)
        return np.pad(words, ((0, 0), (0, _WORDS * self.vectors - words.shape[1])))

    def blocks(self, params: LinearParams, biases: Array, weights: Array) -> npt.NDArray[np.int32]:
        """The `blocks` of a `tinyml_depthwise_conv_s8_mve_op`; `weights` as for `taps`."""
        shifts = params.shifts.astype(np.int64)
        down, left = np.minimum(shifts, 0), np.maximum(shifts, 0)
        words = (down & 0xFF) | (left << 8) | ((down < 0).astype(np.int64) << 16)
        tail = np.stack((biases, params.multipliers, words, np.zeros_like(words)), axis=1)
        records = np.concatenate((self.taps(weights), tail), axis=1).astype(np.int32)
        return np.concatenate((np.zeros(1, np.int32), records.reshape(-1)))
