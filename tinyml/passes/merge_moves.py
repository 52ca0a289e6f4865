"""Merges pairs of nodes that only move bytes."""

from dataclasses import replace

from tinyml.ir.graph import Graph, Node
from tinyml.ir.operands import misfit
from tinyml.ir.ops import Op, Pad, Reshape, Transpose
from tinyml.passes.rewrite import fill, repeated, replaced


@repeated
def merge_moves(graph: Graph) -> Graph:
    """`graph` with RESHAPE of RESHAPE, TRANSPOSE of TRANSPOSE and PAD of PAD as one.

    Exact, because the bytes and their order stay the same; two PADs merge where they
    fill in the same byte. The first node of a pair goes on for other readers of its
    result, but then a transpose or a pad, which costs work, does not merge with it
    (save a transpose and its inverse, which vanish).
    """
    producers, consumers = graph.producers(), graph.consumers()
    for node in graph.nodes:
        first = producers.get(node.inputs[0] or "")
        if first is not None:
            shared = first.outputs[0] in graph.outputs or len(consumers[first.outputs[0]]) > 1
            op = _merged(graph, first, node, shared)
            if op and misfit(op, graph.operands(first), graph.results(node)) is None:
                changes: dict[str, Node | None] = {
                    node.name: replace(node, op=op, inputs=first.inputs)
                }
                if not shared:
                    changes[first.name] = None
                return replaced(graph, changes)
    return graph


def _merged(graph: Graph, first: Node, second: Node, shared: bool) -> Op | None:
    """The op that does what `first` and then `second` do; None where there is none."""
    match first.op, second.op:
        case Reshape(), Reshape() as reshape:
            return reshape
        case Transpose(perm=inner), Transpose(perm=outer):
            perm = tuple(inner[axis] for axis in outer)
            return None if shared and list(perm) != sorted(perm) else Transpose(perm)
        case Pad(paddings=inner_pads), Pad(paddings=outer_pads) as pad:
            if shared or fill(graph, first) != fill(graph, second):
                return None
            pairs = zip(inner_pads, outer_pads, strict=True)
            return replace(pad, paddings=tuple((a + c, b + d) for (a, b), (c, d) in pairs))
    return None
