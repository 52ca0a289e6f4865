"""Plans with stream segments, for tests of what comes after the planner."""

from collections.abc import Callable, Mapping
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
from tinyml.schedule.order import reordered
from tinyml.schedule.schedule import Ring, Schedule
from tinyml.schedule.search import best_schedule, calls_of, stream_schedule

Calls = Mapping[str, KernelCall]
Scheduler = Callable[[Graph, Calls, Calls], Schedule]


def planned(graph: Graph, scheduler: Scheduler, board: Board | None = None) -> Plan:
    """The plan of an optimised graph under the schedule that `scheduler` makes."""
    isa = board.isa if board else ("portable",)
    layers = {node.name: bind(graph, node, isa) for node in graph.nodes}
    rows = {node.name: bind(graph, node, isa, flatten=False) for node in graph.nodes}
    schedule = scheduler(graph, layers, rows)
    graph = reordered(graph, schedule)
    calls = calls_of(schedule, layers, rows)
    memory = plan_memory(graph, schedule, calls)
    check_plan(graph, schedule, calls, memory)
    return Plan(graph, calls, schedule, memory)


def drawn_schedule(seed: int) -> Scheduler:
    """Segments that end anywhere, rows in any order, rings that are larger than needed."""

    def schedule(graph: Graph, layers: Calls, rows: Calls) -> Schedule:
        rng = Random(seed)
        heights = {
            node.output: loop.out_height
            for node in graph.nodes
            if isinstance(loop := rows[node.name].loop, RowLoop)
        }

        def spared(ring: Ring) -> Ring:
            more = ring.rows + rng.choice((0, 0, 1, 3))
            return replace(ring, rows=min(more, heights.get(ring.tensor, 1)))

        return Schedule(
            tuple(
                replace(segment, rings=tuple(map(spared, segment.rings)))
                for segment in naive_schedule(graph, rows, rng).segments
            )
        )

    return schedule


__all__ = ["Scheduler", "best_schedule", "drawn_schedule", "planned", "stream_schedule"]
