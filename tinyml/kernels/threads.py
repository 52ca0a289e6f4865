"""Which layers threads share, by rows of their output."""

from dataclasses import replace

from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import KernelCall, RowLoop

LEAST_MACS = 1_000_000
"""The least work of a layer that threads share. To hand over a part and to wait for its end takes
some ten microseconds, in which a core of a Linux board multiplies some 100,000 times."""

SCRATCH_ALIGNMENT = 8
"""Of each thread's part of the scratch, as TINYML_ALIGNMENT."""


def shared(
    call: KernelCall, graph: Graph, node: Node, threads: int, least: int
) -> KernelCall | None:
    """`call` for `threads` threads; None where `node` takes less than `least`
    multiply-accumulates, or is not computed by rows of one map. Rows must not be flattened."""
    loop = call.loop
    if threads == 1 or graph.macs(node) < least:
        return None
    if not isinstance(loop, RowLoop) or loop.batches > 1 or loop.out_height == 1:
        return None
    workers = min(threads, loop.out_height)
    pitch = -(-call.scratch_bytes // SCRATCH_ALIGNMENT) * SCRATCH_ALIGNMENT
    return replace(call, workers=workers, scratch_bytes=pitch * workers, in_place=())
