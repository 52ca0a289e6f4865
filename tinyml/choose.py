"""Which schedule a model gets on a board: candidates, what each really needs, and the choice.

The search (`schedule.search`) knows what a schedule needs up to the placement of its buffers;
here the candidates are placed, proven by the checker and compared by what came out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain, groupby

from tinyml import memory, passes
from tinyml.board import Board
from tinyml.emit.fit import check_fit
from tinyml.emit.rooms import arena_rooms
from tinyml.emit.view import model_view
from tinyml.errors import PlanError
from tinyml.ir.graph import Graph, Node
from tinyml.kernels import bind
from tinyml.kernels.call import KernelCall
from tinyml.kernels.fewest import fewest_kernels
from tinyml.kernels.threads import LEAST_MACS, shared
from tinyml.memory.check import check_plan
from tinyml.options import FEEDS, PlanOptions
from tinyml.planning import Plan
from tinyml.schedule.copies import Again
from tinyml.schedule.order import layer_schedule, reordered
from tinyml.schedule.recompute import Recomputed, recomputed
from tinyml.schedule.schedule import Feed, Schedule
from tinyml.schedule.search import calls_of, front, patch_schedule, stream_schedule
from tinyml.schedule.work import executed_macs, macs_by_node

Binder = Callable[[Graph, Node], KernelCall]

CLOSE = 1.01
"""An arena at most so many times its lower bound is taken without a look at other schedules."""

DEFAULT_PATCHES = (4, 4)
"""The grid of patches that MCUNetV2 made known."""


@dataclass(frozen=True, slots=True)
class Binders:
    """What binds the nodes of a graph, and of those made of it that compute some twice."""

    layer: Binder
    """As whole layers: rows that lie next to each other are one."""
    row: Binder
    """Row by row."""
    threads: int = 1

    def shared(self, graph: Graph, node: Node) -> KernelCall:
        """As `layer`, but for layers that threads share."""
        found = shared(self.row(graph, node), graph, node, self.threads, LEAST_MACS)
        return self.layer(graph, node) if found is None else found

    def calls(self, graph: Graph, board: Board) -> "KernelCalls":
        """The kernels of all nodes of `graph`."""
        return KernelCalls(
            board,
            {node.name: self.shared(graph, node) for node in graph.nodes},
            {node.name: self.row(graph, node) for node in graph.nodes},
        )


def binders(graph: Graph, board: Board, optimize: str, threads: int) -> Binders:
    """The binders for `graph` on `board`; `optimize` is that of `PlanOptions`."""
    layer, row = (
        partial(
            bind,
            isa=board.isa,
            flatten=flatten,
            among=(
                fewest_kernels(graph, board.isa, flatten=flatten)
                if optimize == "size"
                else frozenset()
            ),
        )
        for flatten in (True, False)
    )
    return Binders(layer, row, threads)


@dataclass(frozen=True, slots=True)
class KernelCalls:
    """The kernels of a graph's nodes on a board, by name."""

    board: Board
    layers: Mapping[str, KernelCall]
    rows: Mapping[str, KernelCall]

    def of(self, schedule: Schedule) -> dict[str, KernelCall]:
        """What each node uses under `schedule`."""
        return calls_of(schedule, self.layers, self.rows)


@dataclass(frozen=True)
class Candidate:
    """What the model may get."""

    graph: Graph
    schedules: tuple[Schedule, ...]
    """The one with the fewest live bytes first; another may need a smaller arena, once placed."""
    calls: KernelCalls
    macs: int
    """What one inference executes."""
    again: tuple[Again, ...] = ()
    """What `graph` computes twice."""

    @cached_property
    def plan(self) -> Plan:
        """The schedule that needs the smallest arena, placed, and proven by the checker."""
        first, *others = self.schedules
        best = self._placed(first)
        if best.memory.arena_bytes <= CLOSE * best.memory.lower_bound:
            return best  # the others have more live bytes
        for schedule in others:
            if memory.least_memory(*self._run_by(schedule)) < best.memory.arena_bytes:
                best = min(best, self._placed(schedule), key=lambda each: each.memory.arena_bytes)
        return best

    def _run_by(self, schedule: Schedule) -> tuple[Graph, Schedule, dict[str, KernelCall]]:
        return reordered(self.graph, schedule), schedule, self.calls.of(schedule)

    def _placed(self, schedule: Schedule) -> Plan:
        graph, _, calls = self._run_by(schedule)
        rooms = arena_rooms(graph, schedule, calls, self.calls.board)
        placed = memory.plan_memory(graph, schedule, calls, rooms)
        check_plan(graph, schedule, calls, placed, rooms)
        return Plan(graph, calls, schedule, placed, self.again)

    @property
    def arena_bytes(self) -> int:
        """What the plan needs."""
        return self.plan.memory.arena_bytes

    @cached_property
    def alone(self) -> int:
        """Multiply-accumulates of the operators that threads do not share."""
        (schedule, *_), calls = self.schedules, self.calls
        macs = macs_by_node(self.graph, schedule, calls.of(schedule))
        return sum(n for name, n in macs.items() if calls.of(schedule)[name].workers == 1)

    @property
    def streamed(self) -> int:
        """How many operators do not run as layers, which are simpler and seldom slower."""
        return sum(len(part.nodes) for part in self.schedules[0].segments if part.program)

    def misfit(self) -> PlanError | None:
        """Why the plan does not fit the board; None if it does."""
        board = self.calls.board
        try:
            check_fit(self.plan, model_view(self.plan, board=board), board)
        except PlanError as error:
            return error
        return None


