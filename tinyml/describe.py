"""Graphs, plans and boards put into words: internal data -> the reports of `results`."""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from tinyml.board import Board
from tinyml.choose import Candidate, Choice, pareto
from tinyml.ir.graph import Graph, Node, Shape, Tensor
from tinyml.kernels.costs import predicted, work
from tinyml.memory.draw import draw
from tinyml.memory.plan import MemoryPlan
from tinyml.memory.values import state_bytes
from tinyml.planning import Plan
from tinyml.results import (
    BankPlan,
    BoardInfo,
    BuildReport,
    CodeChoice,
    Inspection,
    LayerPlan,
    OpInfo,
    ParetoPoint,
    PlanReport,
    SegmentPlan,
    TensorInfo,
)
from tinyml.schedule.schedule import Schedule, SegmentKind
from tinyml.schedule.work import macs_by_node
from tinyml.toolchain import Firmware


def inspection(model: Path, graph: Graph) -> Inspection:
    """What is in a graph, as its importer read it."""
    ops = tuple(
        OpInfo(node.name, node.op.kind, *_shapes(graph, node), graph.macs(node))
        for node in graph.nodes
    )
    return Inspection(
        model=str(model),
        ops=ops,
        macs=sum(op.macs for op in ops),
        weight_bytes=sum(tensor.nbytes for tensor in graph.tensors.values() if tensor.is_const),
        inputs=tuple(_tensor(graph.tensors[name]) for name in graph.inputs),
        outputs=tuple(_tensor(graph.tensors[name]) for name in graph.outputs),
    )


def plan_report(
    model: Path,
    board: Board,
    imported: Graph,
    choice: Choice,
    optimize: tuple[CodeChoice, ...] = (),
) -> PlanReport:
    """The plan that was chosen, layer by layer, and what there was to choose from.

    `imported` is the graph as the model has it.
    """
    plan = choice.taken.plan
    graph, memory = plan.graph, plan.memory
    rings = plan.schedule.ring_rows
    macs = macs_by_node(graph, plan.schedule, plan.calls)
    nodes = {node.name: node for node in graph.nodes}
    instructions = _instructions(plan, board)
    layers, segments = [], []
    for index, (segment, peak) in enumerate(zip(plan.schedule.segments, memory.peaks, strict=True)):
        members = [nodes[name] for name in segment.nodes]
        layers += [
            LayerPlan(
                name=node.name,
                op=node.op.kind,
                inputs=_shapes(graph, node)[0],
                outputs=_shapes(graph, node)[1],
                macs=macs[node.name],
                instructions=instructions[node.name],
                peak_sram_bytes=peak,
                kernel=plan.calls[node.name].kernel,
                segment=index,
                ring_rows=rings.get(node.outputs[0]),
            )
            for node in members
        ]
        segments.append(
            SegmentPlan(
                kind=segment.kind.value,
                ops=segment.nodes,
                peak_sram_bytes=peak,
                macs=sum(macs[name] for name in segment.nodes),
                patches=(len(segment.bands), len(segment.strips)) if segment.bands else None,
            )
        )
    return PlanReport(
        model=str(model),
        board=board.name,
        peak_sram_bytes=max(memory.peaks, default=0),
        arena_bytes=memory.arena_bytes,
        lower_bound_bytes=memory.lower_bound,
        optimal=memory.optimal,
        macs=sum(macs.values()),
        model_macs=sum(imported.macs(node) for node in imported.nodes),
        instructions=_total(instructions.values()),
        feed=plan.schedule.feed.value,
        segments=tuple(segments),
        layers=tuple(layers),
        pareto=tuple(map(_point, pareto(choice.found))),
        picture=draw(graph, plan.schedule, memory, width=80),
        banks=_banks(board, memory),
        optimize=optimize,
        state_bytes=state_bytes(graph),
    )


def _banks(board: Board, memory: MemoryPlan) -> tuple[BankPlan, ...]:
    if memory.split is None:
        return ()
    found = []
    for bank, (region, size) in enumerate(zip(arena_regions(board), memory.banks, strict=True)):
        here = [b for b in memory.buffers if memory.place(memory.offsets[b.name])[0] == bank]
        accessed = sum(buffer.accessed for buffer in here)
        found.append(BankPlan(region, size, tuple(buffer.name for buffer in here), accessed))
    return tuple(found)


