"""Losses of one sample, and their gradients, in the stated order of operations."""

import numpy as np

from tinyml.ir.graph import Array
from tinyml.train.floats import Floats, exp32, log32, sequential_sum
from tinyml.train.program import LossKind


def cross_entropy(logits: Floats, label: Array) -> tuple[Floats, np.float32]:
    """Gradient and loss of one row of logits z.

    e_i = exp32(z_i - max), p_i = e_i / sum; gradient p_i, less 1 at the label;
    loss log32(sum) - (z_label - max).
    """
    flat, at = logits.reshape(-1), int(label[0])
    if not 0 <= at < flat.size:
        raise ValueError(f"label {at} is none of the {flat.size} classes")
    shifted = flat - flat.max()
    powers = exp32(shifted)
    total = sequential_sum((powers[i : i + 1] for i in range(flat.size)), np.zeros(1, np.float32))
    gradient = powers / total
    gradient[at] -= np.float32(1)
    return gradient.reshape(logits.shape), log32(total[0]) - shifted[at]


def mean_squared_error(output: Floats, target: Array) -> tuple[Floats, np.float32]:
    """Gradient (y - t) * float32(2 / n) and loss (sum of (y - t)^2) * float32(1 / n)."""
    error = output - target.astype(np.float32)
    squares = (error * error).reshape(-1, 1)
    total = sequential_sum(iter(squares), np.zeros(1, np.float32))
    return error * np.float32(2 / error.size), total[0] * np.float32(1 / error.size)


LOSSES = {
    LossKind.CROSS_ENTROPY: cross_entropy,
    LossKind.MEAN_SQUARED_ERROR: mean_squared_error,
}