@dataclass(frozen=True, slots=True)
class Choice:
    """What was taken, and what there was to choose from."""

    taken: Candidate
    found: tuple[Candidate, ...]


def candidates(
    graph: Graph, board: Board, options: PlanOptions, bound: Binders | None = None
) -> tuple[Candidate, ...]:
    """What `options` leave to choose from for `graph`, as it was imported: fewest MACs first.

    `bound` may give other kernels than the board's. PlanError where the model cannot run so at all.
    """
    allowed = None
    if options.macs_limit is not None:
        allowed = int(options.macs_limit * sum(graph.macs(node) for node in graph.nodes))
    graph = passes.optimize(graph)
    _check_states(graph, options)
    if bound is None:
        bound = binders(graph, board, options.optimize, options.threads_on(board))
    calls = bound.calls(graph, board)
    feed = Feed(options.feed)
    made: list[Candidate] = []
    if options.schedule in ("auto", "layer") and feed is Feed.WHOLE:
        made.append(_candidate(graph, calls, layer_schedule(graph, calls.layers)))
    if options.schedule == "auto" and not graph.states:
        made += _trade_off(graph, calls, bound, feed, allowed)
    if options.schedule == "stream":
        streams = stream_schedule(graph, calls.layers, calls.rows, feed=feed)
        made.append(_candidate(graph, calls, streams))
    if options.schedule == "patch":
        patches = patch_schedule(
            graph,
            calls.layers,
            calls.rows,
            feed=feed,
            patches=options.patches or DEFAULT_PATCHES,
            ops=options.patch_ops,
        )
        made.append(_candidate(graph, calls, patches))
    within = [each for each in made if allowed is None or each.macs <= allowed]
    if not within:
        least = min(each.macs for each in made)
        raise PlanError(
            f"model '{graph.name}' takes at least {least:,} multiply-accumulates, "
            f"--macs-limit {options.macs_limit:g} allows {allowed:,}",
            hint="allow more, or choose another --schedule",
        )
    return tuple(sorted(within, key=lambda each: (each.macs, each.alone, each.streamed)))


def _check_states(graph: Graph, options: PlanOptions) -> None:
    """PlanError where a model that keeps something between invocations is to run row by row."""
    if not graph.states:
        return
    for option, given, known in (
        ("schedule", options.schedule, ("auto", "layer")),
        ("feed", options.feed, ("whole",)),
    ):
        if given not in known:
            states = ", ".join(f"'{state.before}'" for state in graph.states)
            raise PlanError(
                f"model '{graph.name}' keeps {states} from one invocation to the next, which "
                f"--{option} {given} cannot",
                hint=f"--{option} {known[-1]}",
            )


def _trade_off(
    graph: Graph, calls: KernelCalls, bound: Binders, feed: Feed, allowed: int | None
) -> Iterator[Candidate]:
    """Less memory for more work: of `graph`, then of graphs that compute more and more twice."""
    least = None
    once = Recomputed(graph, (), 0)
    twice = recomputed(graph, calls.rows, whole_input=feed is Feed.WHOLE, macs_limit=allowed)
    for each in chain([once], twice):
        theirs = KernelCalls(
            calls.board, each.calls(calls.layers, bound.shared), each.calls(calls.rows, bound.row)
        )
        found = front(each.graph, theirs.layers, theirs.rows, feed=feed, macs_limit=allowed)
        # More work is worth it only for less memory; and if it is not, still more is not.
        better = [one for one in found if least is None or one.peak < least]
        if not better:
            return
        least = min(one.peak for one in better)
        for one in better:
            yield Candidate(
                each.graph, (one.schedule, *one.others), theirs, one.macs, again=each.chosen
            )


def optimized_for(plan: Plan, board: Board, optimize: str) -> Plan:
    """The same schedule with the kernels that `optimize`, that of `PlanOptions`, asks for.

    It is for boards without threads.
    """
    calls = binders(plan.graph, board, optimize, threads=1).calls(plan.graph, board)
    macs = executed_macs(plan.graph, plan.schedule, calls.of(plan.schedule))
    return Candidate(plan.graph, (plan.schedule,), calls, macs, plan.again).plan


def _candidate(graph: Graph, calls: KernelCalls, schedule: Schedule) -> Candidate:
    macs = executed_macs(graph, schedule, calls.of(schedule))
    return Candidate(graph, (schedule,), calls, macs)


def choose(
    graph: Graph, board: Board, options: PlanOptions, bound: Binders | None = None
) -> Choice:
    """The schedule for `graph`, as it was imported; PlanError, with the least needed, if none fits.

    With a limit on memory, the least work within it, and then as few operators in streams as
    can be. With a limit on work alone, the least memory. With neither, the least work that
    the board has the memory for, and of that the least memory. With threads, what they do not
    share comes before memory.
    """
    found = candidates(graph, board, options, bound)
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
        for _, equal in groupby(found, key=lambda each: (each.macs, each.alone)):
            yield from sorted(equal, key=lambda each: each.arena_bytes)


def _elsewhere(graph: Graph, board: Board, options: PlanOptions) -> str:
    """What another way to feed the model would need, where that is less than allowed."""
    if options.sram is None or (options.schedule, options.feed) != ("auto", "whole"):
        return ""
    for feed in FEEDS[1:]:
        try:
            others = candidates(graph, board, replace(options, feed=feed))
        except PlanError:
            continue
        least = min(each.arena_bytes for each in others)
        if least <= options.sram:
            return f", or --feed {feed}, which can do with {least:,}"
    return ""
