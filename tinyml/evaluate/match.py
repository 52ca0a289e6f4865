"""Which tensor of a float model is which tensor of the model quantised from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

from tinyml.importers.tflite_file import FileGraph
from tinyml.ir.graph import Graph, Node

_EDGES = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True, slots=True)
class Match:
    """A tensor of the float file."""

    index: int
    by: str
    """"name", or "order": the place among operators of the same kind and shape."""


def match(graph: Graph, floats: FileGraph) -> Mapping[str, Match]:
    """The first output of each node of `graph` -> its float tensor, where there is one.

    By name and shape, for quantisers keep names; what is left by aligning both lists of
    operators, where two are the same if their kinds and shapes of results are.
    """
    operators = [each for each in floats.operators if each.kind not in _EDGES and each.outputs]
    nodes = [node for node in graph.nodes if node.op.kind not in _EDGES]
    computed = {each.outputs[0] for each in operators}
    by_name = {(floats.tensors[i].name, floats.tensors[i].shape): i for i in computed}
    found: dict[str, Match] = {}
    for node in nodes:
        tensor = graph.tensors[node.outputs[0]]
        index = by_name.get((tensor.name, tensor.shape))
        if index is not None:
            found[tensor.name] = Match(index, "name")
    taken = {each.index for each in found.values()}
    ours = [_signature(graph, node) for node in nodes]
    theirs = [(each.kind, floats.tensors[each.outputs[0]].shape) for each in operators]
    for block in SequenceMatcher(a=ours, b=theirs, autojunk=False).get_matching_blocks():
        for step in range(block.size):
            name = nodes[block.a + step].outputs[0]
            index = operators[block.b + step].outputs[0]
            if name not in found and index not in taken:
                found[name] = Match(index, "order")
    return found


def _signature(graph: Graph, node: Node) -> tuple[str, tuple[int, ...]]:
    return node.op.kind, graph.tensors[node.outputs[0]].shape
