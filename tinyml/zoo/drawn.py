"""Inputs for a network that has seen none: smooth shapes and noise, drawn with a seed."""

import numpy as np
import numpy.typing as npt

SCALES = (2, 5, 12)
"""Cells along a side of the grids that are laid over each other."""


def drawn_inputs(count: int, shape: tuple[int, ...], seed: int) -> npt.NDArray[np.float32]:
    """[count, *shape], most of it in -1 to 1; brightness and contrast differ from one to the next.

    Noise alone will not do: the means of its maps are all the same.
    """
    rng = np.random.default_rng(seed)
    found = 0.3 * rng.standard_normal((count, *shape))
    for cells in SCALES:
        grid = rng.standard_normal((count, *(min(cells, dim) for dim in shape)))
        for axis, dim in enumerate(shape, 1):
            at = np.arange(dim) * grid.shape[axis] // dim
            grid = grid.take(at, axis)
        found += 0.3 * grid
    one_each = (count, *(1 for _ in shape))
    contrast, brightness = rng.uniform(0.3, 1.3, one_each), rng.normal(0, 0.3, one_each)
    return (found * contrast + brightness).astype(np.float32)
