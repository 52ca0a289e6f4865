"""The fewest kernels that compute a model: what takes the least code."""

from collections.abc import Sequence
from itertools import chain, combinations

from tinyml.ir.graph import Graph
from tinyml.kernels import ways


def fewest_kernels(graph: Graph, isa: tuple[str, ...], *, flatten: bool) -> frozenset[str]:
    """Names of the fewest kernels with which every node can be bound; arguments as for `bind`.

    Of several such sets, the one with the most kernels that are some node's preferred one.
    """
    return cover(
        [
            tuple(call.kernel for call in ways(graph, node, isa, flatten=flatten))
            for node in graph.nodes
        ]
    )


def cover(choices: Sequence[tuple[str, ...]]) -> frozenset[str]:
    """The smallest set of names with one of each of `choices`, the preferred of which is first."""
    needed = {names[0] for names in choices if len(names) == 1}
    open_ = sorted({names for names in choices if not needed & set(names)})
    preferred = dict.fromkeys(names[0] for names in open_)
    others = dict.fromkeys(name for name in chain(*open_) if name not in preferred)
    for size in range(len(preferred) + 1):
        # The first found has the most of what comes first.
        for names in combinations((*preferred, *others), size):
            if all(set(names) & set(choice) for choice in open_):
                return frozenset(needed | set(names))
    raise AssertionError(choices)
