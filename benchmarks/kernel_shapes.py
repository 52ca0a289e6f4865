"""The shapes in `benchmarks/shapes/`, as one model of independent operators.

One firmware then measures every shape: each operator has an input and an output of its own, and
the profile has a count for each.
"""

from dataclasses import dataclass
from pathlib import Path

from tests.support.builder import SOFTMAX_QUANT, GraphBuilder, per_tensor
from tests.support.graphs import same_pads
from tests.support.tflite_writer import write
from tinyml.ir import ops
from tinyml.ir.ops import Activation, Pads

SHAPES = Path(__file__).resolve().parent / "shapes"

_QUANT = per_tensor(0.03, -128)
"""Of all maps, as after a ReLU: kernels may have a shorter rescale for it, which networks get."""

_ELEMENTWISE: dict[str, ops.Op] = {
    "ADD": ops.Add(),
    "MUL": ops.Mul(),
    "LOGISTIC": ops.Logistic(),
    "HARD_SWISH": ops.HardSwish(),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """One line of a file of shapes."""

    family: str
    """The file's name without its suffix."""
    text: str
    """The line, which names the shape in tables."""


def read_shapes(folder: Path = SHAPES) -> tuple[Shape, ...]:
    """All shapes, file by file in the order of their names."""
    return tuple(
        Shape(path.stem, line)
        for path in sorted(folder.glob("*.txt"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )


def model(shapes: tuple[Shape, ...]) -> bytes:
    """A .tflite file in which output `shape_I` is what shape number I computes."""
    builder = GraphBuilder("shapes", seed=1)
    for index, shape in enumerate(shapes):
        _FAMILIES[shape.family](builder, shape.text.split(), f"shape_{index}")
    outputs = (f"shape_{index}" for index in range(len(shapes)))
    return write(builder.graph(*outputs), description="kernel shapes, random weights")


def _conv(builder: GraphBuilder, words: list[str], name: str) -> None:
    height, width, channels, kernel, filters, stride = map(int, words)
    x = builder.input((1, height, width, channels), _QUANT)
    builder.conv(
        x,
        filters,
        (kernel, kernel),
        stride=(stride, stride),
        pads=_same(height, width, kernel, stride),
        activation=Activation.RELU,
        quant=_QUANT,
        output=name,
    )


def _depthwise(builder: GraphBuilder, words: list[str], name: str) -> None:
    height, width, channels, kernel, stride = map(int, words)
    x = builder.input((1, height, width, channels), _QUANT)
    builder.depthwise(
        x,
        1,
        (kernel, kernel),
        stride=(stride, stride),
        pads=_same(height, width, kernel, stride),
        activation=Activation.RELU,
        quant=_QUANT,
        output=name,
    )


def _dense(builder: GraphBuilder, words: list[str], name: str) -> None:
    inputs, outputs = map(int, words)
    builder.dense(builder.input((1, inputs), _QUANT), outputs, quant=_QUANT, output=name)


def _elementwise(builder: GraphBuilder, words: list[str], name: str) -> None:
    kind, sizes = words[0], tuple(map(int, words[1:]))
    op = _ELEMENTWISE[kind]
    inputs = [builder.input((1, *sizes), _QUANT) for _ in range(2 if kind in ("ADD", "MUL") else 1)]
    quant = per_tensor(1 / 256, -128) if kind == "LOGISTIC" else _QUANT
    builder.node(op, inputs, quant, output=name)


def _reduce(builder: GraphBuilder, words: list[str], name: str) -> None:
    kind, (height, width, channels, kernel, stride) = words[0], map(int, words[1:])
    window = (kernel, kernel) if kernel else (height, width)
    if kind == "SOFTMAX":
        x = builder.input((1, channels), _QUANT)
        builder.node(ops.Softmax(), (x,), SOFTMAX_QUANT, output=name)
        return
    x = builder.input((1, height, width, channels), _QUANT)
    pools: dict[str, ops.Op] = {
        "AVERAGE_POOL_2D": ops.AveragePool2D(filter=window, stride=(stride, stride), pads=Pads()),
        "MAX_POOL_2D": ops.MaxPool2D(filter=window, stride=(stride, stride), pads=Pads()),
        "MEAN": ops.Mean(axes=(1, 2), keep_dims=False),
        "MEAN_H": ops.Mean(axes=(1,), keep_dims=True),
        "MEAN_W": ops.Mean(axes=(2,), keep_dims=True),
    }
    builder.node(pools[kind], (x,), output=name)


_FAMILIES = {
    "conv": _conv,
    "depthwise": _depthwise,
    "dense": _dense,
    "elementwise": _elementwise,
    "reduce": _reduce,
}


def _same(height: int, width: int, kernel: int, stride: int) -> Pads:
    """TFLite's SAME padding."""
    return Pads(*same_pads(height, kernel, stride), *same_pads(width, kernel, stride))
