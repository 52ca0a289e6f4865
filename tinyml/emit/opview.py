"""One op as the templates print it: a static function that drives its kernel."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tinyml.emit.context import Context, PointerView
from tinyml.emit.literals import comment, number
from tinyml.emit.loops import LoopView, RowLoopView, RowStepView, loop_view, step_view
from tinyml.emit.names import Namer, short, title
from tinyml.emit.places import ends, place
from tinyml.emit.rows import StreamedRows
from tinyml.emit.tables import TablePool
from tinyml.ir.graph import Node, Tensor
from tinyml.kernels.call import Accumulation, ConstArray, KernelCall, OpStruct, RowLoop
from tinyml.planning import Plan


@dataclass(frozen=True, slots=True)
class FieldView:
    """`.name = value` in a struct's initialiser."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class StructView:
    """The constant parameters of a kernel."""

    ctype: str
    fields: tuple[FieldView, ...]


@dataclass(frozen=True, slots=True)
class ResultView:
    """An output as the observer is told of it, where it is told of all of it at once."""

    index: int
    source: str
    bytes: int


@dataclass(frozen=True, slots=True)
class OpView:
    """One op."""

    index: int
    comment: tuple[str, ...]
    function: str
    macs: int
    kernel: str
    """Empty for a view."""
    struct: StructView | None
    pointers: tuple[PointerView, ...]
    loop: LoopView
    results: tuple[ResultView, ...]
    scratch_bytes: int
    """Of one thread, where several run it."""
    scratch_macro: str
    ends: tuple[int, int]
    """First byte of the arena, and of a second one, past everything that the op touches."""

    @property
    def shared(self) -> bool:
        """Whether threads share it: then its function computes some of its rows."""
        return isinstance(self.loop, RowLoopView) and self.loop.workers > 1

    @property
    def takes_strip(self) -> bool:
        """Whether its function has to know which strip of a patch runs."""
        return isinstance(self.loop, RowStepView) and self.loop.strips is not None


@dataclass(frozen=True, slots=True)
class OpViews:
    """Makes the views of a plan's ops, in order of execution."""

    plan: Plan
    tables: TablePool
    functions: Namer
    producers: Mapping[str, Node]
    streamed: Mapping[str, StreamedRows]

    def view(self, node: Node, index: int, macs: int, *, in_stream: bool) -> OpView:
        """The view of `node`, which runs as number `index` and executes so many MACs.

        Raises PlanError when the plan gives an alias memory of its own, or holds only
        rows of what the op needs whole.
        """
        call = self.plan.calls[node.name]
        label = short(node.name)
        origin = f"op {index} ({node.op.kind} {node.name})"
        ctx = Context(
            self.plan,
            node,
            call,
            self.tables,
            self.producers,
            self.streamed,
            label,
            origin,
            _pixels(call) * max(macs, 1) // max(self.plan.graph.macs(node), 1),
        )
        struct = None if call.struct is None else struct_view(call.struct, ctx.table)
        pointers, loop = step_view(ctx) if in_stream else loop_view(ctx)
        return OpView(
            index=index,
            comment=_comment(ctx, index, macs),
            function=self.functions(f"op{index}_{label}"),
            macs=macs,
            kernel=call.kernel,
            struct=struct,
            pointers=(*pointers, *_scratch(ctx)),
            loop=loop,
            results=tuple(
                ResultView(i, ctx.address(tensor), tensor.nbytes)
                for i, tensor in enumerate(ctx.results)
            ),
            scratch_bytes=call.scratch_pitch,
            scratch_macro=call.scratch_macro,
            ends=_ends(ctx),
        )


def _comment(ctx: Context, index: int, macs: int) -> tuple[str, ...]:
    def describe(tensors: Sequence[Tensor]) -> str:
        return ", ".join(
            f"{title(t.name, ctx.producers.get(t.name))} "
            f"{t.dtype.value}[{','.join(map(str, t.shape))}]{_held(ctx, t)}"
            for t in tensors
        )

    cost = f", {macs} MACs" if macs else ""
    return (
        *comment(f"Op {index}: {ctx.node.op.kind} {ctx.node.name}{cost}.", 6),
        *comment(f"{describe(ctx.activations)} -> {describe(ctx.results)}", 6),
    )


def _held(ctx: Context, tensor: Tensor) -> str:
    ring = ctx.ring(tensor)
    if ring is None:
        return ""
    part = f" of {ring.pitch // ring.pixel_bytes} columns" if ring.pitch < ring.row_bytes else ""
    return f" ({ring.held} of {ring.height} rows{part})"


def struct_view(struct: OpStruct, table: Callable[[ConstArray, str], str]) -> StructView:
    """A struct's initialiser; `table` gives the C name of a table that is used as a member."""
    fields = []
    for name, value in struct.fields:
        if value is None:
            text = "NULL"
        elif isinstance(value, ConstArray):
            text = table(value, name.rpartition(".")[2])
        else:
            text = number(value)
        fields.append(FieldView(name, text))
    return StructView(struct.ctype, tuple(fields))


def _scratch(ctx: Context) -> tuple[PointerView, ...]:
    if not ctx.call.scratch_bytes:
        return ()
    ctype = "int32_t" if isinstance(ctx.call.loop, Accumulation) else "void"
    source = place(ctx.plan.memory, ctx.plan.memory.scratch_offset(ctx.node.name))
    if ctx.call.workers > 1:
        source += f" + {ctx.call.scratch_pitch} * worker"
    return (PointerView("scratch", ctype, source),)


def _ends(ctx: Context) -> tuple[int, int]:
    memory = ctx.plan.memory

    def extent(tensor: Tensor) -> tuple[int, int]:
        ring = ctx.ring(tensor)
        return memory.offset_of(tensor.name), ring.bytes if ring else tensor.nbytes

    ranges = [extent(t) for t in (*ctx.activations, *ctx.results)]
    if ctx.call.scratch_bytes:
        ranges.append((memory.scratch_offset(ctx.node.name), ctx.call.scratch_bytes))
    return ends(memory, ranges)


def _pixels(call: KernelCall) -> int:
    """Positions of its output that an op computes, for each of which it reads its tables."""
    match call.loop:
        case RowLoop() as loop:
            return loop.batches * loop.out_height * loop.span.out_width
        case Accumulation() as loop:
            return loop.batches * loop.in_height
    return 1
