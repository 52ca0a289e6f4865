"""Filters as the portable kernels, and those for multipliers of 32 bits, want them
(`tinyml_filters`)."""

import numpy as np
import numpy.typing as npt

from tinyml.kernels.quick import quick
from tinyml.kernels.site import Fields, table
from tinyml.quant.params import LinearParams

Array = npt.NDArray[np.generic]

ELEMENTS = 131072
"""TINYML_FILTERS_ELEMENTS"""

_EXACT, _LINE, _BENT = range(3)
"""TINYML_RESCALE_EXACT and so on"""

_FOUR = 4

MUL32 = "mul32"
"""The instruction set of cores that have no SIMD and whose widest product has 32 bits."""


def in_pairs(weights: Array) -> Array:
    """OHWI -> [channels, n]: rows of windows of an odd number of elements get a zero."""
    channels, height, width, in_channels = weights.shape
    rows = weights.reshape(channels, height, width * in_channels)
    return np.pad(rows, ((0, 0), (0, 0), (0, rows.shape[2] & 1))).reshape(channels, -1)


def mul32_scratch(height: int, width: int, in_channels: int, *, pointwise: bool) -> int:
    """TINYML_CONV_S8_MUL32_SCRATCH, or with `pointwise` TINYML_CONV_1X1_S8_MUL32_SCRATCH"""
    row = width * in_channels
    return 12 * height * ((row + 1) // 2) + (0 if pointwise else 2 * row)


def in_fours(weights: Array) -> Array:
    """[channels, n] -> flat: element by element those of four filters; what is left as it is."""
    channels, n = weights.shape
    whole = channels // _FOUR * _FOUR
    fours = weights[:whole].reshape(-1, _FOUR, n).transpose(0, 2, 1)
    return np.concatenate((fours.reshape(-1), weights[whole:].reshape(-1)))


def filter_fields(
    params: LinearParams,
    biases: npt.NDArray[np.int32],
    weights: Array,
    *,
    packed: Array | None = None,
    largest_input: int = 128,
) -> Fields:
    """The `tinyml_filters` member.

    `weights` has a row per channel; `packed` are the same in the order that the kernel wants,
    if it is another. `largest_input` is the largest absolute value that they multiply: of a
    byte, where the biases take in the input's zero point.
    """
    magnitudes = np.abs(weights.astype(np.int64) - params.weights_zero_point).sum(axis=1)
    found = quick(params, largest_input * magnitudes + np.abs(biases.astype(np.int64)))
    rescale, left = _EXACT, 0
    multipliers, shifts = params.multipliers, params.shifts
    if found is not None:
        rescale, left = _BENT if found.bent else _LINE, found.left
        biases = ((biases.astype(np.int64) << left) + found.offsets).astype(np.int32)
        multipliers, shifts = found.multipliers, found.rights - np.int32(found.bent)
    return (
        ("filters.out_channels", len(biases)),
        ("filters.output_zero_point", params.output_zero_point),
        ("filters.act_min", params.act_min),
        ("filters.act_max", params.act_max),
        ("filters.rescale", rescale),
        ("filters.left", left),
        ("filters.weights", table("int8_t", weights if packed is None else packed)),
        ("filters.channels", table("int32_t", np.stack((biases, multipliers, shifts), axis=1))),
    )
