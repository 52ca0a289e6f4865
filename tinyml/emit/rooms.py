"""How much room a board has for an arena and for tables, beside the rest of a firmware.

What the rest takes is known when it is linked, and the plan must know before. So where a board
has a second region, the first is given no more than surely fits; the linker has the last word.
"""

from collections.abc import Mapping

from tinyml.board import Board
from tinyml.ir.graph import Graph
from tinyml.kernels.call import KernelCall
from tinyml.memory.values import read_rows
from tinyml.schedule.schedule import Feed, Schedule

VECTOR_BYTES = 64
LEAST_CODE_BYTES = 4096
"""Startup, port and serial link, without any kernel."""
LEAST_STATIC_BYTES = 512
"""The serial link's buffers."""
RECORD_BYTES = 16
"""Of each output that the serial link reports on."""

SPARE_STATIC_BYTES = 2048
"""By which variables may exceed what they take at least: those of the C library."""
CODE_BYTES = 32 * 1024
"""Reserved for instructions: the above, all kernels that a model is likely to use, and the
parts of a C library that they need."""
OP_BYTES = 1024
"""And for each op: its function, parameters and programs."""
ALIGNMENT_BYTES = 64
"""What alignment costs at the edges of sections."""


def static_bytes(graph: Graph, schedule: Schedule, calls: Mapping[str, KernelCall]) -> int:
    """What variables take at least, beside the arena."""
    observed = sum(len(node.outputs) for node in graph.nodes)
    size = LEAST_STATIC_BYTES + RECORD_BYTES * observed
    if schedule.feed is Feed.ROWS:
        (name,) = graph.inputs
        reader = graph.consumers()[name][0]
        size += read_rows(graph, reader, calls[reader.name], name).bytes
    return size


def arena_rooms(
    graph: Graph, schedule: Schedule, calls: Mapping[str, KernelCall], board: Board
) -> tuple[int, int] | None:
    """Bytes that the two regions of an arena have for it; None where there is one."""
    if board.more("arena") is None:
        return None
    statics = static_bytes(graph, schedule, calls) + SPARE_STATIC_BYTES
    others = {"data": statics, "stack": board.stack_bytes}
    return _rooms(board, "arena", others)


def constants_room(ops: int, board: Board | None) -> int | None:
    """Bytes that the first of two regions of tables has for those of a model of so many ops;
    None where there is one region."""
    if board is None or board.more("constants") is None:
        return None
    others = {"vectors": VECTOR_BYTES, "code": CODE_BYTES + OP_BYTES * ops}
    return _rooms(board, "constants", others)[0]


def _rooms(board: Board, section: str, others: Mapping[str, int]) -> tuple[int, int]:
    first, second = board.region(section), board.more(section)
    assert second is not None
    rooms = []
    for region in (first, second):
        taken = sum(size for other, size in others.items() if board.region(other) == region)
        rooms.append(max(region.bytes - taken - ALIGNMENT_BYTES, 0))
    return rooms[0], rooms[1]
