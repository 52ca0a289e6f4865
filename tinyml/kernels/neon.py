"""Filters as the kernels for NEON want them (`tinyml_neon_filters`), and what these can serve."""

from typing import Final

import numpy as np
import numpy.typing as npt

from tinyml.quant.params import LinearParams

Array = npt.NDArray[np.generic]

ISAS: Final = ("neon", "dotprod")
"""The instruction sets whose kernels take these filters."""

STEP: Final = 16
"""TINYML_NEON_STEP: elements of a vector taken at a time."""

LANES: Final = 16
"""Channels of a depthwise convolution computed together; eight, where there are fewer."""

_FILTERS = 4
_QUAD = 4


def narrow(weights: Array) -> bool:
    """Whether the sum of any two products of a byte and a weight fits 16 bits."""
    return bool((weights != -128).all())


def by_rows(weights: Array, dilation: int) -> bool:
    """Whether a convolution, weights OHWI, reads rows of its windows where they lie."""
    _, _, width, in_channels = weights.shape
    return dilation == 1 and width * in_channels >= STEP


def blocks(
    params: LinearParams, biases: Array, weights: Array, *, pieces: int, dot: bool
) -> npt.NDArray[np.int32]:
    """The `blocks` of a `tinyml_neon_filters`.

    `weights` are int8 [channels, n], each filter of so many `pieces` of equal size, `biases`
    folded int32; `dot` is the order for the dot product instructions.
    """
    channels = len(weights)
    fill = -channels % _FILTERS
    rows = _steps(weights.reshape(channels, pieces, -1)).reshape(channels, -1, STEP // _QUAD, _QUAD)
    groups = np.pad(rows, ((0, fill), (0, 0), (0, 0), (0, 0))).reshape(
        -1, _FILTERS, *rows.shape[1:]
    )
    # [groups, filters, steps, quads, 4]
    order = (0, 2, 3, 1, 4) if dot else (0, 2, 1, 3, 4)
    words = np.ascontiguousarray(groups.transpose(order)).view("<i4").reshape(len(groups), -1)
    members = np.arange(channels + fill).reshape(-1, _FILTERS)
    return np.concatenate((_rescales(params, biases, members, channels), words), axis=1).astype(
        np.int32
    )


def depthwise_blocks(params: LinearParams, biases: Array, weights: Array) -> npt.NDArray[np.int32]:
    """The `blocks` of a depthwise kernel; `weights` are int8 [taps, channels], 8 at least."""
    channels = weights.shape[1]
    lanes = min(LANES, channels // 8 * 8)
    first = np.minimum(np.arange(0, channels, lanes), channels - lanes)
    members = np.tile(first[:, None] + np.arange(lanes), LANES // lanes)
    taps = np.ascontiguousarray(weights[:, members].transpose(1, 0, 2)).view("<i4")
    words = taps.reshape(len(first), -1)
    return np.concatenate((_rescales(params, biases, members, channels), words), axis=1).astype(
        np.int32
    )


def _steps(pieces: Array) -> Array:
    """[..., n] -> [..., whole steps]: see `tinyml_neon_filters`."""
    n = pieces.shape[-1]
    rest = n % STEP
    if not rest:
        return pieces
    if n < STEP:
        before, after = pieces, np.zeros((*pieces.shape[:-1], STEP - n), np.int8)
        return np.concatenate((before, after), axis=-1)
    zeros = np.zeros((*pieces.shape[:-1], STEP - rest), np.int8)
    return np.concatenate((pieces[..., : n - rest], zeros, pieces[..., n - rest :]), axis=-1)


def _rescales(
    params: LinearParams, biases: Array, members: npt.NDArray[np.intp], channels: int
) -> npt.NDArray[np.int64]:
    """A row for each row of `members`: biases, multipliers, negative and positive shifts.

    A member that is no channel has zeros.
    """
    shifts = params.shifts.astype(np.int64)
    values = (
        biases.astype(np.int64),
        params.multipliers.astype(np.int64),
        np.minimum(shifts, 0),
        np.maximum(shifts, 0),
    )
    room = int(members.max()) + 1 - channels
    return np.concatenate([np.pad(v, (0, room))[members] for v in values], axis=1)
