"""Accuracy against labels, error against targets."""

import numpy as np
import numpy.typing as npt

from tinyml.data import Dataset
from tinyml.errors import ModelError
from tinyml.ir.graph import Array
from tinyml.results import Score

Reals = npt.NDArray[np.float64]


def score(data: Dataset, outputs: Reals) -> Score:
    """How near the first outputs [n, ...], in real numbers, are to what `data` wants."""
    flat = outputs.reshape(len(outputs), -1)
    accuracy = squared = absolute = None
    if data.labels is not None:
        _check_labels(data, flat)
        accuracy = float(np.mean(guesses(flat) == data.labels))
    if data.targets is not None:
        wanted = data.targets.reshape(len(outputs), -1).astype(np.float64)
        if wanted.shape != flat.shape:
            raise ModelError(
                f"the targets in '{data.source}' have {wanted.shape[1]} elements each, the "
                f"model's first output has {flat.shape[1]}"
            )
        squared = float(np.mean((flat - wanted) ** 2))
        absolute = float(np.mean(np.abs(flat - wanted)))
    return Score(len(outputs), accuracy, squared, absolute)


def guesses(outputs: Reals) -> Array:
    """[n] classes: the largest element; of a single one, whether it is over 0.5."""
    flat = outputs.reshape(len(outputs), -1)
    found: Array = (flat[:, 0] > 0.5) if flat.shape[1] == 1 else flat.argmax(axis=1)
    return found.astype(np.int64)


def _check_labels(data: Dataset, flat: Reals) -> None:
    assert data.labels is not None
    classes = max(flat.shape[1], 2)
    wrong = [int(label) for label in np.unique(data.labels) if not 0 <= label < classes]
    if wrong:
        raise ModelError(
            f"label {wrong[0]} in '{data.source}' is no class of the model, which has {classes}",
            hint="labels are counted from 0",
        )
