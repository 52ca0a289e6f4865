"""Plans with stream segments, for tests of what comes after the planner."""

from collections.abc import Mapping
from dataclasses import replace
from random import Random

from tests.memory.streams import naive_schedule
from tinyml.board import Board
from tinyml.ir.graph import Graph
from tinyml.kernels import bind
from tinyml.kernels.call import KernelCall, RowLoop
from tinyml.memory import plan_memory
from tinyml.memory.check import check_plan
from tinyml.planning import Plan
from tinyml.schedule.order import layer_schedule, reordered
from tinyml.schedule.schedule import Ring, Schedule, SegmentKind


def streamed_plan(graph: Graph, rng: Random | None = None, board: Board | None = None) -> Plan:
    """The plan of an optimised graph of which all runs row by row that can.

    `rng` ends segments early, draws the order of rows, and makes some rings larger than needed.
    """
    isa = board.isa if board else ("portable",)
    whole = {node.name: bind(graph, node, isa) for node in graph.nodes}
    graph = reordered(graph, layer_schedule(graph, whole))
    by_rows = {node.name: bind(graph, node, isa, flatten=False) for node in graph.nodes}
    schedule = naive_schedule(graph, by_rows, rng)
    if rng is not None:
        heights = {
            node.output: loop.out_height
            for node in graph.nodes
            if isinstance(loop := by_rows[node.name].loop, RowLoop)
        }
        schedule = _with_spare_rows(schedule, heights, rng)
    return _plan(graph, schedule, whole, by_rows)


def _plan(
    graph: Graph,
    schedule: Schedule,
    whole: Mapping[str, KernelCall],
    by_rows: Mapping[str, KernelCall],
) -> Plan:
    calls = {
        name: by_rows[name] if segment.kind is SegmentKind.STREAM else whole[name]
        for segment in schedule.segments
        for name in segment.nodes
    }
    memory = plan_memory(graph, schedule, calls)
    check_plan(graph, schedule, calls, memory)
    return Plan(graph, calls, schedule, memory)


def _with_spare_rows(schedule: Schedule, heights: Mapping[str, int], rng: Random) -> Schedule:
    def spared(ring: Ring) -> Ring:
        rows = ring.rows + rng.choice((0, 0, 1, 3))
        return replace(ring, rows=min(rows, heights.get(ring.tensor, 1)))

    return Schedule(
        tuple(
            replace(segment, rings=tuple(map(spared, segment.rings)))
            for segment in schedule.segments
        )
    )
