"""The demo's data: scikit-learn's handwritten digits, 1,797 grey images of 8x8 pixels.

The images come in the order in which people wrote them, so the last quarter,
which is held out, is for the most part by writers the network has never seen.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TEST_IMAGES = 450
PIXEL_MAX = 16.0
"""The largest pixel value in the data."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Images [n, 8, 8, 1], float32 in 0..1, and their labels 0..9."""

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


def load() -> tuple[Samples, Samples]:
    """The training set and the held-out test set."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (digits.images / PIXEL_MAX).astype(np.float32)[..., None]
    labels = digits.target.astype(np.int64)
    return (
        Samples(images[:-TEST_IMAGES], labels[:-TEST_IMAGES]),
        Samples(images[-TEST_IMAGES:], labels[-TEST_IMAGES:]),
    )


Change = Callable[[npt.NDArray[np.float32], np.random.Generator], npt.NDArray[np.float32]]
SHIFTS: dict[str, tuple[str, Change]] = {
    "dark": ("three tenths of the light", lambda images, rng: images * 0.3),
    "inverted": ("black and white exchanged", lambda images, rng: 1 - images),
    "noisy": (
        "noise of 0.35 of the range",
        lambda images, rng: np.clip(images + rng.normal(0, 0.35, images.shape), 0, 1),
    ),
    "rotated": ("turned by 90 degrees", lambda images, rng: np.rot90(images, axes=(1, 2))),
}
"""Images as the network never saw them: in words, and how they are made."""


def quantised(
    images: npt.NDArray[np.float32], scale: float, zero_point: int
) -> npt.NDArray[np.int8]:
    """Images as an int8 input of this scale has them."""
    steps = np.round(images / np.float32(scale)) + zero_point
    return np.clip(steps, -128, 127).astype(np.int8)
