"""Rescales in the quick forms of the portable kernels, and the proof that they are exact.

TFLite's rescale of a sum rounds twice. As a function of the sum, an integer, it is a staircase
that never falls, with at most 255 steps between what a clamp leaves. So are

    line:  floor(h / 2**right)                          (the zero point is in the offset)
    bent:  floor((h - (h < 0) * 2**(left - 1) + 2**(right - 1)) / 2**right) + zero point

where h = floor(((sum << left) + offset) * multiplier / 2**32) is the upper half of one product.
Nothing is rounded on the way; what bends the second is that halves are rounded away from zero.
They equal TFLite's for every sum that can occur if each step lies between the same two sums:
two inequalities a step for the offset and the multiplier. They are solved here, in integers:
what comes out is exact, or nothing does.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tinyml.quant.params import LinearParams

Int64s = npt.NDArray[np.int64]

_RIGHT = 22
"""The largest right shift: 2**(32 + 22) times nine bits, and the bend, fit 64 bits."""

_TURNS = 24
"""Halvings in the search for a multiplier."""


@dataclass(frozen=True, slots=True, eq=False)
class Quick:
    """A layer's rescale in the quick form."""

    left: int
    bent: bool
    offsets: npt.NDArray[np.int64]
    """Per channel; joins the bias, times 2**left."""
    multipliers: npt.NDArray[np.int32]
    """Per channel, positive."""
    rights: npt.NDArray[np.int32]


def quick(params: LinearParams, largest: npt.NDArray[np.int64]) -> Quick | None:
    """The quick form of a layer's rescale; None where there is none.

    `largest` bounds the absolute value of each channel's sum, bias included.
    """
    if (params.multipliers <= 0).any() or largest.max() >= 2**30:
        return None
    keys, back = np.unique(
        np.stack((params.multipliers, params.shifts)).astype(np.int64), axis=1, return_inverse=True
    )
    bounds = np.zeros(keys.shape[1], np.int64)
    np.maximum.at(bounds, back.reshape(-1), largest)
    solved = _solve(
        keys.tobytes(),
        bounds.tobytes(),
        params.output_zero_point,
        max(params.act_min, -128),
        min(params.act_max, 127),
    )
    if solved is None:
        return None
    left, bent, offsets, multipliers, rights = solved
    index = back.reshape(-1)
    return Quick(
        left,
        bent,
        offsets[index],
        multipliers[index].astype(np.int32),
        rights[index].astype(np.int32),
    )


def thresholds(multipliers: Int64s, shifts: Int64s, steps: Int64s) -> npt.NDArray[np.int64]:
    """[channels, steps]: the least sum that is rescaled to `steps` or more (no zero point).

    As gemmlowp rounds: round(sum * 2**left * m / 2**31), ties up, then / 2**right, ties
    away from zero; m > 0.
    """
    right = np.maximum(-shifts, 0)[:, None]
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
    inner = (steps[None, :] << right) - half + ((steps[None, :] <= 0) & (right > 0))
    product = (inner << 31) - (1 << 30)
    shifted = -(-product // multipliers[:, None])
    left = np.maximum(shifts, 0)[:, None]
    return -(-shifted >> left)


@lru_cache(maxsize=256)
def _solve(
    keys: bytes, bounds: bytes, zero_point: int, low: int, high: int
) -> tuple[int, bool, Int64s, Int64s, Int64s] | None:
    multipliers, shifts = np.frombuffer(keys, np.int64).reshape(2, -1)
    bound = np.frombuffer(bounds, np.int64)[:, None]
    bent = low < zero_point
    if shifts.min() < -_RIGHT or low >= high:
        return None
    # A line is at the zero point for a sum of 0, so its offset has that many sums in it.
    reach = 2.0 if bent else (abs(zero_point) + 1) * 2.0 ** (31 - shifts) / multipliers
    left = 30 - max(int(np.floor(np.log2((bound[:, 0] + reach).max()))), 0)
    right = left - 1 - shifts
    if left < 1 or (right < 1).any():
        return None
    spare = np.maximum(right - _RIGHT, 0)
    right -= spare
    if bent and spare.any():
        return None
    steps = np.arange(low + 1, high + 1)
    first = np.clip(thresholds(multipliers, shifts, steps - zero_point), -bound, bound + 1)
    levels = steps << right[:, None]
    if bent:
        levels = ((steps - zero_point) << right[:, None]) - (1 << (right[:, None] - 1))
    stairs = _Stairs(levels, first, bound, left, 1 << (left - 1) if bent else 0)
    found = stairs.lines(multipliers >> spare)
    if found is None:
        return None
    offsets, slopes = found
    if (np.abs(offsets) + (bound[:, 0] << left) >= 2**31).any():
        return None
    if bent and ((offsets < 0) | (offsets >> left != 0)).any():
        return None  # h would not have the sign of the sum
    return left, bent, offsets, slopes, right


@dataclass(frozen=True, slots=True, eq=False)
class _Stairs:
    """What h has to be where; arrays are [channels, steps], `bound` [channels, 1]."""

    levels: Int64s
    """From the sum `first` on, h is this or more, before it less."""
    first: Int64s
    bound: Int64s
    left: int
    bend: int
    """By how much more where the sum is negative."""

    def lines(self, start: Int64s) -> tuple[Int64s, Int64s] | None:
        """Offsets and multipliers, by bisection of the latter around `start`."""
        least, most = start - (start >> 6), np.minimum(start + (start >> 6) + 1, 2**31 - 1)
        slopes, offsets = start.copy(), np.zeros_like(start)
        left = np.arange(len(start))
        for _ in range(_TURNS):
            low, high, steep = self._offsets(left, slopes[left])
            done = low <= high
            offsets[left[done]] = np.clip(0, low, high)[done]
            left, steep = left[~done], steep[~done]
            if not len(left):
                return offsets, slopes
            least[left[steep]] = slopes[left[steep]]
            most[left[~steep]] = slopes[left[~steep]]
            slopes[left] = (least[left] + most[left]) // 2
        return None

    def _offsets(
        self, channels: npt.NDArray[np.intp], slopes: Int64s
    ) -> tuple[Int64s, Int64s, npt.NDArray[np.bool_]]:
        """The offsets allowed, low..high; whether a steeper line would allow more."""
        first, bound = self.first[channels], self.bound[channels]
        levels, never = self.levels[channels], np.int64(1) << 62
        reached = -(-((levels + self.bend * (first < 0)) << 32) // slopes[:, None])
        missed = -(-((levels + self.bend * (first <= 0)) << 32) // slopes[:, None]) - 1
        lows = np.where(first <= bound, reached - (first << self.left), -never)
        highs = np.where(first > -bound, missed - ((first - 1) << self.left), never)
        steep = lows.argmax(axis=1) > highs.argmin(axis=1)
        return lows.max(axis=1), highs.min(axis=1), steep
