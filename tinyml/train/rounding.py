"""Updates of integer parameters that lose nothing on average.

A step of a learning rate is mostly far smaller than a step of the int8 scale. Rounding to
the nearest would drop it; here a fraction f of a step is taken whole with probability f.
The random numbers are a function of seed, step, parameter and element, so that a target
and the host round alike, in any order of elements.
"""

import numpy as np
import numpy.typing as npt

from tinyml.fill import mix
from tinyml.train.floats import Floats

Ints = npt.NDArray[np.int64]

LARGEST_STEP = np.float32(1 << 30)
"""Longer steps, and those that are no number, are cut to this; clamping follows anyway."""
DRAWS = np.float32(1 << 24)
"""A draw is one of this many whole numbers from 0, all of them floats."""


def draws(seed: int, step: int, ordinal: int, count: int) -> npt.NDArray[np.uint32]:
    """For the elements 0 .. count - 1 of parameter `ordinal` in `step`: 24 random bits each.

    key = mix(mix(mix(seed) + step) + ordinal), draw i = mix(key + i) >> 8, all modulo 2^32, with
    MurmurHash3's finalizer as `mix`.
    """
    key = np.full(1, seed % 2**32).astype(np.uint32)
    for number in (step, ordinal):
        key = mix(key) + np.uint32(number % 2**32)
    key = mix(key)
    return mix(key + np.arange(count).astype(np.uint32)) >> np.uint32(8)


def stepped(
    values: npt.NDArray[np.integer], step: Floats, random: npt.NDArray[np.uint32], limit: int
) -> Ints:
    """values - step, rounded at random, within -limit .. limit; arrays of one shape.

    A value that is below -limit already (-128 among weights) may stay where it is.

    m = |step|, whole = trunc(m), rest = m - whole (exact); one more if draw < rest * 2^24;
    then the sign. So the mean is `step`, but for at most 2^-24.
    """
    magnitude = np.abs(step)
    magnitude = np.where(magnitude < LARGEST_STEP, magnitude, LARGEST_STEP)
    whole = np.trunc(magnitude)
    more = random.astype(np.float32) < (magnitude - whole) * DRAWS
    change = whole.astype(np.int64) + more
    moved: Ints = values.astype(np.int64) + np.where(step > 0, -change, change)
    return np.clip(moved, np.minimum(values, -limit), limit)
