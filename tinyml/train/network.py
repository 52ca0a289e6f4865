"""The network that a target runs: that of the model, or one whose head is in float32."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from tinyml.ir import ops
from tinyml.ir.graph import DType, Graph, Node, Tensor
from tinyml.ir.ops.real import InFloat32
from tinyml.train.forward import dequantized
from tinyml.train.program import Precision
from tinyml.train.tail import Tail

MOVES = (ops.Concatenation, ops.Reshape)
"""Operators that are the same for elements of any type."""


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A tail as it is deployed."""

    tail: Tail
    precision: Precision
    graph: Graph
    """The whole of it. In float32 the results of the head are called as in the tail."""
    backbone: Graph
    """The frozen part, which gives what the head begins with."""
    start: Mapping[str, str] = field(repr=False)
    """What the head begins with, as the tail calls it -> as `graph` does."""

    @property
    def logits(self) -> Tensor:
        """The tensor that the loss is of."""
        return self.graph.tensors[self.tail.logits]

    def node(self, name: str) -> Node:
        """The node of `graph` of this name."""
        return next(node for node in self.graph.nodes if node.name == name)


def network(tail: Tail, precision: Precision) -> Network:
    """How `tail` is deployed.

    float32: every tensor between backbone and head is dequantised, and the nodes of the head are
    `InFloat32` (those of `MOVES` stay) with constants and results in float32.
    """
    if precision is Precision.INT8:
        same = {name: name for name in tail.head.inputs}
        return Network(tail, precision, tail.graph, tail.backbone, same)
    start = {name: f"{name} (float32)" for name in tail.head.inputs}
    tensors = {**tail.graph.tensors}
    converted = []
    for name, real in start.items():
        tensors[real] = _real(replace(tail.head.tensors[name], name=real))
        converted.append(Node(f"dequantize {name}", ops.Dequantize(), (name,), (real,)))
    made = {name for node in tail.head.nodes for name in node.outputs}
    for name, tensor in tail.head.tensors.items():
        if name in made or tensor.is_const:
            tensors[name] = _real(tensor)
    before = (*tail.backbone.nodes, *converted)
    head = tuple(_in_float32(node, start) for node in tail.head.nodes)
    backbone = replace(tail.backbone, outputs=tuple(start.values())).rebuilt(before, tensors)
    return Network(tail, precision, tail.graph.rebuilt((*before, *head), tensors), backbone, start)


def _in_float32(node: Node, start: Mapping[str, str]) -> Node:
    op = node.op if isinstance(node.op, MOVES) else InFloat32(node.op)
    inputs = tuple(None if name is None else start.get(name, name) for name in node.inputs)
    return replace(node, op=op, inputs=inputs)


def _real(tensor: Tensor) -> Tensor:
    """The same without quantisation; a constant has the real values."""
    data = None
    if tensor.data is not None:
        data = np.ascontiguousarray(dequantized(tensor, tensor.data))
        data.setflags(write=False)
    return replace(tensor, dtype=DType.FLOAT32, quant=None, data=data)
