"""Graphs in which tensors are computed again: what `recompute` decides, written down and done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinyml.errors import ModelError
from tinyml.ir import ops
from tinyml.ir.graph import Graph, Node, Tensor

_AGAIN, _KEPT, _REST, _JOINED = " (again)", " (kept)", " (rest)", " (joined)"

RECOMPUTED = "recomputed"
"""Key of a manifest's options: what is computed again (`Again.record`), in a list."""

WINDOWS = (ops.Conv2D, ops.DepthwiseConv2D, ops.AveragePool2D, ops.MaxPool2D)
"""Operators that slide a window, with padding above, over the rows of their first operand."""

ROWWISE = (
    *ops.TABULATED,
    ops.Quantize,
)
"""Operators that compute every element by itself."""


@dataclass(frozen=True, slots=True)
class Again:
    """A tensor that is computed a second time."""

    tensor: str
    readers: tuple[str, ...]
    """The nodes that read the second one."""
    nodes: tuple[str, ...]
    """What computes it, in order; the last one gives the tensor."""
    kept: int = 0
    """How many of the first rows are kept from the first time; the nodes are then a chain of
    `WINDOWS` and `ROWWISE`, and compute only what the other rows need."""

    def record(self) -> dict[str, Any]:
        """Itself for a manifest."""
        return {
            "tensor": self.tensor,
            "readers": list(self.readers),
            "nodes": list(self.nodes),
            "kept": self.kept,
        }

    @staticmethod
    def recorded(record: Mapping[str, Any]) -> "Again":
        """From what `record` gave; ModelError if it is anything else."""
        try:
            tensor, kept = record["tensor"], record["kept"]
            readers, nodes = tuple(record["readers"]), tuple(record["nodes"])
        except (KeyError, TypeError) as error:
            raise ModelError(
                f"the manifest's record of what is computed again is damaged: {error}",
                hint="build the project again",
            ) from error
        return Again(tensor, readers, nodes, kept)


def taken_names(graph: Graph) -> frozenset[str]:
    """The nodes of which a copy would take a name that is there already."""
    nodes = {node.name for node in graph.nodes}
    return frozenset(
        node.name
        for node in graph.nodes
        for suffix in (_AGAIN, _KEPT, _REST, _JOINED)
        if node.name + suffix in nodes or node.outputs[0] + suffix in graph.tensors
    )


def with_copies(graph: Graph, chosen: Sequence[Again]) -> Graph:
    """`graph` with all of `chosen`, no two of which have a node in common.

    The copies run right before the first of the readers, rows are kept right after they were
    computed. Raises ModelError if a name is not the graph's.
    """
    node_of = {node.name: node for node in graph.nodes}
    for each in chosen:
        missing = {*each.nodes, *each.readers} - node_of.keys()
        if missing:
            raise ModelError(
                f"model '{graph.name}' has no '{min(missing)}' to compute '{each.tensor}' again",
                hint="build the project again",
            )
    tensors = dict(graph.tensors)
    before: dict[str, list[Node]] = {}
    after: dict[str, list[Node]] = {}
    renamed: dict[str, dict[str, str]] = {}
    for each in chosen:
        copier = _Copier(graph, tensors, [node_of[name] for name in each.nodes])
        if each.kept:
            after.setdefault(each.nodes[-1], []).append(copier.keep(each.kept))
        before.setdefault(each.readers[0], []).extend(copier.copies(each.kept))
        for reader in each.readers:
            renamed.setdefault(reader, {})[each.tensor] = copier.result(each.kept)
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes += before.get(node.name, [])
        nodes.append(_reading(node, renamed.get(node.name, {})))
        nodes += after.get(node.name, [])
    return graph.rebuilt(tuple(nodes), tensors)


@dataclass(frozen=True, slots=True)
class _Copier:
    """Makes the copies of some nodes, and puts their tensors into `tensors`."""

    graph: Graph
    tensors: dict[str, Tensor]
    nodes: list[Node]

    def result(self, kept: int) -> str:
        """What the readers read."""
        return self.nodes[-1].output + (_JOINED if kept else _AGAIN)

    def keep(self, rows: int) -> Node:
        """The first rows, as they are computed for the first time."""
        last = self.nodes[-1]
        return self._slice(last.name + _KEPT, last.output, 0, rows, last.output + _KEPT)

    def copies(self, kept: int) -> list[Node]:
        """What computes the rows from `kept` on, and puts them below the kept ones."""
        names: dict[str, str] = {}
        if not kept:
            names = {node.output: self._like(node.output, _AGAIN) for node in self.nodes}
            return [self._copy(node, node.op, names) for node in self.nodes]
        # From the last one upwards: which rows its operand has to have.
        changed: list[ops.Op] = []
        first = kept
        for node in reversed(self.nodes):
            names[node.output] = self._like(node.output, _AGAIN, without=first)
            first, op = _from_row(node.op, first)
            changed.insert(0, op)
        made: list[Node] = []
        start, last = self.nodes[0], self.nodes[-1]
        source = self.graph.activations(start)[0]
        if first:
            rows = self.graph.tensors[source].shape[1] - first
            names[source] = start.output + _REST
            made.append(self._slice(start.name + _REST, source, first, rows, names[source]))
        made += (self._copy(*pair, names) for pair in zip(self.nodes, changed, strict=True))
        parts = (last.output + _KEPT, names[last.output])
        joined = self._like(last.output, _JOINED)
        made.append(Node(last.name + _JOINED, ops.Concatenation(1), parts, (joined,)))
        return made

    def _copy(self, node: Node, op: ops.Op, names: Mapping[str, str]) -> Node:
        copy = replace(_reading(node, names), op=op, name=node.name + _AGAIN)
        return replace(copy, outputs=(names[node.output],))

    def _like(self, tensor: str, suffix: str, *, without: int = 0) -> str:
        """A new tensor, as another one without its first rows."""
        batch, height, *rest = self.graph.tensors[tensor].shape
        shape = (batch, height - without, *rest)
        name = tensor + suffix
        self.tensors[name] = replace(self.graph.tensors[tensor], name=name, shape=shape)
        return name

    def _slice(self, name: str, source: str, first: int, rows: int, result: str) -> Node:
        batch, _, width, channels = self.graph.tensors[source].shape
        shape = (batch, rows, width, channels)
        self.tensors[result] = replace(self.graph.tensors[source], name=result, shape=shape)
        op = ops.StridedSlice((0, first, 0, 0), shape, (1, 1, 1, 1), shape)
        return Node(name, op, (source,), (result,))


def _from_row(op: ops.Op, first: int) -> tuple[int, ops.Op]:
    """The first row of the operand for result rows from `first` on, and the op on those rows."""
    if not isinstance(op, WINDOWS):
        return first, op
    above = first * op.stride[0] - op.pads.top
    return max(above, 0), replace(op, pads=replace(op.pads, top=max(-above, 0)))


def _reading(node: Node, renamed: Mapping[str, str]) -> Node:
    """`node`, reading other tensors."""
    return replace(
        node, inputs=tuple(None if n is None else renamed.get(n, n) for n in node.inputs)
    )
