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


# ---- Depthwise: words of rows -----------------------------------------------------------------

_LANES = 16
_ROWS = 4
_WORDS = 4
_COLUMN = _LANES * _ROWS
"""Bytes of a column in the scratch."""

CHANNELS = 9362
"""TINYML_DEPTHWISE_MVE_CHANNELS"""


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
        return channels <= CHANNELS and self.height <= 8 and self.stride <= 2

    @property
    def groups(self) -> int:
        """Words to a column of the window."""
        return -(-self.height // _ROWS)

    @property
    def vectors(self) -> int:
        """Vectors of four words."""
        return -(-self.groups * self.width // _WORDS)

    @property
    def pixels(self) -> int:
        """Output pixels whose columns are in the scratch at a time."""
        return 16 if self.stride == 1 and self.out_width > 8 else 8

    @property
    def columns(self) -> int:
        """TINYML_DEPTHWISE_MVE_COLUMNS: columns of the scratch for each column of a stride."""
        return self.pixels + (self.width - 1) * self.dilation // self.stride

    @property
    def scratch_bytes(self) -> int:
        """TINYML_DEPTHWISE_CONV_S8_MVE_SCRATCH"""
        return _COLUMN * self.groups * self.stride * self.columns

    def offsets(self) -> list[int]:
        """Where each word of the window is in the scratch, in bytes.

        Words that fill up the last vector have no weights: they may be anywhere.
        """
        found = []
        for column in range(self.width):
            place, phase = divmod(column * self.dilation, self.stride)
            for group in range(self.groups):
                row = (group * self.stride + phase) * self.columns + place
                found.append(_COLUMN * row)
        return found + [0] * (_WORDS * self.vectors - len(found))

    def blocks(self, params: LinearParams, biases: Array, weights: Array) -> npt.NDArray[np.int32]:
        """The `blocks` of a `tinyml_depthwise_conv_s8_mve_op`; `weights` are [height, width, C]."""
        words = _words_of_rows(weights)
        fill = _WORDS * self.vectors - words.shape[1]
        return np.concatenate((np.pad(words, ((0, 0), (0, fill))), _scales(params, biases)), axis=1)


@dataclass(frozen=True, slots=True)
class Window3x3:
    """The same where it is 3x3, without dilation, `stride` 1 or 2."""

    stride: int
    out_width: int

    @property
    def pixels(self) -> int:
        """Output pixels whose columns are in the scratch at a time."""
        return min(-(-self.out_width // 4) * 4, 24 // self.stride)

    @property
    def scratch_bytes(self) -> int:
        """TINYML_DEPTHWISE_CONV_3X3_S8_MVE_SCRATCH"""
        return _COLUMN * ((self.pixels - 1) * self.stride + 3)

    def blocks(self, params: LinearParams, biases: Array, weights: Array) -> npt.NDArray[np.int32]:
        """The `blocks` of a `tinyml_depthwise_conv_3x3_s8_mve_op`; `weights` are [3, 3, C]."""
        words = np.pad(_words_of_rows(weights), ((0, 0), (1, 1)))
        return np.concatenate((_scales(params, biases), words), axis=1)


def _words_of_rows(weights: Array) -> npt.NDArray[np.int32]:
    """[height, width, channels] -> [channels, words]: four rows of a column to a word."""
    height, _, channels = weights.shape
    rows = np.pad(weights, ((0, -height % _ROWS), (0, 0), (0, 0)))
    words: npt.NDArray[np.int32] = np.ascontiguousarray(rows.transpose(2, 1, 0)).view("<i4")
    return words.reshape(channels, -1)


def _scales(params: LinearParams, biases: Array) -> npt.NDArray[np.int32]:
    """A row for each channel: its bias, its multiplier, and a word of its shifts."""
    shifts = params.shifts.astype(np.int64)
    down, left = np.minimum(shifts, 0), np.maximum(shifts, 0)
    words = (down & 0xFF) | (left << 8) | ((down < 0).astype(np.int64) << 16)
    return np.stack((biases, params.multipliers, words), axis=1).astype(np.int32)
