"""The plan of a firmware that trains: one for inference, one for a training step, in one arena.

Both are planned like any inference, by the same search, allocator and checker. What learns lies
in RAM beside the arena.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

from tinyml import memory
from tinyml.board import Board
from tinyml.choose import Binders, Choice, KernelCalls, binders, choose
from tinyml.errors import PlanError
from tinyml.ir.graph import Graph, Node
from tinyml.ir.ops.real import InFloat32
from tinyml.kernels import bind
from tinyml.kernels.call import ConstArray, KernelCall, WholeCall
from tinyml.kernels.site import CTYPES
from tinyml.memory.check import check_plan
from tinyml.options import PlanOptions
from tinyml.planning import Plan
from tinyml.schedule.order import layer_schedule, reordered
from tinyml.schedule.schedule import Schedule
from tinyml.schedule.search import best_schedule, front
from tinyml.schedule.work import executed_macs
from tinyml.train.bind_common import TrainCall
from tinyml.train.calls import bind_node
from tinyml.train.target.parameters import Learning, learning
from tinyml.train.target.request import Prepared, TrainRequest, prepare
from tinyml.train.target.timeline import Timeline, timeline

AUTO_ROUNDS = 6
"""How often `auto` is asked again with a smaller budget, for what its estimate leaves out."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainPlan:
    """How a model trains on a board."""

    request: TrainRequest
    prepared: Prepared
    timeline: Timeline
    step: Plan
    """Of a training step: its graph is the timeline's, which gives nothing back."""
    learning: Learning
    inference: Choice

    @property
    def arena_bytes(self) -> int:
        """What either needs."""
        return max(self.step.memory.arena_bytes, self.inference.taken.arena_bytes)

    @property
    def sram_bytes(self) -> int:
        """Arena and all that learns."""
        return self.arena_bytes + self.learning.nbytes


def plan_training(
    graph: Graph, board: Board, request: TrainRequest, options: PlanOptions
) -> TrainPlan:
    """The plan for the imported int8 `graph`; `options.sram` is for arena and parameters together.

    PlanError, with the least that would do, where they do not fit.
    """
    _check_options(request, options, board)
    if graph.states:
        names = ", ".join(f"'{state.before}'" for state in graph.states)
        raise PlanError(
            f"model '{graph.name}' keeps {names} from one inference to the next, and cannot learn "
            "on a target",
            hint="train a model without a state",
        )
    budget, found = options.sram, None
    for _ in range(AUTO_ROUNDS):
        try:
            prepared = prepare(graph, request, budget)
        except PlanError:
            if found is None:
                raise
            break  # `auto` finds nothing in what is left beside all that it does not estimate
        found = _planned(prepared, board, request, options)
        if options.sram is None or found.sram_bytes <= options.sram:
            return found
        if request.train != "auto" or budget is None or budget <= found.sram_bytes - options.sram:
            break
        budget -= found.sram_bytes - options.sram
    assert found is not None and options.sram is not None
    raise _too_little(graph, found, options.sram)


def _too_little(graph: Graph, found: TrainPlan, sram: int) -> PlanError:
    """Names what takes the memory, and the least that would do for what was asked."""
    entries = found.learning.parameters.entries
    largest = max(entries, key=lambda entry: entry.buffer.nbytes)
    layer = next(
        node.name for node in found.prepared.tail.head.nodes if largest.buffer.name in node.inputs
    )
    return PlanError(
        f"training {', '.join(found.prepared.tail.trained)} of '{graph.name}' takes at least "
        f"{found.sram_bytes:,} bytes of RAM (arena {found.arena_bytes:,}, parameters "
        f"{found.learning.parameters.nbytes:,}, momentum {found.learning.state.nbytes:,}), --sram "
        f"allows {sram:,}",
        hint=f"give --sram {found.sram_bytes}, train fewer layers, or only the bias of the largest "
        f"(--update full,{layer}:bias saves up to {largest.buffer.nbytes:,})",
    )


def _check_options(request: TrainRequest, options: PlanOptions, board: Board) -> None:
    if board.kind == "library":
        raise PlanError(
            f"board '{board.name}' takes a library, and libraries do not train in this version",
            hint="choose another board ('tinyml boards'), or leave out --train",
        )
    if options.feed != "whole":
        raise PlanError(
            f"--feed {options.feed} does not go with --train: a step needs its input whole",
            hint="leave out --feed",
        )
    if options.schedule != "auto" or options.macs_limit is not None:
        raise PlanError(
            "--schedule and --macs-limit do not go with --train, whose plan has two parts",
            hint="leave them out; --sram limits both",
        )
    if options.optimize != PlanOptions().optimize or options.threads not in (None, 1):
        raise PlanError(
            "--optimize and --threads do not go with --train, whose steps are made for speed and "
            "run in one thread",
            hint="leave them out",
        )


