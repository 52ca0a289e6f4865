"""What all strategies share: scales, zero points, data with extremes, one-op graphs."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from hypothesis import strategies as st

from tinyml.ir import ops
from tinyml.ir.graph import Array, DType, Graph, Node, Quant, Shape, Tensor

ACTIVATIONS = st.sampled_from(list(ops.Activation))

FLAGS = st.booleans()


@dataclass(frozen=True, slots=True)
class Case:
    """A one-op graph and values for its inputs."""

    graph: Graph
    inputs: dict[str, Array]


def f32(value: float) -> float:
    """`value` rounded to float32, as scales are."""
    return float(np.float32(value))


def scales(low: float = -10.0, high: float = 3.0) -> st.SearchStrategy[float]:
    """float32 scales, log-uniform in 2**low .. 2**high.

    Powers of two (whose rescales meet exact ties) and scales that put 6.0 halfway
    between two integers (where a clamping limit is rounded) are likely.
    """
    exact = st.integers(int(np.ceil(low)), int(np.floor(high))).map(lambda e: 2.0**e)
    halves = st.integers(1, 200).map(lambda n: f32(6 / (n + 0.5)))
    inside = halves.filter(lambda scale: 2.0**low <= scale <= 2.0**high)
    uniform = st.floats(low, high).map(lambda e: f32(2.0**e))
    return st.one_of(uniform, exact, inside if high > -2 else uniform)


def limited(scale: float) -> float:
    """An output scale as float32, large enough for the limits of ReLU6 to be int32 steps."""
    return max(f32(scale), 2.0**-28)


def dyadics(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers n * 2**e with a small odd n, in 2**low .. 2**high.

    Near such a ratio many results are ties but for the last bits of the multiplier,
    which depend on whether the ratio was computed in float or in double.
    """
    inside = st.tuples(st.sampled_from((1, 3, 5, 7)), st.integers(int(low) - 3, int(high)))
    return inside.map(lambda p: p[0] * 2.0 ** p[1]).filter(lambda x: 2.0**low <= x <= 2.0**high)


def zero_points(dtype: DType = DType.INT8) -> st.SearchStrategy[int]:
    """Zero points of an 8-bit type, extremes included; 0 for wider types."""
    if dtype not in (DType.INT8, DType.UINT8):
        return st.just(0)
    info = np.iinfo(dtype.numpy)
    low, high = int(info.min), int(info.max)
    return st.one_of(st.sampled_from((low, high, 0)), st.integers(low, high))


@st.composite
def quants(draw, dtype: DType = DType.INT8, scale: st.SearchStrategy[float] | None = None) -> Quant:
    """A per-tensor quantisation."""
    drawn = draw(scales() if scale is None else scale)
    return Quant((drawn,), (draw(zero_points(dtype)),))


def shapes(
    min_rank: int = 1, max_rank: int = 4, max_dim: int = 7, max_size: int = 1500
) -> st.SearchStrategy[Shape]:
    """Small shapes."""
    dims = st.integers(1, max_dim)
    return (
        st.lists(dims, min_size=min_rank, max_size=max_rank)
        .map(tuple)
        .filter(lambda s: prod(s) <= max_size)
    )


def images(max_side: int = 9, max_channels: int = 20) -> st.SearchStrategy[Shape]:
    """NHWC shapes; batches of two are rarer."""
    side = st.integers(1, max_side)
    channels = st.one_of(st.integers(1, 4), st.integers(1, max_channels))
    return st.tuples(st.sampled_from((1, 1, 1, 2)), side, side, channels)


@st.composite
def values(draw, shape: Shape, dtype: DType = DType.INT8) -> Array:
    """Integers of `dtype`: random, all lowest, all highest, or only extremes."""
    info = np.iinfo(dtype.numpy)
    low, high = int(info.min), int(info.max)
    style = draw(st.sampled_from(("random", "random", "random", "low", "high", "extremes")))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if style == "random":
        return rng.integers(low, high, shape, dtype.numpy, endpoint=True)
    if style == "extremes":
        return rng.choice(np.array([low, high], dtype.numpy), shape)
    return np.full(shape, low if style == "low" else high, dtype.numpy)


def tensor(
    name: str,
    shape: Shape,
    quant: Quant | None = None,
    dtype: DType = DType.INT8,
    data: Array | None = None,
) -> Tensor:
    """A tensor; `data`, when given, is made read-only."""
    if data is not None:
        data.setflags(write=False)
    return Tensor(name, tuple(shape), dtype, quant, data)


def case(
    op: ops.Op,
    inputs: Sequence[Tensor | None],
    outputs: Sequence[Tensor],
    feeds: dict[str, Array],
) -> Case:
    """The graph of one node over these tensors."""
    present = [t for t in inputs if t is not None]
    node = Node(
        "node",
        op,
        tuple(None if t is None else t.name for t in inputs),
        tuple(t.name for t in outputs),
    )
    graph = Graph(
        "case",
        {t.name: t for t in (*present, *outputs)},
        (node,),
        tuple(dict.fromkeys(t.name for t in present if not t.is_const)),
        tuple(t.name for t in outputs),
    )
    return Case(graph, feeds)


@st.composite
def pads_for(
    draw,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> ops.Pads:
    """SAME or VALID padding (what a .tflite can say) for a window; VALID only if it fits."""
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    fits = all(s >= e for s, e in zip(size, extents, strict=True))
    if fits and draw(FLAGS):
        return ops.Pads()
    (top, bottom), (left, right) = (
        same_pads(s, e, step) for s, e, step in zip(size, extents, stride, strict=True)
    )
    return ops.Pads(top, bottom, left, right)


def same_pads(size: int, extent: int, stride: int) -> tuple[int, int]:
    """SAME's pads before and after one dimension."""
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2
