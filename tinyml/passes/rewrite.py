"""The few edits that all passes are made of."""

from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from functools import wraps
from itertools import count

from tinyml.ir import ops
from tinyml.ir.graph import Graph, Node, Quant, Tensor
from tinyml.ir.operands import misfit
from tinyml.ir.ops import Pad, Reshape

FUSING = (
    ops.Conv2D,
    ops.DepthwiseConv2D,
    ops.FullyConnected,
    ops.Add,
    ops.Sub,
    ops.Mul,
    ops.AveragePool2D,
    ops.MaxPool2D,
)
"""Ops with a fused activation: a clamp of the integer result, the last thing they do."""


def repeated(step: Callable[[Graph], Graph]) -> Callable[[Graph], Graph]:
    """The pass that takes `step` until it finds nothing and returns the graph it got."""

    @wraps(step)
    def run(graph: Graph) -> Graph:
        while (rewritten := step(graph)) is not graph:
            graph = rewritten
        return graph

    return run


def same_quant(a: Quant | None, b: Quant | None) -> bool:
    """Whether equal bytes mean equal numbers (the axis of one single scale means nothing)."""
    if a is None or b is None:
        return a is b
    return (a.scales, a.zero_points) == (b.scales, b.zero_points) and (
        a.axis == b.axis or len(a.scales) == len(a.zero_points) == 1
    )


def same_type(a: Tensor, b: Tensor) -> bool:
    """Whether one of the tensors can stand for the other where their bytes are equal."""
    return a.shape == b.shape and a.dtype is b.dtype and same_quant(a.quant, b.quant)


def replaced(graph: Graph, changes: Mapping[str, Node | None]) -> Graph:
    """`graph` with the named nodes replaced, or removed where the new node is None."""
    nodes = (changes.get(node.name, node) for node in graph.nodes)
    return graph.rebuilt(tuple(node for node in nodes if node is not None))


def with_input(node: Node, old: str, new: str) -> Node:
    """`node` reading `new` wherever it read `old`."""
    return replace(node, inputs=tuple(new if name == old else name for name in node.inputs))


def bypassed(graph: Graph, node: Node, source: str) -> Graph:
    """`graph` without `node`, whose only output equals the tensor `source` byte for byte.

    Readers of the output read `source` instead; where the output is the graph's,
    which keeps its name, `source` is renamed to it. Where that cannot be (both are
    the graph's, or a constant would become an output) and where the two differ in
    shape or in the last bits of a scale, the node stays, as a RESHAPE: a view. Where
    they differ in quantisation by more, nothing can be done.
    """
    output = node.output
    x, y = graph.tensors[source], graph.tensors[output]
    pinned = x.is_const or source in (*graph.sources, *graph.outputs)
    if not same_type(x, y) or (output in graph.outputs and pinned):
        view = Node(node.name, Reshape(y.shape), (source,), (output,))
        if node == view or misfit(view.op, (x,), (y,)) is not None:
            return graph
        return replaced(graph, {node.name: view})
    old, new = (source, output) if output in graph.outputs else (output, source)
    changes: dict[str, Node | None] = {
        reader.name: with_input(reader, old, new) for reader in graph.consumers()[old]
    }
    changes[node.name] = None
    if old == source:
        producer = graph.producers()[source]
        outputs = tuple(new if name == old else name for name in producer.outputs)
        changes[producer.name] = replace(producer, outputs=outputs)
    return replaced(graph, changes)


def unused(name: str, taken: Container[str]) -> str:
    """`name`, with a number appended if it is taken."""
    candidates = (name if i == 0 else f"{name}.{i}" for i in count())
    return next(candidate for candidate in candidates if candidate not in taken)


def fill(graph: Graph, node: Node) -> int:
    """The integer that a PAD fills in."""
    assert isinstance(node.op, Pad)
    quant = graph.tensors[node.output].quant
    if node.op.value is not None:
        return node.op.value
    return 0 if quant is None else quant.zero_point
