"""What the templates print: every name, number and choice, decided here.

A view holds strings and integers only. The templates add layout and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tinyml.board import Board
from tinyml.emit.feed import FeedView, feed_view
from tinyml.emit.literals import WIDTH, braces, call, comment, number, string
from tinyml.emit.names import Namer, model_name, title
from tinyml.emit.opview import OpView, OpViews
from tinyml.emit.places import banked, home, place
from tinyml.emit.rooms import constants_room
from tinyml.emit.rows import StreamedRows, streamed_rows
from tinyml.emit.segments import SegmentView, segment_views
from tinyml.emit.states import StateView, state_views
from tinyml.emit.tables import TablePool, TableView
from tinyml.emit.train_view import TrainView
from tinyml.errors import UnsupportedError
from tinyml.ir.graph import Graph, Node, Tensor
from tinyml.kernels.site import CTYPES
from tinyml.memory.plan import MemoryPlan
from tinyml.memory.values import state_bytes
from tinyml.planning import Plan

RUNTIME_VERSION = 6
"""What generated code expects of TINYML_RUNTIME_VERSION."""

_FUNCTIONS = ("init", "input", "output", "invoke", "push_row", "reset", "pull", "info")


@dataclass(frozen=True, slots=True)
class EndpointView:
    """An input or an output of the model."""

    macro: str
    """Stem of its macros, e.g. "KWS_INPUT"."""
    access: str
    """The function that gives its address, e.g. "kws_input"."""
    accessor: tuple[str, ...]
    """Its definition."""
    argument: str
    """Its name as an argument of invoke, e.g. "input"."""
    comment: tuple[str, ...]
    ctype: str
    copy: tuple[str, ...]
    """The statement of invoke that copies it in or out."""
    shape: str
    bytes: int
    offset: int
    scale: str | None
    """None where the tensor is not quantised per tensor; so is `zero_point`."""
    zero_point: str | None


@dataclass(frozen=True, slots=True)
class ModelView:
    """One model."""

    name: str
    """Prefix of its functions, e.g. "kws"."""
    macro: str
    """Prefix of its macros, e.g. "KWS"."""
    title: tuple[str, ...]
    label: tuple[str, ...]
    """The model's own name as a C string."""
    identity: str
    runtime_version: int
    arena_bytes: int
    arena: tuple[str, ...]
    """What the arena is, and which op needs most of it."""
    macs: int
    banks: tuple[int, int]
    """Bytes of the arena, and of a second one."""
    slow: bool
    """Whether the only arena belongs where a second one would."""
    handle: str
    """What is handed to an op's function: the arena, or `m`, which has both; next: its type."""
    handle_type: str
    ends: tuple[int, int]
    """First byte of either past everything that any op touches."""
    init: tuple[str, ...]
    """Prototype of the init function; the next is that of invoke."""
    invoke: tuple[str, ...]
    push_row: tuple[str, ...]
    """The same of a model whose input comes row by row; so is `reset`."""
    reset: tuple[str, ...]
    """Also of one that keeps something from one invoke to the next."""
    pull: tuple[str, ...]
    """The same of a model that reads its input through a callback."""
    invoke_pull: tuple[str, ...]
    """What calls that function from invoke."""
    feed: FeedView | None
    """How the only input comes, if in pieces."""
    inputs: tuple[EndpointView, ...]
    outputs: tuple[EndpointView, ...]
    states: tuple[StateView, ...]
    state_bytes: int
    """Of the arena, at its beginning unless it is divided."""
    buffers: tuple[str, ...]
    segments: tuple[SegmentView, ...]
    tables: tuple[TableView, ...]
    flash: str
    """What the types of constants have for their address space, with a space; mostly ""."""
    headers: tuple[str, ...]
    """What the code includes beside its own header."""
    training: TrainView | None
    """How the model learns; None if it does not."""

    @property
    def ops(self) -> tuple[OpView, ...]:
        """All ops in order of execution."""
        return tuple(op for segment in self.segments for op in segment.ops)

    @property
    def pushed(self) -> bool:
        """Whether the application hands over the rows of the input."""
        return self.feed is not None and not self.feed.pull

    @property
    def pulled(self) -> bool:
        """Whether the model reads the input through a callback."""
        return self.feed is not None and self.feed.pull

    @property
    def banked(self) -> bool:
        """Whether there are two arenas."""
        return self.banks[1] > 0

    @property
    def has_layers(self) -> bool:
        """Whether any op runs on whole tensors, outside of streams."""
        return any(segment.stream is None for segment in self.segments)

    @property
    def observed(self) -> int:
        """Outputs of all ops, which one invoke tells the observer of."""
        return sum(len(op.results) for op in self.ops)

    @property
    def records(self) -> str:
        """The macro that says how many outputs a firmware is told of at most."""
        own = f"{self.macro}_OUTPUTS_OBSERVED"
        if self.training is None or self.training.observed <= self.observed:
            return own
        return f"{self.macro}_TRAIN_OUTPUTS_OBSERVED"

    @property
    def nulls(self) -> str:
        """Arguments of invoke (or pull) that leave inputs and outputs in place."""
        ends = self.outputs if self.pulled else (*self.inputs, *self.outputs)
        return ", ".join("NULL" for _ in ends)

    @property
    def const_bytes(self) -> int:
        """Bytes of all tables."""
        return sum(table.bytes for table in self.tables)

    @property
    def more_const_bytes(self) -> int:
        """Bytes of those in the second region of the constants."""
        return sum(table.bytes for table in self.tables if table.more)


