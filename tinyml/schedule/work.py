"""How much work a schedule is."""

from collections.abc import Mapping

from tinyml.ir.graph import Graph
from tinyml.kernels.call import KernelCall, RowLoop
from tinyml.schedule.schedule import Schedule, SegmentKind


def executed_macs(graph: Graph, schedule: Schedule, calls: Mapping[str, KernelCall]) -> int:
    """Multiply-accumulates of one inference; what tiles compute again counts again."""
    return sum(macs_by_node(graph, schedule, calls).values())


def macs_by_node(
    graph: Graph, schedule: Schedule, calls: Mapping[str, KernelCall]
) -> dict[str, int]:
    """The same, node by node."""
    node_of = {node.name: node for node in graph.nodes}
    found = {}
    for segment in schedule.segments:
        for at, name in enumerate(segment.nodes):
            macs = graph.macs(node_of[name])
            if segment.kind is SegmentKind.PATCH:
                loop = calls[name].loop
                assert isinstance(loop, RowLoop)
                rows = segment.program.count(at)
                columns = sum(
                    stop - first for first, stop in (s.columns[at] for s in segment.strips)
                )
                macs = macs * rows * columns // (loop.out_height * loop.span.out_width)
            found[name] = macs
    return found
