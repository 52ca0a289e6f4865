"""Gradient filtering written down once more, as loops over single numbers, in double.

X, W, G, dX, dx and dw exactly as the method defines them; and the plain convolution, of
which finite differences are exact derivatives, for it is linear in input and weights.
"""

from dataclasses import dataclass
from itertools import product
from math import ceil

import numpy as np
from hypothesis import strategies as st

from tinyml.ir.ops import Pads
from tinyml.train.gradient_filter import Window


@dataclass(frozen=True)
class Case:
    """One convolution with an input and a gradient of its output, small whole numbers."""

    window: Window
    multiplier: int
    x: np.ndarray
    weights: np.ndarray
    gy: np.ndarray

    @property
    def group(self) -> int:
        return self.multiplier


@st.composite
def cases(draw: st.DrawFn) -> Case:
    def number(low: int, high: int) -> int:
        return draw(st.integers(low, high))

    kernel = (number(1, 4), number(1, 4))
    dilation = (number(1, 2), number(1, 2)) if number(0, 3) == 3 else (1, 1)
    stride = (number(1, 3), number(1, 3))
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    pads = Pads(*(number(0, s - 1) for s in spans for _ in range(2)))
    beside = (pads.top + pads.bottom, pads.left + pads.right)
    least = [max(1, s - p) for s, p in zip(spans, beside, strict=True)]
    height, width = (number(low, max(low, 9)) for low in least)
    window = Window(kernel, stride, dilation, pads)
    channels, multiplier = number(1, 3), number(0, 2)
    outputs = channels * multiplier or number(1, 3)
    rng = np.random.default_rng(number(0, 2**32 - 1))
    batch = number(1, 2)
    shape = (1, *kernel, outputs) if multiplier else (outputs, *kernel, channels)

    def numbers(shape: tuple[int, ...]) -> np.ndarray:
        return rng.integers(-8, 9, shape).astype(np.float32)

    return Case(
        window,
        multiplier,
        numbers((batch, height, width, channels)),
        numbers(shape),
        numbers((batch, *window.places(height, width), outputs)),
    )


def weight(case: Case, o: int, u: int, v: int, i: int) -> float:
    """The weight from channel i to o; 0 where a depthwise convolution has none."""
    if case.multiplier:
        return float(case.weights[0, u, v, o]) if o // case.multiplier == i else 0.0
    return float(case.weights[o, u, v, i])


def convolution(case: Case, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """y [N, H, W, O], by definition."""
    (sy, sx), (dy, dx) = case.window.stride, case.window.dilation
    pads, (kh, kw) = case.window.pads, case.window.kernel
    y = np.zeros(case.gy.shape)
    each = Case(case.window, case.multiplier, x, weights, case.gy)
    for n, a, b, o in np.ndindex(*y.shape):
        for u, v, i in product(range(kh), range(kw), range(x.shape[3])):
            row, column = a * sy + u * dy - pads.top, b * sx + v * dx - pads.left
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                y[n, a, b, o] += weight(each, o, u, v, i) * x[n, row, column, i]
    return y


@dataclass(frozen=True)
class Filtered:
    """What the formulas give."""

    x: np.ndarray
    w: np.ndarray
    g: np.ndarray
    dx_patches: np.ndarray
    dx: np.ndarray
    dw: np.ndarray
    """[O, C]; of a depthwise convolution [O]."""


def filtered(case: Case, r: int) -> Filtered:
    """The formulas, patch by patch."""
    batch, h_in, w_in, channels = case.x.shape
    h_out, w_out, outputs = case.gy.shape[1:]
    blocks = [r * s for s in case.window.stride]
    p, q = ceil(h_out / r), ceil(w_out / r)
    pad_x = [ceil((p * blocks[0] - h_in) / 2), ceil((q * blocks[1] - w_in) / 2)]
    pad_y = [ceil((p * r - h_out) / 2), ceil((q * r - w_out) / 2)]
    x = np.zeros((batch, p, q, channels))
    for n, a, b, i in np.ndindex(*x.shape):
        for k, m in product(range(blocks[0]), range(blocks[1])):
            row, column = a * blocks[0] + k - pad_x[0], b * blocks[1] + m - pad_x[1]
            if 0 <= row < h_in and 0 <= column < w_in:
                x[n, a, b, i] += case.x[n, row, column, i]
    w = np.zeros((outputs, channels))
    for o, i, u, v in np.ndindex(outputs, channels, *case.window.kernel):
        w[o, i] += weight(case, o, u, v, i)
    g = np.zeros((batch, p, q, outputs))
    for n, a, b, o in np.ndindex(*g.shape):
        valid = [
            case.gy[n, a * r + k - pad_y[0], b * r + m - pad_y[1], o]
            for k, m in product(range(r), range(r))
            if 0 <= a * r + k - pad_y[0] < h_out and 0 <= b * r + m - pad_y[1] < w_out
        ]
        g[n, a, b, o] = sum(map(float, valid)) / len(valid)
    patches = np.zeros((batch, p, q, channels))
    dw = np.zeros((outputs, channels))
    for n, a, b, i, o in np.ndindex(batch, p, q, channels, outputs):
        patches[n, a, b, i] += w[o, i] * g[n, a, b, o]
        dw[o, i] += g[n, a, b, o] * x[n, a, b, i]
    dx = np.zeros(case.x.shape)
    for n, row, column, i in np.ndindex(*dx.shape):
        a, b = (row + pad_x[0]) // blocks[0], (column + pad_x[1]) // blocks[1]
        if 0 <= a < p and 0 <= b < q:
            dx[n, row, column, i] = patches[n, a, b, i]
    if case.multiplier:
        dw = np.array([dw[o, o // case.multiplier] for o in range(outputs)])
    return Filtered(x, w, g, patches, dx, dw)
