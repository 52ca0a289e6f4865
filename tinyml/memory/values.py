"""Which tensors are the same bytes, who reads them, and whose place they may take.

These facts do not depend on the order of execution: the search for an order
and the lifetimes under a given order both start from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tinyml.errors import GraphError, PlanError
from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import Accumulation, Alias, KernelCall, RowLoop, WholeCall
from tinyml.memory.plan import ALIGNMENT
from tinyml.schedule.schedule import Ring


@dataclass(frozen=True, slots=True)
class Value:
    """Bytes in the arena, written once: a tensor and all its aliases.

    Nodes and values are named by their position in `graph.nodes` and in the
    result of `values`.
    """

    tensors: tuple[str, ...]
    """The tensor that is written, then its aliases."""
    bytes: int
    """What is stored of it: all, or as many rows as its ring holds; a multiple of `ALIGNMENT`."""
    writer: int | None
    """The node that writes it; None for a graph input or a state, which one node changes."""
    readers: frozenset[int]
    """The nodes that need it, aliases included."""
    kept: bool
    """A graph output or a state: it stays readable after the last step."""
    overlays: tuple[int, ...]
    """The values whose very bytes its writer may overwrite with it, in operand order.

    This is safe only when `writer` is the last of all their readers to run.
    """


def aligned(size: int) -> int:
    """`size` rounded up to a multiple of `ALIGNMENT`."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def state_bytes(graph: Graph) -> int:
    """What the states of `graph` take of the arena."""
    return sum(aligned(graph.tensors[state.before].nbytes) for state in graph.states)


@dataclass(frozen=True, slots=True)
class Rows:
    """A tensor as a stream sees it: `count` rows of `bytes` bytes each."""

    count: int
    bytes: int
    pixel_bytes: int
    """Of one of the columns of a row; `bytes` where a row cannot be taken apart."""


def written_rows(node: Node, call: KernelCall) -> Rows:
    """The rows in which `node`, run by `call` in a stream segment, gives its only result.

    A call that accumulates gives it as one row. PlanError for a call that cannot stream.
    """
    match call.loop:
        case RowLoop(batches=1, out_height=height, out_row_bytes=size):
            return Rows(height, size, call.loop.pixel_bytes)
        case Accumulation(batches=1, out_bytes=size):
            return Rows(1, size, size)
    raise PlanError(f"{node.op.kind} '{node.name}' cannot give its result row by row")


def read_rows(graph: Graph, node: Node, call: KernelCall, tensor: str) -> Rows:
    """The rows in which `node`, run by `call` in a stream segment, reads an activation.

    PlanError for a call that cannot stream.
    """
    match call.loop:
        case RowLoop(batches=1, inputs=inputs):
            accesses = (access for access in inputs if access.constant is None)
            access = next(
                access
                for name, access in zip(graph.activations(node), accesses, strict=True)
                if name == tensor
            )
            columns = access.columns
            pixel = access.row_bytes if columns is None else columns.pixel_bytes
            return Rows(access.height, access.row_bytes, pixel)
        case Accumulation(batches=1, in_height=height, in_row_bytes=size):
            return Rows(height, size, size)
    raise PlanError(f"{node.op.kind} '{node.name}' cannot read '{tensor}' row by row")


