"""An independent proof that a memory plan is sound.

The plan is replayed step by step, and a stream segment row by row, on a model of
the arena in which every byte knows which byte of which tensor it holds (`replay`,
`replay_rows`). Nothing is taken from the planner but its result: the checker shares
no code with the search for schedules, lifetimes and offsets, so a mistake there
does not repeat itself here.
"""

from collections import Counter
from collections.abc import Mapping

from tinyml.errors import PlanError
from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import Accumulation, KernelCall, RowLoop
from tinyml.memory.plan import ALIGNMENT, MemoryPlan
from tinyml.memory.replay import Replay, label
from tinyml.memory.replay_rows import fed_rows, run_stream
from tinyml.schedule.schedule import FEED, Schedule, Segment, SegmentKind


def check_plan(
    graph: Graph, schedule: Schedule, calls: Mapping[str, KernelCall], plan: MemoryPlan
) -> None:
    """Raise PlanError, naming the op and the tensors, unless `plan` is sound.

    Sound means: every node runs once, after its producers, and in a stream segment
    takes exactly its steps; an input that comes row by row does so once, before all that
    is not in its stream; every byte that a node reads still holds what its
    producer wrote, and so do the graph outputs at the end; what a node reads,
    writes and uses as scratch at the same time lies apart, but for the overlays
    that its kernel allows; everything is aligned and inside the arena; the arena
    is no larger than its buffers need; and the live ranges and peaks that the plan
    reports are true.
    """
    _check_schedule(graph, schedule)
    for step, segment in enumerate(schedule.segments):
        _check_segment(graph, segment, calls, first=step == 0)
    _check_buffers(graph, plan, _stored(graph, schedule, calls))
    replay = Replay(graph, calls, plan)
    if not schedule.fed:
        replay.load_inputs()
    node_of = {node.name: node for node in graph.nodes}
    for step, segment in enumerate(schedule.segments):
        if segment.kind is SegmentKind.STREAM:
            run_stream(replay, segment, step)
        else:
            replay.run(node_of[segment.nodes[0]], step)
    replay.read_outputs(max(len(schedule.segments) - 1, 0))
    replay.check_lives()
    _check_figures(schedule, plan)


def _check_schedule(graph: Graph, schedule: Schedule) -> None:
    """Every node exactly once, after the nodes that it reads from."""
    expected = sorted(node.name for node in graph.nodes)
    if sorted(schedule.order) != expected:
        wrong = set(expected) ^ set(schedule.order)
        what = f"misses or invents {', '.join(sorted(wrong))}" if wrong else "repeats a node"
        raise PlanError(f"the schedule {what}")
    node_of = {node.name: node for node in graph.nodes}
    known = set(graph.inputs)
    for name in schedule.order:
        node = node_of[name]
        for operand in graph.activations(node):
            if operand not in known:
                raise PlanError(f"{label(node)} runs before its input '{operand}' is there")
        known.update(node.outputs)


def _check_segment(
    graph: Graph, segment: Segment, calls: Mapping[str, KernelCall], *, first: bool
) -> None:
    """A layer is one node; a stream takes every node's steps, and its rings stay its own."""
    if segment.kind is SegmentKind.LAYER:
        if len(segment.nodes) != 1 or segment.rings or segment.program:
            raise PlanError(
                f"layer segment {', '.join(segment.nodes)} is more or less than one whole node"
            )
        return
    node_of = {node.name: node for node in graph.nodes}
    nodes = [node_of[name] for name in segment.nodes]
    taken = Counter(segment.program)
    fed = taken.pop(FEED, 0)
    if not nodes or not taken.keys() <= set(range(len(nodes))):
        raise PlanError(f"stream segment {', '.join(segment.nodes)} runs a node that it has not")
    if fed:
        _check_feed(graph, nodes, calls, fed, first=first)
    for position, node in enumerate(nodes):
        steps = _steps(node, calls[node.name])
        if taken[position] != steps:
            raise PlanError(f"{label(node)} takes {taken[position]} of its {steps} steps")
    _check_rings(graph, segment, nodes, calls)


def _check_feed(
    graph: Graph, nodes: list[Node], calls: Mapping[str, KernelCall], fed: int, *, first: bool
) -> None:
    """The only input comes once, into the first segment."""
    if not first or len(graph.inputs) != 1:
        raise PlanError(
            f"a segment with {label(nodes[0])} takes rows, and is not the first, or the model has"
            f" {len(graph.inputs)} inputs"
        )
    height, _ = fed_rows(graph, calls)
    if fed != height:
        raise PlanError(f"{fed} of the {height} rows of input '{graph.inputs[0]}' are taken")


