"""A layer with weights and how it is to be trained, resolved to numbers."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, prod

import numpy as np

from tinyml.ir import ops
from tinyml.ir.graph import Graph, Node, Shape
from tinyml.train.gradient_filter import Window
from tinyml.train.grid import Grid, filter_grids
from tinyml.train.options import TrainOptions
from tinyml.train.program import Layer, LayerKind, Precision
from tinyml.train.tail import Tail

BIAS_LIMIT = 2**30
"""Leaves room for the products in sums of int32, which inference adds to a bias."""
WEIGHT_LIMIT = 127
"""TFLite's symmetric weights do without -128."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A layer of the head; one that does not learn itself passes gradients on."""

    layer: Layer
    x_name: str
    weights: str
    bias: str | None
    trains_bias: bool
    channels: int
    """How many of the input's channels have weights that learn; 0 for none."""
    y_grid: Grid | None
    """None: exact."""
    grid_of_input: Grid | None
    factor: float
    """What means of the output's gradient are multiplied by."""
    x_zero_point: int
    weights_zero_point: int
    weight_scales: tuple[float, ...]
    """Per output channel; none in float32, as for the factors."""
    weight_factors: tuple[float, ...]
    """s_x / s_w: from a gradient's sum over integers to steps of a weight, s_w^2 divided out."""
    bias_factors: tuple[float, ...]
    """1 / (s_w s_x)."""
    weight_limit: int
    bias_limit: int

    @property
    def x_grid(self) -> Grid | None:
        """The grid by which the input is kept; None if it is kept pixel by pixel."""
        return self.grid_of_input if self.channels else None

    @property
    def saves(self) -> bool:
        """Whether the weights' gradient reads something else than the input itself."""
        return self.channels > 0 and (self.y_grid is not None or self.channels < self.layer.x[-1])

    @property
    def saved(self) -> str:
        """The name of the buffer for it."""
        return f"saved:{self.layer.node}"

    def learning(self) -> tuple[tuple[str, Shape], ...]:
        """Parameters that learn, and the shapes of their momenta."""
        found: list[tuple[str, Shape]] = []
        if self.bias is not None and self.trains_bias:
            found.append((self.bias, (self.layer.y[-1],)))
        if self.channels:
            outputs, inputs = (
                (1, self.channels * self.layer.multiplier)
                if self.layer.multiplier
                else (self.layer.y[-1], self.channels)
            )
            exact = self.y_grid is None and self.layer.kind is not LayerKind.DENSE
            kernel = self.layer.window.kernel if exact else ()
            found.append((self.weights, (outputs, *kernel, inputs)))
        return tuple(found)


def trained_layer(tail: Tail, node: Node, options: TrainOptions) -> Trained:
    """`node`, a layer with weights of the head of `tail`, under `options`."""
    x, weights, *rest = tail.head.operands(node)
    bias = rest[0] if rest else None
    assert x is not None and weights is not None
    layer = layer_of(tail.head, node)
    learns = node.name in tail.trained
    update = options.update_of(node.name)
    radius = options.radius_of(node.name)
    stride = layer.window.stride
    filtered = radius > 1 and layer.kind is not LayerKind.DENSE
    grids = filter_grids(layer.x, layer.y, stride, radius) if filtered else None
    integers = options.precision is Precision.INT8
    scales = weights.q.scales * (1 if len(weights.q.scales) > 1 else layer.y[-1])
    zero_point = weights.q.zero_points[0]
    return Trained(
        layer=layer,
        x_name=x.name,
        weights=weights.name,
        bias=None if bias is None else bias.name,
        trains_bias=learns and update.bias,
        channels=ceil(update.share * layer.x[-1]) if learns else 0,
        y_grid=grids[1] if grids else None,
        grid_of_input=grids[0] if grids else None,
        factor=1 / prod(stride) if options.normalise_stride else 1.0,
        x_zero_point=x.q.zero_point if integers else 0,
        weights_zero_point=zero_point if integers else 0,
        weight_scales=scales if integers else (),
        weight_factors=_rounded(x.q.scale / s for s in scales) if integers else (),
        bias_factors=_rounded(1 / (x.q.scale * s) for s in scales) if integers else (),
        weight_limit=WEIGHT_LIMIT if integers else 0,
        bias_limit=BIAS_LIMIT if integers else 0,
    )


def _rounded(factors: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(np.float32(factor)) for factor in factors)


def layer_of(graph: Graph, node: Node) -> Layer:
    """The shapes of `node`, a layer with weights."""
    op, (x, weights), (y,) = node.op, graph.operands(node)[:2], graph.results(node)
    assert x is not None and weights is not None
    if isinstance(op, ops.FullyConnected):
        outputs, inputs = weights.shape
        rows = x.size // inputs
        window = Window((1, 1))
        return Layer(node.name, LayerKind.DENSE, (rows, inputs), (rows, outputs), window, 0)
    assert isinstance(op, ops.Conv2D | ops.DepthwiseConv2D)
    window = Window((weights.shape[1], weights.shape[2]), op.stride, op.dilation, op.pads)
    if isinstance(op, ops.DepthwiseConv2D):
        return Layer(node.name, LayerKind.DEPTHWISE, x.shape, y.shape, window, op.multiplier)
    return Layer(node.name, LayerKind.CONV, x.shape, y.shape, window, 0)
