"""Removes nodes whose results nobody needs."""

from tinyml.ir.graph import Graph


def remove_dead(graph: Graph) -> Graph:
    """`graph` without the nodes that no graph output depends on, now or in a later invocation.

    Exact, because nodes have no effect but their outputs. A node with several
    outputs stays whole while one of them is needed. A state is needed while what it was
    before is. Graph inputs stay, read or not.
    """
    needed = set(graph.outputs)
    known = -1
    while known != len(needed):
        known = len(needed)
        kept = []
        for node in reversed(graph.nodes):
            if needed.intersection(node.outputs):
                kept.append(node)
                needed.update(name for name in node.inputs if name is not None)
        needed.update(state.after for state in graph.states if state.before in needed)
    return graph if len(kept) == len(graph.nodes) else graph.rebuilt(tuple(reversed(kept)))
