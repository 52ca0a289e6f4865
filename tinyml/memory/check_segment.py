"""Whether a segment is one, as far as that can be said without an arena."""

from collections import Counter
from collections.abc import Mapping

from tinyml.errors import PlanError
from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import Accumulation, KernelCall, RowLoop
from tinyml.memory.replay import label
from tinyml.memory.replay_rows import fed_rows
from tinyml.schedule.schedule import FEED, Segment, SegmentKind


def check_segment(
    graph: Graph, segment: Segment, calls: Mapping[str, KernelCall], *, first: bool
) -> None:
    """PlanError unless a layer is one node, a stream takes every node's steps, the steps of a
    patch are rows and columns that exist, and rings stay in their segment."""
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
        raise PlanError(
            f"{segment.kind.value} segment {', '.join(segment.nodes)} runs a node that it has not"
        )
    if fed and (not first or len(graph.inputs) != 1):
        raise PlanError(
            f"a segment with {label(nodes[0])} takes rows, and is not the first, or the model has"
            f" {len(graph.inputs)} inputs"
        )
    if segment.kind is SegmentKind.PATCH:
        _check_tiles(graph, segment, nodes, calls)
    else:
        height = fed_rows(graph, calls)[0] if fed else 0
        if fed != height:
            raise PlanError(f"{fed} of the {height} rows of input '{graph.inputs[0]}' are taken")
        for position, node in enumerate(nodes):
            steps = _steps(node, calls[node.name])
            if taken[position] != steps:
                raise PlanError(f"{label(node)} takes {taken[position]} of its {steps} steps")
    _check_rings(graph, segment, nodes, calls)


def _check_tiles(
    graph: Graph, segment: Segment, nodes: list[Node], calls: Mapping[str, KernelCall]
) -> None:
    """Bands cut the program, and every step in them is a row and columns of a map."""
    who = f"patch segment {', '.join(segment.nodes)}"
    count = len(nodes) + (FEED in segment.program)
    if not segment.bands or not segment.strips:
        raise PlanError(f"{who} has no bands or no strips")
    if sum(band.steps for band in segment.bands) != len(segment.program):
        raise PlanError(f"the bands of {who} are not its program")
    sizes = [_map(node, calls[node.name]) for node in nodes]
    names = [label(node) for node in nodes]
    if count > len(nodes):
        height, row_bytes, pixel = fed_rows(graph, calls)
        if not pixel:
            raise PlanError(f"input '{graph.inputs[0]}' cannot come in parts of rows")
        sizes.append((height, row_bytes // pixel))
        names.append(f"input '{graph.inputs[0]}'")
    begin = 0
    for band in segment.bands:
        if len(band.first_rows) != count:
            raise PlanError(f"a band of {who} has {len(band.first_rows)} first rows, not {count}")
        taken = Counter(segment.program[begin : begin + band.steps])
        begin += band.steps
        for position, (row, (height, _)) in enumerate(zip(band.first_rows, sizes, strict=True)):
            stop = row + taken[position if position < len(nodes) else FEED]
            if not 0 <= row <= stop <= height:
                raise PlanError(
                    f"{names[position]} takes rows {row} to {stop} in a band, of {height}"
                )
    for strip in segment.strips:
        if len(strip.columns) != count:
            raise PlanError(f"a strip of {who} has {len(strip.columns)} columns, not {count}")
        for position, ((x, stop), (_, width)) in enumerate(zip(strip.columns, sizes, strict=True)):
            if not 0 <= x < stop <= width:
                raise PlanError(
                    f"{names[position]} takes columns {x} to {stop} in a strip, of {width}"
                )
    for ring in segment.rings:
        for strip in segment.strips:
            for node, (x, stop), (_, width) in zip(
                [*(n.output for n in nodes), *graph.inputs][:count],
                strip.columns,
                sizes,
                strict=True,
            ):
                room = ring.columns or (width if (x, stop) == (0, width) else 0)
                if node == ring.tensor and stop - x > room:
                    raise PlanError(
                        f"a ring has room for {ring.columns} columns of '{ring.tensor}', of which"
                        f" a tile computes {stop - x}"
                    )


def _map(node: Node, call: KernelCall) -> tuple[int, int]:
    """Rows and columns of the map that `node` can compute in parts."""
    match call.loop:
        case RowLoop(batches=1, out_height=height, inputs=inputs, span=span) if (
            len(node.outputs) == 1
            and all(access.columns is not None for access in inputs)
            and call.loop.out_row_bytes % max(span.out_width, 1) == 0
        ):
            return height, span.out_width
    raise PlanError(f"{label(node)} cannot compute parts of rows, but a patch segment holds it")


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
            height = fed_rows(graph, calls)[0]
        else:
            loop = calls[node.name].loop
            height = loop.out_height if isinstance(loop, RowLoop) else 1
        if segment.kind is not SegmentKind.PATCH and ring.columns:
            raise PlanError(f"a ring of a stream holds whole rows of '{ring.tensor}'")
        if not 1 <= ring.rows <= height:
            raise PlanError(f"a ring holds {ring.rows} of the {height} rows of '{ring.tensor}'")
        outside = [c.name for c in consumers[ring.tensor] if c.name not in segment.nodes]
        if outside or ring.tensor in graph.outputs:
            who = ", ".join(outside) or "the application"
            raise PlanError(f"'{ring.tensor}' is held in a ring, but {who} needs it later")
