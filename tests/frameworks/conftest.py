"""Networks trained here in each framework, on blobs: where a bright spot lies is its class.

`make test-frameworks` makes the environments that these tests need; elsewhere they skip.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

CLASSES, SIZE = 4, 12
_CENTRES = ((3, 3), (3, 8), (8, 3), (8, 8))


@dataclass(frozen=True, slots=True)
class Blobs:
    """Images [n, 12, 12, 3] in 0..1, and which quarter the spot is in."""

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


def blobs(count: int, seed: int) -> Blobs:
    """Noise with a spot that is brighter, somewhere near the centre of a quarter."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    images = rng.random((count, SIZE, SIZE, 3), np.float32) * 0.4
    for image, label in zip(images, labels, strict=True):
        y, x = np.array(_CENTRES[label]) + rng.integers(-1, 2, 2)
        image[y - 1 : y + 2, x - 1 : x + 2] += 0.5
    return Blobs(images, labels)


def need(*modules: str) -> None:
    """Skips the module where these packages are not installed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        reason = f"{', '.join(missing)} not installed: make test-frameworks installs them"
        pytest.skip(reason, allow_module_level=True)


@dataclass(frozen=True, slots=True)
class Data:
    """Files of samples to calibrate with, and to measure on."""

    train: Path
    test: Path


def saved(folder: Path, name: str, *, channels_first: bool) -> Data:
    """The blobs as .npz files whose array has the given name."""
    found = {}
    for part, count, seed in (("train", 100, 1), ("test", 200, 2)):
        made = blobs(count, seed)
        images = made.images.transpose(0, 3, 1, 2) if channels_first else made.images
        found[part] = folder / f"{part}.npz"
        arrays = {name: images, "labels": made.labels}
        np.savez(found[part], **arrays)  # type: ignore[arg-type]
    return Data(**found)
