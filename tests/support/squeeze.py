"""Networks with squeeze-and-excite blocks."""

from dataclasses import dataclass

from tests.support.builder import SOFTMAX_QUANT, GraphBuilder
from tests.support.graphs import same_pads
from tinyml.ir import ops
from tinyml.ir.graph import Graph
from tinyml.ir.ops import Activation, Pads

SQUEEZES = ("mean", "means", "flat means", "pool")
"""How the mean of a map is exported: at once, over width and then height, or as a pool."""


@dataclass(frozen=True)
class Block:
    """An inverted residual block: 1x1 to `wide` channels, depthwise, the gate, 1x1 to `out`."""

    wide: int
    out: int
    kernel: int = 3
    stride: int = 1
    gated: bool = True
    smooth: bool = False
    """HARD_SWISH for RELU6."""


def squeezed(b: GraphBuilder, x: str, how: str) -> str:
    """The mean over height and width, [1, 1, 1, C]."""
    _, height, width, channels = b.tensors[x].shape
    if how == "pool":
        return b.node(ops.AveragePool2D(filter=(height, width)), (x,))
    if how == "mean":
        return b.node(ops.Mean(axes=(1, 2), keep_dims=True), (x,), b.quant())
    keep = how == "means"
    y = b.node(ops.Mean(axes=(2,), keep_dims=keep), (x,), b.quant())
    y = b.node(ops.Mean(axes=(1,), keep_dims=keep), (y,), b.quant())
    return y if keep else b.node(ops.Reshape((1, 1, 1, channels)), (y,))


def gated(b: GraphBuilder, x: str, how: str, *, dense: bool = False) -> str:
    """`x` scaled per channel by what is made of its mean."""
    channels = b.tensors[x].shape[3]
    y = squeezed(b, x, how)
    if dense:
        y = b.dense(b.dense(y, max(1, channels // 4), activation=Activation.RELU), channels)
        y = b.node(ops.Reshape((1, 1, 1, channels)), (y,))
    else:
        y = b.conv(y, max(1, channels // 4), (1, 1), activation=Activation.RELU)
        y = b.conv(y, channels, (1, 1))
    gate = b.node(ops.Logistic(), (y,), SOFTMAX_QUANT)
    return b.node(ops.Mul(), (x, gate), b.quant_near(b.tensors[x].q.scale / 4))


def inverted(
    b: GraphBuilder, x: str, block: Block, how: str = "mean", *, dense: bool = False
) -> str:
    """`block` on `x`, with the residual connection where shapes allow one."""
    relu = Activation.NONE if block.smooth else Activation.RELU6

    def act(y: str) -> str:
        return b.node(ops.HardSwish(), (y,), b.quant()) if block.smooth else y

    shape = b.tensors[x].shape
    stride = (block.stride, block.stride)
    kernel = (block.kernel, block.kernel)
    pads = (same_pads(n, k, s) for n, k, s in zip(shape[1:3], kernel, stride, strict=True))
    y = act(b.conv(x, block.wide, (1, 1), activation=relu))
    (top, bottom), (left, right) = pads
    y = act(
        b.depthwise(
            y, 1, kernel, stride=stride, pads=Pads(top, bottom, left, right), activation=relu
        )
    )
    if block.gated:
        y = gated(b, y, how, dense=dense)
    y = b.conv(y, block.out, (1, 1))
    return b.node(ops.Add(), (y, x), b.quant()) if b.tensors[y].shape == shape else y


def mobile_net(side: int = 96, how: str = "mean", *, dense: bool = False) -> Graph:
    """The shape of MobileNetV3 large at half depth: HARD_SWISH, 5x5 windows, gates, 10 classes."""
    b = GraphBuilder(f"mobilenet_v3_{side}")
    y = b.conv(b.input((1, side, side, 3), name="image"), 16, stride=(2, 2), pads=Pads(0, 1, 0, 1))
    y = b.node(ops.HardSwish(), (y,), b.quant())
    for block in (
        Block(16, 16, gated=False),
        Block(64, 24, stride=2, gated=False),
        Block(72, 40, 5, stride=2),
        Block(120, 40, 5),
        Block(240, 80, stride=2, gated=False, smooth=True),
        Block(184, 80, gated=False, smooth=True),
        Block(480, 112, smooth=True),
        Block(672, 160, 5, stride=2, smooth=True),
        Block(960, 160, 5, smooth=True),
    ):
        y = inverted(b, y, block, how, dense=dense)
    y = b.node(ops.HardSwish(), (b.conv(y, 480, (1, 1)),), b.quant())
    y = b.node(ops.Mean(axes=(1, 2)), (y,), b.quant())
    return b.graph(b.dense(y, 10))