def model_view(
    plan: Plan,
    *,
    name: str = "",
    identity: str = "",
    board: Board | None = None,
    training: TrainView | None = None,
    tables: TablePool | None = None,
) -> ModelView:
    """The view of a plan; `name` replaces the graph's name as the prefix of all identifiers.

    `board` says how many regions there are for tables, and how they are addressed (None: one,
    as data). `training` is what the model learns by, with its tables in `tables`: then arena and
    tables are those of both.
    Raises UnsupportedError where an output of the model is a constant, or nothing is computed.
    """
    if not plan.schedule.order:
        raise UnsupportedError(
            f"model '{plan.graph.name}' computes nothing: its outputs are its inputs"
        )
    graph, memory = plan.graph, plan.memory
    prefix = model_name(name or graph.name)
    producers, streamed = graph.producers(), streamed_rows(plan)
    flash = "TINYML_FLASH " if board is not None and board.harvard else ""
    tables = TablePool(prefix, flash) if tables is None else tables
    feed = feed_view(plan, streamed)
    functions = Namer(f"{prefix}_{what}" for what in _FUNCTIONS)
    views = OpViews(plan, tables, functions, producers, streamed)
    segments = segment_views(plan, views, functions, feed)
    ops = [op for segment in segments for op in segment.ops]
    more_headers = ["tinyml_kernels.h"] if any(op.loop.kind != "alias" for op in ops) else []
    more_headers += ["tinyml_threads.h"] if any(op.shared for op in ops) else []
    if training is not None:
        more_headers += ["tinyml_train.h", f"{prefix}_parameters.h"]
    two = banked(memory)
    touched = [op.ends for op in ops] + ([feed.ends] if feed else [])
    arena_bytes = max(memory.arena_bytes, training.arena_bytes if training is not None else 0)
    inputs = _endpoints(graph, memory, prefix, "input", graph.inputs)
    outputs = _endpoints(graph, memory, prefix, "output", graph.outputs)
    return ModelView(
        name=prefix,
        macro=prefix.upper(),
        title=comment(f"{graph.name}: generated by tinyml; do not edit, generate anew.", 3),
        label=string(graph.name, 12),
        identity=identity,
        runtime_version=RUNTIME_VERSION,
        arena_bytes=arena_bytes,
        arena=comment(
            f"The memory that the model works in, aligned to TINYML_ALIGNMENT: {_peak(plan)}.", 3
        ),
        macs=sum(op.macs for op in ops),
        banks=memory.banks if two else (arena_bytes, 0),
        slow=memory.split == 0,
        handle="m" if two else "arena",
        handle_type="const tinyml_model *" if two else "uint8_t *",
        ends=(max(first for first, _ in touched), max(second for _, second in touched)),
        init=_prototype(
            prefix,
            "init",
            ["void *arena", "size_t arena_bytes"]
            + (["void *more", "size_t more_bytes"] if two else []),
        ),
        invoke=_prototype(
            prefix,
            "invoke",
            [f"const {end.ctype} *{end.argument}" for end in inputs]
            + [f"{end.ctype} *{end.argument}" for end in outputs],
        ),
        invoke_pull=call(
            f"return {prefix}_pull",
            ["m", "read_array"]
            + [f"&{end.argument}" for end in inputs]
            + [end.argument for end in outputs],
            ";",
            2,
        ),
        push_row=_prototype(prefix, "push_row", [f"const {end.ctype} *row" for end in inputs]),
        reset=_prototype(prefix, "reset", []),
        pull=_prototype(
            prefix,
            "pull",
            ["tinyml_read_rows_fn read", "void *user"]
            + [f"{end.ctype} *{end.argument}" for end in outputs],
        ),
        feed=feed,
        inputs=inputs,
        outputs=outputs,
        states=state_views(plan, tables),
        state_bytes=state_bytes(graph),
        buffers=_arena_map(plan, producers, streamed),
        segments=segments,
        tables=tables.views(constants_room(len(ops), board)),
        flash=flash,
        headers=tuple(sorted((f"{prefix}_weights.h", "tinyml_generated.h", *more_headers))),
        training=training,
    )


