"""Gradients of one convolution: exact, and filtered with a radius (CVPR 2023, Yang et al.,
"Efficient On-device Training via Gradient Filtering").

Maps are [N, H, W, C] float32, patches [N, P, Q, C]; weights are as in the graph: OHWI for a
convolution, 1HWC for a depthwise one, [out, in] for a dense layer. A pointwise convolution
is a convolution whose kernel is 1x1. `multiplier` is the number of outputs to a channel of a
depthwise convolution, and 0 of one over all channels. All sums run in the stated order (see
`floats`).

Filtering keeps of the input only its sums X over blocks, takes of the output's gradient
only its means G over blocks, and of the weights only their sums W over a kernel:
dX = G W and dw = G X for every tap, one product per patch instead of one per pixel and tap.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tinyml.ir import ops
from tinyml.ir.graph import Shape
from tinyml.train.floats import Floats, sequential_sum
from tinyml.train.grid import Grid

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Window:
    """How a kernel moves over a map."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pads: ops.Pads = field(default_factory=ops.Pads)

    def taps(self) -> Iterator[tuple[int, int]]:
        """Row and column of every tap, row by row."""
        return ((u, v) for u in range(self.kernel[0]) for v in range(self.kernel[1]))

    def places(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the output."""
        p = self.pads
        return (
            _places(height + p.top + p.bottom, self.kernel[0], self.stride[0], self.dilation[0]),
            _places(width + p.left + p.right, self.kernel[1], self.stride[1], self.dilation[1]),
        )

    def padded(self, x: Floats) -> Floats:
        """The map with zeros around it."""
        p = self.pads
        return np.pad(x, ((0, 0), (p.top, p.bottom), (p.left, p.right), (0, 0)))

    def under(self, u: int, v: int, height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns of the padded map that tap (u, v) meets at all height x width places."""
        (dy, dx), (sy, sx) = self.dilation, self.stride
        rows = slice(u * dy, u * dy + (height - 1) * sy + 1, sy)
        return rows, slice(v * dx, v * dx + (width - 1) * sx + 1, sx)


def _places(padded: int, kernel: int, stride: int, dilation: int) -> int:
    return (padded - (kernel - 1) * dilation - 1) // stride + 1


def block_sums(x: Floats, grid: Grid) -> Floats:
    """[N, P, Q, C]: the sum of every patch, row by row, pixel by pixel."""
    sums = np.zeros((x.shape[0], *grid.shape, x.shape[3]), np.float32)
    for p in range(grid.rows.count):
        rows = range(*grid.rows.span(p))
        for q in range(grid.columns.count):
            columns = range(*grid.columns.span(q))
            for i in rows:
                for j in columns:
                    sums[:, p, q] += x[:, i, j]
    return sums


def block_means(gy: Floats, grid: Grid, factor: float = 1.0) -> Floats:
    """[N, P, Q, C]: the mean of every patch over its pixels on the map, times `factor`.

    The sum as in `block_sums`, then one product with float32(factor / pixels).
    """
    return block_sums(gy, grid) * inverse_counts(grid, factor)[None, :, :, None]


def inverse_counts(grid: Grid, factor: float = 1.0) -> Floats:
    """[P, Q]: factor / pixels of the patch, rounded once; 0 for a patch without pixels."""
    counts = grid.counts().astype(np.float64)
    return np.where(counts > 0, factor / np.maximum(counts, 1), 0.0).astype(np.float32)


def spread(dx: Floats, grid: Grid) -> Floats:
    """[N, H, W, C]: every pixel gets the value of its patch, 0 if it has none."""
    rows, columns = grid.rows.owners(), grid.columns.owners()
    full = dx[:, np.maximum(rows, 0)][:, :, np.maximum(columns, 0)]
    inside = (rows >= 0)[:, None] & (columns >= 0)[None, :]
    return np.where(inside[None, :, :, None], full, np.float32(0))


def kernel_sums(weights: Floats) -> Floats:
    """[O, C] of OHWI weights ([1, C] of depthwise ones): the sum over taps, row by row."""
    _, height, width, _ = weights.shape
    taps = (weights[:, u, v] for u in range(height) for v in range(width))
    return sequential_sum(taps, np.zeros((weights.shape[0], weights.shape[3]), np.float32))


def filtered_input_gradient(g: Floats, sums: Floats, multiplier: int) -> Floats:
    """dX [N, P, Q, C] from G [N, P, Q, O] and W (`kernel_sums`); the sum runs over o."""
    if multiplier:
        products = g * sums[0]
        parts = products.reshape(*g.shape[:3], -1, multiplier)
        return sequential_sum(
            (parts[..., m] for m in range(multiplier)), np.zeros(parts.shape[:-1], np.float32)
        )
    return dense_input_gradient(g, sums)


def filtered_weight_gradient(g: Floats, x: Floats, channels: int, multiplier: int) -> Floats:
    """dw, the same for every tap: [O, channels], or [1, channels * multiplier] if depthwise.

    G is [N, P, Q, O], X [N, P, Q, C >= channels]; the sum runs over n, P, Q.
    """
    x = x[..., :channels]
    if multiplier:
        x = np.repeat(x, multiplier, axis=3)
        return _over_places(g[..., : x.shape[3]] * x)[None]
    return dense_weight_gradient(g, x)


def dense_input_gradient(g: Floats, weights: Floats) -> Floats:
    """[..., in]: the sum over o of g [..., out] times weights [out, in]."""
    terms = (g[..., o, None] * weights[o] for o in range(weights.shape[0]))
    return sequential_sum(terms, np.zeros((*g.shape[:-1], weights.shape[1]), np.float32))


def dense_weight_gradient(g: Floats, x: Floats) -> Floats:
    """[out, in]: the sum over rows of g [..., out] times x [..., in]."""
    rows_g, rows_x = g.reshape(-1, g.shape[-1]), x.reshape(-1, x.shape[-1])
    terms = (a[:, None] * b for a, b in zip(rows_g, rows_x, strict=True))
    return sequential_sum(terms, np.zeros((g.shape[-1], x.shape[-1]), np.float32))


def bias_gradient(gy: Floats) -> Floats:
    """[O]: the sum of gy [..., O] over all places, exact (never filtered)."""
    return _over_places(gy)


def _over_places(x: Floats) -> Floats:
    rows = x.reshape(-1, x.shape[-1])
    return sequential_sum(iter(rows), np.zeros(x.shape[-1], np.float32))


def input_gradient(
    gy: Floats, weights: Floats, x: Shape, window: Window, multiplier: int
) -> Floats:
    """dx of shape `x`, exact: each pixel's sum runs over taps row by row, and for each over o."""
    height, width = gy.shape[1:3]
    dx = window.padded(np.zeros(x, np.float32))
    for u, v in window.taps():
        rows, columns = window.under(u, v, height, width)
        if not multiplier:
            for o in range(weights.shape[0]):
                dx[:, rows, columns] += gy[..., o, None] * weights[o, u, v]
            continue
        products = (gy * weights[0, u, v]).reshape(*gy.shape[:3], -1, multiplier)
        for m in range(multiplier):
            dx[:, rows, columns] += products[..., m]
    p = window.pads
    return dx[:, p.top : p.top + x[1], p.left : p.left + x[2]]


def weight_gradient(
    gy: Floats, x: Floats, channels: int, window: Window, multiplier: int
) -> Floats:
    """dw, exact: [O, kh, kw, channels], or [1, kh, kw, channels * multiplier] if depthwise.

    Each weight's sum runs over n, y, x of the output; taps beside the map add nothing.
    """
    padded, (height, width) = window.padded(x[..., :channels]), gy.shape[1:3]
    found = []
    for u, v in window.taps():
        rows, columns = window.under(u, v, height, width)
        met = padded[:, rows, columns]
        if multiplier:
            met = np.repeat(met, multiplier, axis=3)
            found.append(_over_places(gy[..., : met.shape[3]] * met)[None])
        else:
            found.append(dense_weight_gradient(gy, met))
    stacked = np.stack(found, axis=1)
    return stacked.reshape(stacked.shape[0], *window.kernel, stacked.shape[2])


def shared_by_taps(dw: Floats, kernel: tuple[int, int]) -> Floats:
    """A filtered dw [O, C] as weights [O, kh, kw, C]: the same for every tap."""
    shape = (dw.shape[0], *kernel, dw.shape[1])
    return np.broadcast_to(dw[:, None, None, :], shape)
