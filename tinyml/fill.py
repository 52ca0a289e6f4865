"""Inputs made from a seed, equal on host and target, so that none has to be sent.

A serial line at 115,200 baud takes most of a minute for an image of 600 kB;
a recipe takes one short request. What the target made of it is checked: an
inference runs only if the CRC-32 of its inputs is the host's.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

STEPS = 1 << 24
"""Values that a random float takes, counted from the lowest: floats hold all of 0 .. 2^24."""


class FillKind(IntEnum):
    """How words become data (TINYML_LINK_WORDS and TINYML_LINK_FLOATS)."""

    WORDS = 0
    """Word i is (mix(seed + i) & first) ^ second, little-endian."""
    FLOATS = 1
    """Float i is first + second * (mix(seed + i) >> 8), with both as the bits of a float."""


@dataclass(frozen=True, slots=True)
class Fill:
    """A recipe for the bytes of one input; the fields are those of the FILL request."""

    kind: FillKind
    seed: int
    first: int
    second: int

    def data(self, size: int) -> bytes:
        """The first `size` bytes."""
        index = np.arange(-(-size // 4), dtype=np.uint32)
        mixed = mix(index + np.uint32(self.seed))
        if self.kind is FillKind.WORDS:
            words = (mixed & np.uint32(self.first)) ^ np.uint32(self.second)
            return words.astype("<u4").tobytes()[:size]
        low, step = np.array([self.first, self.second], np.uint32).view(np.float32)
        with np.errstate(over="ignore"):
            floats: npt.NDArray[np.float32] = low + step * (mixed >> np.uint32(8)).astype("<f4")
        return floats.tobytes()


def constant(element: bytes) -> Fill:
    """The same element (1, 2 or 4 bytes) everywhere."""
    return Fill(FillKind.WORDS, 0, 0, int.from_bytes(element * (4 // len(element)), "little"))


def random_words(seed: int, mask: int = 0xFFFF_FFFF) -> Fill:
    """Random bits where `mask` has ones, zeros elsewhere."""
    return Fill(FillKind.WORDS, seed, mask, 0)


def random_floats(seed: int, low: float, high: float) -> Fill:
    """Floats from `low` to `high`, both about."""
    first, second = struct.unpack("<II", struct.pack("<ff", low, (high - low) / STEPS))
    return Fill(FillKind.FLOATS, seed, first, second)


def mix(x: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """MurmurHash3's 32-bit finalizer (Austin Appleby, public domain)."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))
