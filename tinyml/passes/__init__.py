"""Graph rewrites that keep every output byte."""

from collections.abc import Callable

from tinyml.ir.check import check
from tinyml.ir.graph import Graph
from tinyml.passes.dead_channels import remove_dead_channels
from tinyml.passes.fold_constants import fold_constants
from tinyml.passes.fold_pads import fold_pads
from tinyml.passes.fuse_activations import fuse_activations
from tinyml.passes.int8_io import int8_io
from tinyml.passes.merge_moves import merge_moves
from tinyml.passes.remove_dead import remove_dead
from tinyml.passes.remove_noops import remove_noops
from tinyml.passes.remove_round_trips import remove_round_trips
from tinyml.passes.sink_transposes import sink_transposes
from tinyml.passes.widen_depthwise import widen_depthwise

__all__ = ["PASSES", "int8_io", "optimize"]

PASSES: tuple[Callable[[Graph], Graph], ...] = (
    remove_dead,
    fold_constants,
    remove_noops,
    remove_round_trips,
    merge_moves,
    sink_transposes,
    fuse_activations,
    fold_pads,
    widen_depthwise,
    remove_dead_channels,
)
"""In the order in which they run; each returns the very graph it got when it finds nothing."""


def optimize(graph: Graph) -> Graph:
    """`graph` after all passes, again and again until none finds anything.

    The reference gives the same bytes for every graph output before and after, for
    every input. Inputs and outputs keep their names, order, shapes, types and
    quantisations. Raises GraphError if a pass breaks a rule of the IR.
    """
    before = None
    while graph is not before:
        before = graph
        for rewrite in PASSES:
            rewritten = rewrite(graph)
            if rewritten is not graph:
                check(rewritten)
            graph = rewritten
    return graph
