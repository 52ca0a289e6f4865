"""Filters as the depthwise kernels for the DSP extension want them (`quads`)."""

from math import isqrt

import numpy as np
import numpy.typing as npt

from tinyml.kernels.dsp import EXACT, Array
from tinyml.quant.params import LinearParams

QUAD = 4
"""Channels computed together; the fewest that these kernels take."""

SIGNS, EXACTLY = -(2**31), -(2**30)
"""Added to the word of shifts: the signs count; no short rescale is exact."""


def quads(params: LinearParams, biases: Array, weights: Array) -> npt.NDArray[np.int32]:
    """The `quads` of a `tinyml_depthwise_conv_square_s8_dsp_op`, a row for each.

    `weights` are int8 [channels, size * size] with an odd size and at least QUAD
    channels; `biases` are folded, int32.
    """
    channels, size = len(weights), isqrt(weights.shape[1])
    first = np.minimum(np.arange(0, channels, QUAD), channels - QUAD)
    members = first[:, None] + np.arange(QUAD)
    taps = (
        weights[members].reshape(-1, QUAD, size, size).transpose(0, 3, 2, 1)
    )  # [quads, columns, rows, QUAD]
    # Of two rows a and b: a0, a1, b0, b1, a2, a3, b2, b3.
    twos = taps[:, :, :-1].reshape(-1, size, size // 2, 2, 2, 2).swapaxes(3, 4)
    columns = np.concatenate((twos.reshape(-1, size, (size - 1) * QUAD), taps[:, :, -1]), axis=2)
    scales = _scales(params, biases, weights, members)
    return np.concatenate(
        (biases[members], columns.reshape(len(first), -1).view("<i4"), scales), axis=1
    ).astype(np.int32)


def _scales(
    params: LinearParams, biases: Array, weights: Array, members: npt.NDArray[np.intp]
) -> npt.NDArray[np.int32]:
    """[quads, QUAD + 1]: the last words of each quad.

    The kernels' short rescale is exact for any sum that stays inside int32 whatever the
    input, a multiplier of 2**30 or more, and a right shift. It may leave out the signs
    where results below the zero point are clamped anyway.
    """
    shifts = params.shifts.astype(np.int64)
    multipliers = params.multipliers.astype(np.int64)
    largest = np.abs(biases.astype(np.int64)) + 128 * np.abs(weights.astype(np.int64)).sum(axis=1)
    fit = (shifts < 0) & (multipliers >= 2**30) & (largest < 2**31)
    short = fit[members].all(axis=1, keepdims=True)
    rights = np.where(short, -shifts[members] - 1, shifts[members] + EXACT)
    signs = 0 if params.act_min >= params.output_zero_point else SIGNS
    words = (rights << np.arange(0, 32, 8)).sum(axis=1, keepdims=True)
    words += np.where(short, signs, EXACTLY)
    factors = np.where(short, 2 * multipliers[members], multipliers[members])
    return np.concatenate((factors, words), axis=1).astype(np.int32)