def arena_regions(board: Board) -> tuple[str, ...]:
    """Names of the regions of an arena, the fast one first."""
    more = board.more("arena")
    return (board.region("arena").name, *(() if more is None else (more.name,)))


def predicted_instructions(plan: Plan, board: Board) -> int | None:
    """Of one inference; None where a kernel has not been measured on the board's core."""
    return _total(_instructions(plan, board).values())


def _instructions(plan: Plan, board: Board) -> dict[str, int | None]:
    """Per node, what one inference takes; in patches, in proportion to what is executed."""
    macs = macs_by_node(plan.graph, plan.schedule, plan.calls)
    found: dict[str, int | None] = {}
    for node in plan.graph.nodes:
        call, whole = plan.calls[node.name], plan.graph.macs(node)
        once = predicted(call.kernel, board.core, work(call, plan.graph, node))
        again = macs[node.name] / whole if whole else 1
        found[node.name] = None if once is None else round(once * again)
    return found


def _total(counts: Iterable[int | None]) -> int | None:
    """The sum; None where one of them is not known."""
    known = list(counts)
    return None if None in known else sum(count for count in known if count is not None)


def _point(candidate: Candidate) -> ParetoPoint:
    memory = candidate.plan.memory
    return ParetoPoint(
        arena_bytes=memory.arena_bytes,
        peak_sram_bytes=max(memory.peaks, default=0),
        macs=candidate.macs,
        schedule=in_words(candidate.plan.schedule),
    )


def in_words(schedule: Schedule) -> str:
    """The segments, with how many operators each has: "patch 1x4 (9), 3 layers, stream (8)"."""
    words = []
    for kind, same in groupby(schedule.segments, key=lambda segment: segment.kind):
        found = list(same)
        if kind is SegmentKind.LAYER:
            words.append("1 layer" if len(found) == 1 else f"{len(found)} layers")
            continue
        for segment in found:
            grid = f" {len(segment.bands)}x{len(segment.strips)}" if segment.bands else ""
            words.append(f"{kind.value}{grid} ({len(segment.nodes)})")
    return ", ".join(words)


def build_report(firmware: Firmware) -> BuildReport:
    """A built project and its sizes."""
    return BuildReport(
        project=str(firmware.project.root),
        board=firmware.project.board.name,
        elf=str(firmware.elf),
        compiler=firmware.compiler,
        arena_bytes=firmware.project.manifest.arena_bytes,
        sram_bytes=firmware.sram_bytes,
        flash_bytes=firmware.flash_bytes,
        code_bytes=firmware.code_bytes,
        const_bytes=firmware.const_bytes,
        stack_bytes=firmware.stack_bytes,
        more_const_bytes=firmware.sizes.more_constants,
    )


def board_info(board: Board) -> BoardInfo:
    """A board in one line."""
    return BoardInfo(
        name=board.name,
        title=board.title,
        core=board.core,
        flash_bytes=_memory(board, "flash"),
        sram_bytes=_memory(board, "ram"),
        emulator=_emulator(board),
        tested=board.tested,
    )


def _emulator(board: Board) -> str:
    if board.user_emulator:
        return board.user_emulator.program
    return board.emulator.machine if board.emulator else ""


def _memory(board: Board, kind: str) -> int:
    return sum(region.bytes for region in board.regions if region.kind == kind)


def _shapes(graph: Graph, node: Node) -> tuple[tuple[Shape, ...], tuple[Shape, ...]]:
    return (
        tuple(graph.tensors[name].shape for name in graph.activations(node)),
        tuple(tensor.shape for tensor in graph.results(node)),
    )


def _tensor(tensor: Tensor) -> TensorInfo:
    single = tensor.quant is not None and len(tensor.quant.scales) == 1
    return TensorInfo(
        name=tensor.name,
        shape=tensor.shape,
        dtype=tensor.dtype.value,
        scale=tensor.q.scale if single else None,
        zero_point=tensor.q.zero_point if single else None,
    )