def _planned(
    prepared: Prepared, board: Board, request: TrainRequest, options: PlanOptions
) -> TrainPlan:
    """The plan with the least work that fits the budget; else the one with the least memory."""
    made = timeline(prepared.tail, prepared.program, board.isa)
    lasting = learning(prepared.tail, prepared.program)
    room = None if options.sram is None else max(options.sram - lasting.nbytes, 0)
    step = _step_plan(made, board, room)
    inference = _inference(made, lasting, board, options, room)
    if inference.taken.plan.memory.split is not None:
        raise PlanError(
            f"'{prepared.graph.name}' takes two regions of board '{board.name}' for its arena, and "
            "training knows one",
            hint="choose another board, such as stm32, or a model with smaller maps",
        )
    return TrainPlan(request, prepared, made, step, lasting, inference)


def _step_plan(made: Timeline, board: Board, room: int | None) -> Plan:
    best: Plan | None = None
    for _, equal in groupby(_backbones(made, board), key=lambda each: each[0]):
        plans = [_placed(made, schedule, calls) for _, schedule, calls in equal]
        least = min(plans, key=lambda each: each.memory.arena_bytes)
        if best is None or least.memory.arena_bytes < best.memory.arena_bytes:
            best = least
        if room is None or best.memory.arena_bytes <= room:
            return best
    assert best is not None
    return best


def least_steps(variants: Sequence[Prepared], board: Board) -> list[int]:
    """Bytes of RAM that a step of each takes without anything computed twice: arena and what
    learns. `variants` have one backbone."""
    made = [timeline(each.tail, each.program, board.isa) for each in variants]
    graph = made[0].network.backbone
    every = _calls(graph, board)
    schedule = best_schedule(graph, every.layers, every.rows) if graph.nodes else Schedule(())
    calls, found = every.of(schedule), []
    for each, one in zip(variants, made, strict=True):
        placed = _placed(one, schedule, calls)
        found.append(placed.memory.arena_bytes + learning(each.tail, each.program).nbytes)
    return found


def _backbones(
    made: Timeline, board: Board
) -> Iterator[tuple[int, Schedule, Mapping[str, KernelCall]]]:
    """MACs, schedule and calls of ways to run the backbone, fewest MACs first."""
    graph = made.network.backbone
    if not graph.nodes:
        yield 0, Schedule(()), {}
        return
    calls = _calls(graph, board)
    whole = layer_schedule(graph, calls.layers)
    yield executed_macs(graph, whole, calls.layers), whole, calls.layers
    for one in front(graph, calls.layers, calls.rows):
        for schedule in (one.schedule, *one.others):
            yield one.macs, schedule, calls.of(schedule)


def _calls(graph: Graph, board: Board) -> KernelCalls:
    """The kernels of a backbone, made for speed, in one thread."""
    return binders(graph, board, PlanOptions().optimize, threads=1).calls(graph, board)


def _placed(made: Timeline, backbone: Schedule, calls: Mapping[str, KernelCall]) -> Plan:
    schedule = made.schedule(backbone)
    graph, every = reordered(made.graph, schedule), {**calls, **made.calls}
    placed = memory.plan_memory(graph, schedule, every)
    check_plan(graph, schedule, every, placed)
    return Plan(graph, every, schedule, placed)


def _inference(
    made: Timeline, lasting: Learning, board: Board, options: PlanOptions, room: int | None
) -> Choice:
    """The plan of invoke: layers that learn read their parameters from RAM."""
    net, program = made.network, made.program
    learns = lasting.parameters.members()

    def bound(graph: Graph, node: Node, *, flatten: bool = True) -> KernelCall:
        if not isinstance(node.op, InFloat32) and not any(n in learns for n in node.inputs):
            return bind(graph, node, board.isa, flatten=flatten)
        call = bind_node(net, program, node.name, board.isa)
        assert isinstance(call, TrainCall)
        return _as_kernel(graph, node, call, net.start, learns)

    wanted, binds = replace(options, sram=room), Binders(bound, partial(bound, flatten=False))
    try:
        return choose(net.graph, board, wanted, binds)
    except PlanError:
        if room is None:
            raise
        return choose(net.graph, board, replace(options, sram=None), binds)


def _as_kernel(
    graph: Graph,
    node: Node,
    call: TrainCall,
    start: Mapping[str, str],
    learns: Mapping[str, str],
) -> KernelCall:
    """A forward call of training, whose parameters follow its inputs, as one of inference."""
    parameters = call.pointers[len(graph.activations(node)) : -1]
    constants = (
        None if p.buffer is None else parameter_table(graph, p.buffer, learns) for p in parameters
    )
    overlaid = {start.get(read, read) for read, _ in call.in_place}
    inputs, outputs = (
        tuple(CTYPES[graph.tensors[name].dtype] for name in names)
        for names in (graph.activations(node), node.outputs)
    )
    return KernelCall(
        call.function.removeprefix("tinyml_"),
        call.struct,
        WholeCall(inputs, outputs, tuple(constants)),
        call.scratch_bytes,
        call.scratch_macro,
        tuple(at for at, name in enumerate(node.inputs) if name in overlaid),
    )


def parameter_table(graph: Graph, name: str, learns: Mapping[str, str]) -> ConstArray:
    """A parameter as training has it: in RAM if it learns (`Memory.members`), else in flash."""
    tensor = graph.tensors[name]
    return ConstArray(CTYPES[tensor.dtype], tensor.values.reshape(-1), learns.get(name, ""))