def _steps(node: Node, call: KernelCall) -> int:
    """How many steps `node` takes in a stream: a row out of each, or a row into each."""
    match call.loop:
        case RowLoop(batches=1, out_height=height) if len(node.outputs) == 1:
            return height
        case Accumulation(batches=1, in_height=height) if len(node.outputs) == 1:
            return height
    raise PlanError(f"{label(node)} does not work row by row, but a stream segment holds it")


def _check_rings(
    graph: Graph, segment: Segment, nodes: list[Node], calls: Mapping[str, KernelCall]
) -> None:
    written: dict[str, Node | None] = {node.output: node for node in nodes}
    if FEED in segment.program:
        written[graph.inputs[0]] = None
        if all(ring.tensor != graph.inputs[0] for ring in segment.rings):
            raise PlanError(f"input '{graph.inputs[0]}' comes by rows and has no ring")
    consumers = graph.consumers()
    seen: set[str] = set()
    for ring in segment.rings:
        if ring.tensor not in written or ring.tensor in seen:
            raise PlanError(
                f"ring '{ring.tensor}' is not written in its segment, or is there twice"
            )
        seen.add(ring.tensor)
        node = written[ring.tensor]
        if node is None:
            height, _ = fed_rows(graph, calls)
        else:
            loop = calls[node.name].loop
            height = loop.out_height if isinstance(loop, RowLoop) else 1
        if not 1 <= ring.rows <= height:
            raise PlanError(f"a ring holds {ring.rows} of the {height} rows of '{ring.tensor}'")
        outside = [c.name for c in consumers[ring.tensor] if c.name not in segment.nodes]
        if outside or ring.tensor in graph.outputs:
            who = ", ".join(outside) or "the application"
            raise PlanError(f"'{ring.tensor}' is held in a ring, but {who} needs it later")


def _stored(graph: Graph, schedule: Schedule, calls: Mapping[str, KernelCall]) -> dict[str, int]:
    """Bytes of every tensor, of a ring's those of its rows."""
    found = {name: tensor.nbytes for name, tensor in graph.tensors.items()}
    producer = graph.producers()
    for segment in schedule.segments:
        for ring in segment.rings:
            if ring.tensor in graph.inputs:
                found[ring.tensor] = ring.rows * fed_rows(graph, calls)[1]
                continue
            loop = calls[producer[ring.tensor].name].loop
            if isinstance(loop, RowLoop):
                found[ring.tensor] = ring.rows * loop.out_row_bytes
    return found


def _check_buffers(graph: Graph, plan: MemoryPlan, stored: Mapping[str, int]) -> None:
    """Names, sizes, alignment and bounds."""
    names = [buffer.name for buffer in plan.buffers]
    if len(set(names)) != len(names) or set(names) != set(plan.offsets):
        raise PlanError("buffers and offsets do not correspond one to one")
    top = 0
    for buffer in plan.buffers:
        offset = plan.offsets[buffer.name]
        if offset < 0 or offset % ALIGNMENT or buffer.bytes % ALIGNMENT:
            raise PlanError(
                f"buffer '{buffer.name}' ({buffer.bytes} bytes at {offset})"
                f" is not aligned to {ALIGNMENT}"
            )
        top = max(top, offset + buffer.bytes)
        for name in buffer.tensors:
            if stored[name] > buffer.bytes:
                raise PlanError(f"tensor '{name}' exceeds its buffer '{buffer.name}'")
    if top != plan.arena_bytes:
        raise PlanError(f"the arena has {plan.arena_bytes} bytes, its buffers end at {top}")


def _check_figures(schedule: Schedule, plan: MemoryPlan) -> None:
    """Peaks are the sums of live buffers; bounds and claims agree with each other."""
    steps = max(len(schedule.segments), 1)
    peaks = tuple(
        sum(buffer.bytes for buffer in plan.buffers if buffer.first <= step <= buffer.last)
        for step in range(steps)
    )
    if plan.peaks != peaks:
        raise PlanError("the peaks of the plan are not the sums of its live buffers")
    if plan.arena_bytes < max(max(peaks), plan.lower_bound):
        raise PlanError(f"an arena of {plan.arena_bytes} bytes is below its own lower bound")
    if plan.arena_bytes == plan.lower_bound and not plan.optimal:
        raise PlanError("an arena at the lower bound is optimal but not reported so")