def _op_ranges(plan: Plan) -> tuple[tuple[int, int], ...]:
    """Index of the first and the last op of each segment."""
    found, index = [], 0
    for segment in plan.schedule.segments:
        found.append((index, index + len(segment.nodes) - 1))
        index += len(segment.nodes)
    return tuple(found)


def _peak(plan: Plan) -> str:
    peaks = plan.memory.peaks
    step = peaks.index(max(peaks))
    first, last = _op_ranges(plan)[step]
    order = plan.schedule.order
    where = f"op {first}, {order[first]}"
    if first != last:
        where = f"ops {first} to {last}, {order[first]} to {order[last]}"
    return f"the peak is {peaks[step]} live bytes at {where}"


def _endpoints(
    graph: Graph, memory: MemoryPlan, prefix: str, role: str, names: tuple[str, ...]
) -> tuple[EndpointView, ...]:
    found = []
    for index, name in enumerate(names):
        tensor = graph.tensors[name]
        if tensor.is_const:
            raise UnsupportedError(
                f"{role} '{name}' of model '{graph.name}' does not depend on the model's inputs: "
                "it is a constant",
                hint="leave it out of the model's outputs",
            )
        suffix = role if len(names) == 1 else f"{role}_{index}"
        per_tensor = tensor.quant is not None and len(tensor.quant.scales) == 1
        ctype, access = CTYPES[tensor.dtype], f"{prefix}_{suffix}"
        found.append(
            EndpointView(
                accessor=_accessor(prefix, role, ctype, access, memory, name),
                macro=access.upper(),
                access=access,
                argument=suffix,
                comment=comment(_describe(role, index, tensor, len(names)), 3),
                ctype=ctype,
                copy=_copy(role, access, suffix),
                shape=braces(tensor.shape),
                bytes=tensor.nbytes,
                offset=memory.offset_of(name),
                scale=number(tensor.q.scale) if per_tensor else None,
                zero_point=number(tensor.q.zero_point) if per_tensor else None,
            )
        )
    return tuple(found)


def _accessor(
    prefix: str, role: str, ctype: str, access: str, memory: MemoryPlan, tensor: str
) -> tuple[str, ...]:
    const = "" if role == "input" else "const "
    head = f"{const}{ctype} *{access}({const}{prefix}_t *m) {{"
    where = place(memory, memory.offset_of(tensor)).removeprefix("m->")
    body = f"return ({const}{ctype} *)(m->{where});"
    line = f"{head} {body} }}"
    return (line,) if len(line) <= WIDTH else (head, f"  {body}", "}")


def _copy(role: str, access: str, argument: str) -> tuple[str, ...]:
    place = f"{access}(m)"
    ends = (place, argument) if role == "input" else (argument, place)
    return call("memcpy", (*ends, f"{access}_BYTES".upper()), ";", 4)


def _prototype(prefix: str, function: str, arguments: list[str]) -> tuple[str, ...]:
    # With room for the brace or semicolon that follows.
    return call(f"tinyml_status {prefix}_{function}", [f"{prefix}_t *m", *arguments], "", 2)


def _describe(role: str, index: int, tensor: Tensor, count: int) -> str:
    which = role.capitalize() if count == 1 else f"{role.capitalize()} {index}"
    meaning = "; real = SCALE * (q - ZERO_POINT)" if tensor.quant is not None else ""
    return f"{which}: {tensor.name}{meaning}."


def _arena_map(
    plan: Plan, producers: Mapping[str, Node], streamed: Mapping[str, StreamedRows]
) -> tuple[str, ...]:
    """The arena as lines of a comment, by offset: range, ops during which it is live, contents.

    Those of a second arena come after a line that says so.
    """
    memory, ranges = plan.memory, _op_ranges(plan)
    buffers = sorted(memory.buffers, key=lambda b: (memory.offsets[b.name], b.first, b.name))
    digits = len(str(memory.arena_bytes))

    def contents(tensor: str) -> str:
        rows = streamed.get(tensor)
        part = f"{rows.held} of {rows.height} rows of " if rows and rows.is_ring else ""
        return part + title(tensor, producers.get(tensor))

    lines: list[str] = []
    seen = 0
    for buffer in buffers:
        bank, at = home(memory, memory.offsets[buffer.name])
        if bank > seen:
            lines += ["", "And in the second arena:", ""]
            seen = bank
        lines += comment(
            f"[{at:{digits}}, {at + buffer.bytes:{digits}})  "
            f"ops {ranges[memory.segment_at(buffer.first)][0]:3}-"
            f"{ranges[memory.segment_at(buffer.last)][1]:<3} "
            + (", ".join(map(contents, buffer.tensors)) or buffer.name),
            3,
            lead=" " * (2 * digits + 18),
        )
    return tuple(lines)
