"""Graphs, plans and boards put into words: internal data -> the reports of `results`."""

from pathlib import Path

from tinyml.board import Board
from tinyml.ir.graph import Graph, Node, Shape, Tensor
from tinyml.memory.draw import draw
from tinyml.planning import Plan
from tinyml.results import (
    BoardInfo,
    BuildReport,
    Inspection,
    LayerPlan,
    OpInfo,
    ParetoPoint,
    PlanReport,
    SegmentPlan,
    TensorInfo,
)
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


def plan_report(model: Path, board: Board, plan: Plan, model_macs: int) -> PlanReport:
    """A plan, layer by layer; `model_macs` are the MACs of the model as it was imported."""
    graph, memory = plan.graph, plan.memory
    rings = plan.schedule.ring_rows
    nodes = {node.name: node for node in graph.nodes}
    layers, segments = [], []
    for index, (segment, peak) in enumerate(zip(plan.schedule.segments, memory.peaks, strict=True)):
        members = [nodes[name] for name in segment.nodes]
        layers += [
            LayerPlan(
                name=node.name,
                op=node.op.kind,
                inputs=_shapes(graph, node)[0],
                outputs=_shapes(graph, node)[1],
                macs=graph.macs(node),
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
                macs=sum(graph.macs(node) for node in members),
            )
        )
    macs = sum(segment.macs for segment in segments)
    return PlanReport(
        model=str(model),
        board=board.name,
        peak_sram_bytes=max(memory.peaks, default=0),
        arena_bytes=memory.arena_bytes,
        lower_bound_bytes=memory.lower_bound,
        optimal=memory.optimal,
        macs=macs,
        model_macs=model_macs,
        feed=plan.feed,
        segments=tuple(segments),
        layers=tuple(layers),
        pareto=(ParetoPoint(memory.arena_bytes, macs),),
        picture=draw(graph, plan.schedule, memory, width=80),
    )


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
    )


def board_info(board: Board) -> BoardInfo:
    """A board in one line."""
    return BoardInfo(
        name=board.name,
        title=board.title,
        core=board.core,
        flash_bytes=_memory(board, "flash"),
        sram_bytes=_memory(board, "ram"),
        emulator="" if board.emulator is None else board.emulator.machine,
    )


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
