"""Small networks for tests of the emitter."""

from collections.abc import Sequence
from dataclasses import replace

from tests.support.graphs import GraphBuilder
from tinyml.ir import ops
from tinyml.ir.graph import DType, Graph, Node, Tensor
from tinyml.ir.ops import Pads


def small(name: str = "small net", seed: int = 0) -> Graph:
    """Convolution with stride and padding, mean, dense layer, softmax."""
    b = GraphBuilder(name, seed)
    x = b.input((1, 8, 8, 3), name="image")
    x = b.conv(x, 4, (3, 3), stride=(2, 2), pads=Pads(1, 0, 1, 0), output="features")
    x = b.node(ops.Mean(axes=(1, 2)), (x,), output="pooled")
    x = b.dense(x, 5, output="logits")
    return b.graph(x)


def many_ends() -> Graph:
    """Two inputs of unlike types, three outputs of unlike types."""
    b = GraphBuilder("many ends")
    x = b.input((1, 4, 4, 2), name="a")
    y = b.input((1, 4, 4, 2), dtype=DType.FLOAT32, name="b")
    z = b.node(ops.Quantize(), (y,), b.quant(), output="bq")
    total = b.node(ops.Add(), (x, z), b.quant(), output="total")
    real = b.node(ops.Dequantize(), (total,), dtype=DType.FLOAT32, output="real")
    best = b.node(ops.ArgMax(axis=3), (total,), dtype=DType.INT32, output="best")
    return b.graph(total, real, best)


def shared_weights() -> Graph:
    """Two convolutions with the very same weights, biases and scales."""
    b = GraphBuilder("shared")
    x = b.input((1, 6, 6, 2), name="x")
    y = b.conv(x, 2, (1, 1), output="y")
    first = b.nodes[-1]
    z = b.node(first.op, (y, *first.inputs[1:]), b.tensors["y"].quant, output="z")
    w = b.node(first.op, (z, *first.inputs[1:]), b.tensors["y"].quant, output="w")
    return b.graph(w)


def renamed(graph: Graph, names: Sequence[str], model: str | None = None) -> Graph:
    """The graph with `names` for its tensors and nodes, in order, made unique by a number."""
    pool = {old: f"{names[i % len(names)]}{i}" for i, old in enumerate(graph.tensors)}

    def rename(tensor: Tensor) -> Tensor:
        return replace(tensor, name=pool[tensor.name])

    nodes = tuple(
        Node(
            f"{names[i % len(names)]}{i}",
            node.op,
            tuple(None if n is None else pool[n] for n in node.inputs),
            tuple(pool[n] for n in node.outputs),
        )
        for i, node in enumerate(graph.nodes)
    )
    return Graph(
        graph.name if model is None else model,
        {pool[name]: rename(tensor) for name, tensor in graph.tensors.items()},
        nodes,
        tuple(pool[n] for n in graph.inputs),
        tuple(pool[n] for n in graph.outputs),
    )
