"""The patches of gradient filtering: pixels of a map in equal blocks, along both axes.

A convolution has two grids of the same patches: blocks of r x r outputs and blocks of
K x K inputs, K = r * stride. Both are centred over their maps, so that blocks at the edges
reach over them, or, where a map is larger than the blocks together, leave pixels out.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinyml.ir.graph import Shape

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Blocks:
    """`count` blocks of `extent` pixels along an axis of `size`; the first begins at -`pad`."""

    size: int
    extent: int
    count: int
    pad: int

    def span(self, block: int) -> tuple[int, int]:
        """First pixel of a block and the one after its last, within the map; maybe empty."""
        first = block * self.extent - self.pad
        return min(max(first, 0), self.size), max(min(first + self.extent, self.size), 0)

    def owners(self) -> Indices:
        """Of every pixel its block, -1 for pixels outside of all."""
        owners = (np.arange(self.size) + self.pad) // self.extent
        return np.where((owners >= 0) & (owners < self.count), owners, -1)

    def counts(self) -> Indices:
        """Of every block how many pixels of the map it holds."""
        spans = np.array([self.span(block) for block in range(self.count)])
        lengths: Indices = np.maximum(spans[:, 1] - spans[:, 0], 0)
        return lengths


@dataclass(frozen=True, slots=True)
class Grid:
    """Blocks of rows times blocks of columns, over a map [N, H, W, C]."""

    rows: Blocks
    columns: Blocks

    @property
    def shape(self) -> tuple[int, int]:
        """Blocks down and across."""
        return self.rows.count, self.columns.count

    def counts(self) -> Indices:
        """[P, Q]: how many pixels of the map every patch holds."""
        return np.multiply.outer(self.rows.counts(), self.columns.counts())


def filter_grids(x: Shape, y: Shape, stride: tuple[int, int], radius: int) -> tuple[Grid, Grid]:
    """The grids over input `x` and output `y` [N, H, W, C] of a convolution, for `radius` r.

    p = ceil(h_out / r) patches along an axis; outputs are padded by ceil((p r - h_out) / 2)
    at the top, inputs by ceil((p K - h_in) / 2), which is negative where patches do not cover
    the input: those pixels belong to no patch.
    """
    axes_x, axes_y = [], []
    for h_in, h_out, s in zip(x[1:3], y[1:3], stride, strict=True):
        count, block = -(-h_out // radius), radius * s
        axes_y.append(Blocks(h_out, radius, count, _half(count * radius - h_out)))
        axes_x.append(Blocks(h_in, block, count, _half(count * block - h_in)))
    return Grid(*axes_x), Grid(*axes_y)


def _half(total: int) -> int:
    """ceil(total / 2), of a negative number, too."""
    return -(-total // 2)
