"""The demo's data: scikit-learn's handwritten digits, 1,797 grey images of 8x8 pixels.

The images come in the order in which people wrote them, so the last quarter,
which is held out, is for the most part by writers the network has never seen.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

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
    digits = load_digits()
    images = (digits.images / PIXEL_MAX).astype(np.float32)[..., None]
    labels = digits.target.astype(np.int64)
    return (
        Samples(images[:-TEST_IMAGES], labels[:-TEST_IMAGES]),
        Samples(images[-TEST_IMAGES:], labels[-TEST_IMAGES:]),
    )