def values(
    graph: Graph, calls: Mapping[str, KernelCall], rings: Mapping[str, Ring] | None = None
) -> tuple[Value, ...]:
    """The values of `graph`: its inputs and states first, then what its nodes write, in order.

    Constants lie in flash and are none. GraphError where a constant would have to
    become an activation without a kernel that copies it. `rings` are the rings of a
    schedule, by tensor: of these only some rows, or parts of rows, are stored.
    """
    rings = {} if rings is None else rings
    value_of: dict[str, int] = {}
    tensors: list[list[str]] = []
    writers: list[int | None] = []
    readers: list[set[int]] = []
    overlays: list[tuple[int, ...]] = []

    def add(name: str, writer: int | None, takes: tuple[int, ...] = ()) -> None:
        value_of[name] = len(tensors)
        tensors.append([name])
        writers.append(writer)
        readers.append(set())
        overlays.append(takes)

    for name in graph.sources:
        add(name, None)
    for index, node in enumerate(graph.nodes):
        for name in graph.activations(node):
            readers[value_of[name]].add(index)
        if isinstance(calls[node.name].loop, Alias):
            source = node.inputs[0]
            if source is None or source not in value_of:
                raise GraphError(
                    f"{node.op.kind} '{node.name}' is a view of constant '{source}'",
                    hint="fold constants before planning",
                )
            value_of[node.output] = value_of[source]
            tensors[value_of[source]].append(node.output)
        else:
            states = dict(zip(*_updated(node, calls[node.name]), strict=True))
            takes = () if states else _overlays(graph, node, calls[node.name], value_of)
            for name in node.outputs:
                if name not in states:
                    add(name, index, takes)
                    continue
                value_of[name] = value_of[states[name]]
                tensors[value_of[name]].append(name)

    for name in graph.outputs:
        if name not in value_of:
            raise GraphError(f"graph output '{name}' is constant: no step writes it")
        if any(value_of[name] == value_of[state.before] for state in graph.states):
            raise PlanError(
                f"output '{name}' is a state as it was before, in whose place is what it became",
                hint="give the output a copy of it, for instance by adding 0",
            )
    kept = {value_of[name] for name in graph.sinks}

    def stored(v: int) -> int:
        name, writer = tensors[v][0], writers[v]
        if name not in rings:
            return graph.tensors[name].nbytes
        if writer is not None:
            node = graph.nodes[writer]
            rows = written_rows(node, calls[node.name])
        elif readers[v]:
            node = graph.nodes[min(readers[v])]
            rows = read_rows(graph, node, calls[node.name], name)
        else:
            raise PlanError(f"nothing reads '{name}', of which rows are stored")
        ring = rings[name]
        if not 1 <= ring.rows <= rows.count:
            raise PlanError(f"a ring holds {ring.rows} of the {rows.count} rows of '{name}'")
        if not 0 <= ring.columns * rows.pixel_bytes <= rows.bytes or not rows.pixel_bytes:
            raise PlanError(
                f"a ring holds {ring.columns} columns of '{name}', whose rows have"
                f" {rows.bytes} bytes"
            )
        return ring.rows * (ring.columns * rows.pixel_bytes or rows.bytes)

    return tuple(
        Value(
            tensors=tuple(tensors[v]),
            bytes=aligned(stored(v)),
            writer=writers[v],
            readers=frozenset(readers[v]),
            kept=v in kept,
            overlays=tuple(u for u in overlays[v] if u not in kept),
        )
        for v in range(len(tensors))
    )


def _updated(node: Node, call: KernelCall) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What states become when `node` runs, and these states."""
    positions = call.loop.updates if isinstance(call.loop, WholeCall) else ()
    first = len(node.outputs) - len(positions)
    return node.outputs[first:], tuple(node.inputs[position] or "" for position in positions)


def _overlays(
    graph: Graph, node: Node, call: KernelCall, value_of: Mapping[str, int]
) -> tuple[int, ...]:
    """The operand values that the only output of `node` may overwrite.

    A value that the node reads at several positions must be allowed at each:
    its kernel reads through all of them while it writes.
    """
    if len(node.outputs) != 1:
        return ()
    at = [value_of.get(name) if name is not None else None for name in node.inputs]
    size = graph.tensors[node.output].nbytes
    found: dict[int, None] = {}
    for position in call.in_place:
        value, name = at[position], node.inputs[position]
        if value is None or name is None or graph.tensors[name].nbytes != size:
            continue
        if all(p in call.in_place for p, v in enumerate(at) if v == value):
            found[value] = None
    return tuple(found)
