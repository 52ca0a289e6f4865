"""Which schedule a model gets on a board: candidates, what each really needs, and the choice.

The search (`schedule.search`) knows what a schedule needs up to the placement of its buffers;
here the candidates are placed, proven by the checker and compared by what came out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import groupby

from tinyml import memory, passes
from tinyml.board import Board
from tinyml.emit.fit import check_fit
from tinyml.emit.rooms import arena_rooms
from tinyml.emit.view import model_view
from tinyml.errors import PlanError
from tinyml.ir.graph import Graph
from tinyml.kernels import bind
from tinyml.kernels.call import KernelCall
from tinyml.memory.check import check_plan
from tinyml.options import FEEDS, PlanOptions
from tinyml.planning import Plan
from tinyml.schedule.copies import Again
from tinyml.schedule.order import layer_schedule, reordered
from tinyml.schedule.recompute import recomputed
from tinyml.schedule.schedule import Feed, Schedule
from tinyml.schedule.search import calls_of, executed_macs, front, patch_schedule, stream_schedule

DEFAULT_PATCHES = (4, 4)
"""The grid of patches that MCUNetV2 made known."""


@dataclass(frozen=True)
class Candidate:
    """A schedule that the model may get on a board."""

    graph: Graph
    board: Board
    schedule: Schedule
    calls: Mapping[str, KernelCall]
    macs: int
    """What one inference executes."""
    again: tuple[Again, ...] = ()
    """What `graph` computes twice."""

    @cached_property
    def plan(self) -> Plan:
        """The schedule with its buffers placed, proven by the checker."""
        graph = reordered(self.graph, self.schedule)
        rooms = arena_rooms(graph, self.schedule, self.calls, self.board)
        placed = memory.plan_memory(graph, self.schedule, self.calls, rooms)
        check_plan(graph, self.schedule, self.calls, placed, rooms)
        return Plan(graph, self.calls, self.schedule, placed, self.again)

    @property
    def arena_bytes(self) -> int:
        """What the plan needs."""
        return self.plan.memory.arena_bytes

    @property
    def streamed(self) -> int:
        """How many operators do not run as layers, which are simpler and seldom slower."""
        return sum(len(segment.nodes) for segment in self.schedule.segments if segment.program)

    def misfit(self) -> PlanError | None:
        """Why the plan does not fit the board; None if it does."""
        try:
            check_fit(self.plan, model_view(self.plan, board=self.board), self.board)
        except PlanError as error:
            return error
        return None


@dataclass(frozen=True, slots=True)
class Choice:
    """What was taken, and what there was to choose from."""

    taken: Candidate
    found: tuple[Candidate, ...]


def candidates(graph: Graph, board: Board, options: PlanOptions) -> tuple[Candidate, ...]:
    """What `options` leave to choose from for `graph`, as it was imported: fewest MACs first.

    PlanError where the model cannot run so at all.
    """
    allowed = None
    if options.macs_limit is not None:
        allowed = int(options.macs_limit * sum(graph.macs(node) for node in graph.nodes))
    graph = passes.optimize(graph)
    layers = {node.name: bind(graph, node, board.isa) for node in graph.nodes}
    rows = {node.name: bind(graph, node, board.isa, flatten=False) for node in graph.nodes}
    feed = Feed(options.feed)
    schedules: list[Schedule] = []
    if options.schedule in ("auto", "layer") and feed is Feed.WHOLE:
        schedules.append(layer_schedule(graph, layers))
    if options.schedule == "auto":
        found = front(graph, layers, rows, feed=feed, macs_limit=allowed)
        schedules += [each.schedule for each in found]
    if options.schedule == "stream":
        schedules.append(stream_schedule(graph, layers, rows, feed=feed))
    if options.schedule == "patch":
        grid, ops = options.patches or DEFAULT_PATCHES, options.patch_ops
        schedules.append(patch_schedule(graph, layers, rows, feed=feed, patches=grid, ops=ops))
    made = [_candidate(graph, board, schedule, layers, rows) for schedule in schedules]
    if options.schedule == "auto":
        # Maps that are computed twice, so that they need not be stored: as many MACs as patches.
        for other in recomputed(graph, rows, whole_input=feed is Feed.WHOLE, macs_limit=allowed):
            theirs = (
                other.calls(layers, partial(bind, isa=board.isa)),
                other.calls(rows, partial(bind, isa=board.isa, flatten=False)),
            )
            found = front(other.graph, *theirs, feed=feed, macs_limit=allowed)
            made += [
                replace(_candidate(other.graph, board, each.schedule, *theirs), again=other.chosen)
                for each in found
            ]
    within = [each for each in made if allowed is None or each.macs <= allowed]
    if not within:
        least = min(each.macs for each in made)
        raise PlanError(
            f"model '{graph.name}' takes at least {least:,} multiply-accumulates, "
            f"--macs-limit {options.macs_limit:g} allows {allowed:,}",
            hint="allow more, or choose another --schedule",
        )
    return tuple(sorted(within, key=lambda each: (each.macs, each.streamed)))


def _candidate(
    graph: Graph,
    board: Board,
    schedule: Schedule,
    layers: Mapping[str, KernelCall],
    rows: Mapping[str, KernelCall],
) -> Candidate:
    calls = calls_of(schedule, layers, rows)
    return Candidate(graph, board, schedule, calls, executed_macs(graph, schedule, calls))


def choose(graph: Graph, board: Board, options: PlanOptions) -> Choice:
    """The schedule for `graph`, as it was imported; PlanError, with the least needed, if none fits.

    With a limit on memory, the least work within it, and then as few operators in streams as
    can be. With a limit on work alone, the least memory. With neither, the least work that
    the board has the memory for, and of that the least memory.
    """
    found = candidates(graph, board, options)
    for each in _preferred(found, options):
        if each.misfit() is None:
            return Choice(each, found)
    least = min(found, key=lambda each: each.arena_bytes)
    misfit = least.misfit()
    if misfit is not None:
        raise misfit
    raise PlanError(
        f"model '{graph.name}' needs an arena of at least {least.arena_bytes:,} bytes, "
        f"--sram allows {options.sram:,}",
        hint=f"give --sram {least.arena_bytes} or more{_elsewhere(graph, board, options)}, "
        "or take a model with smaller maps",
    )


def pareto(found: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Those that no other beats in memory and work, fewest MACs first."""
    kept: list[Candidate] = []
    for each in sorted(found, key=lambda each: (each.macs, each.arena_bytes)):
        if not kept or each.arena_bytes < kept[-1].arena_bytes:
            kept.append(each)
    return tuple(kept)


def _preferred(found: Sequence[Candidate], options: PlanOptions) -> Iterator[Candidate]:
    """`found`, which begins with the fewest MACs, in the order of preference."""
    if options.sram is not None:
        yield from (each for each in found if each.arena_bytes <= options.sram)
    elif options.macs_limit is not None:
        yield from sorted(found, key=lambda each: (each.arena_bytes, each.macs))
    else:
        for _, equal in groupby(found, key=lambda each: each.macs):
            yield from sorted(equal, key=lambda each: each.arena_bytes)


def _elsewhere(graph: Graph, board: Board, options: PlanOptions) -> str:
    """What another way to feed the model would need, where that is less than allowed."""
    allowed = options.sram
    for feed in FEEDS[1:]:
        if allowed is None or options.schedule != "auto" or options.feed != "whole":
            break
        try:
            others = candidates(graph, board, replace(options, feed=feed))
        except PlanError:
            continue
        least = min(each.arena_bytes for each in others)
        if least <= allowed:
            return f", or --feed {feed}, which can do with {least:,}"
    return ""
