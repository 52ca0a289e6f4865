"""Image files as the array that a model's input takes."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinyml.errors import MissingToolError, ModelError

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".webp")
_MODES = {1: "L", 3: "RGB"}


def parse_pixels(text: str) -> tuple[float, float]:
    """ "0..1" as what black and white are; ModelError for anything else."""
    number = r"(-?\d+(?:\.\d+)?)"
    found = re.fullmatch(rf"{number}\.\.{number}", text)
    if found is None or float(found[1]) == float(found[2]):
        raise ModelError(f"--pixels {text} is no range", hint="such as 0..1, -1..1 or 0..255")
    return float(found[1]), float(found[2])


def decode(
    files: Sequence[Path], shape: Sequence[int], pixels: tuple[float, float]
) -> npt.NDArray[np.float32]:
    """The images as float32 [n, height, width, channels], resized bilinearly.

    `shape` is that of the input: [1, height, width, 1 or 3].
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingToolError(
            "reading images needs Pillow", hint="pip install 'tinyml[images]'"
        ) from error
    if len(shape) != 4 or shape[3] not in _MODES:
        raise ModelError(
            f"the model's input is {list(shape)}, an image is [1, height, width, 1 or 3]",
            hint="give the samples as arrays",
        )
    height, width, channels = shape[1:]
    low, high = pixels
    found = np.empty((len(files), height, width, channels), np.float32)
    for index, file in enumerate(files):
        try:
            with Image.open(file) as image:
                grey = image.convert(_MODES[channels])
                small = grey.resize((width, height), Image.Resampling.BILINEAR)
        except (OSError, ValueError) as error:
            raise ModelError(f"{file}: cannot be read as an image: {error}") from error
        values = np.asarray(small, np.float32).reshape(height, width, channels)
        found[index] = values * np.float32((high - low) / 255) + np.float32(low)
    return found
