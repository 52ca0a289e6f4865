"""One op as the templates print it: a static function that drives its kernel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinyml.emit.literals import call as call_lines
from tinyml.emit.literals import comment, number
from tinyml.emit.names import Namer, short, title
from tinyml.emit.tables import TablePool
from tinyml.errors import PlanError
from tinyml.ir.graph import Node, Tensor
from tinyml.kernels.call import (
    Accumulation,
    Alias,
    ConstArray,
    KernelCall,
    RowAccess,
    RowLoop,
    WholeCall,
)
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
class PointerView:
    """A local pointer: to a place in the arena, or to a table."""

    name: str
    ctype: str
    """The element's type, with `const` where the op only reads."""
    source: str
    in_arena: bool = True
    steps: bool = False
    """Whether the loop moves it on."""


@dataclass(frozen=True, slots=True)
class RowsView:
    """The call that finds the row pointers of one input for output row y."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RowLoopView:
    """One kernel call for each output row; with `height` 1, y is written out as 0."""

    kind: ClassVar[str] = "rows"
    batches: int
    height: int
    row_bytes: int
    row_count: int
    rows: tuple[RowsView, ...]
    span: str
    """Initialiser of the horizontal geometry."""
    call: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WholeCallView:
    """One kernel call."""

    kind: ClassVar[str] = "whole"
    call: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccumulationView:
    """Rows go in one by one, then the result comes out."""

    kind: ClassVar[str] = "accumulation"
    batches: int
    height: int
    row_bytes: int
    out_bytes: int
    begin: tuple[str, ...]
    row: tuple[str, ...]
    end: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AliasView:
    """Nothing to run."""

    kind: ClassVar[str] = "alias"


LoopView = RowLoopView | WholeCallView | AccumulationView | AliasView


@dataclass(frozen=True, slots=True)
class ResultView:
    """An output as the observer is told of it."""

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
    struct: StructView | None
    pointers: tuple[PointerView, ...]
    loop: LoopView
    results: tuple[ResultView, ...]
    scratch_bytes: int
    scratch_macro: str
    end: int
    """First byte of the arena past everything that the op touches."""


@dataclass(frozen=True, slots=True)
class _Context:
    """What all parts of one op's view need."""

    plan: Plan
    node: Node
    call: KernelCall
    tables: TablePool
    producers: Mapping[str, Node]
    label: str
    origin: str

    def table(self, table: ConstArray, role: str) -> str:
        """The C name of a table that this op uses as `role`."""
        return self.tables.add(table, f"{self.label}_{role}", f"{self.origin}: {role}")

    def address(self, tensor: Tensor) -> str:
        """A C expression for where an activation lies."""
        return f"arena + {self.plan.memory.offset_of(tensor.name)}"

    @property
    def activations(self) -> tuple[Tensor, ...]:
        return tuple(self.plan.graph.tensors[n] for n in self.plan.graph.activations(self.node))

    @property
    def results(self) -> tuple[Tensor, ...]:
        return self.plan.graph.results(self.node)


def op_view(
    plan: Plan,
    node: Node,
    index: int,
    producers: Mapping[str, Node],
    tables: TablePool,
    functions: Namer,
) -> OpView:
    """The view of `node`, which runs as number `index`; `producers` are the graph's.

    Raises PlanError when the plan gives an alias memory of its own.
    """
    call = plan.calls[node.name]
    label = short(node.name)
    origin = f"op {index} ({node.op.kind} {node.name})"
    ctx = _Context(plan, node, call, tables, producers, label, origin)
    struct = _struct(ctx)
    pointers, loop = _loop(ctx)
    return OpView(
        index=index,
        comment=_comment(ctx, index),
        function=functions(f"op{index}_{label}"),
        macs=plan.graph.macs(node),
        struct=struct,
        pointers=(*pointers, *_scratch(ctx)),
        loop=loop,
        results=tuple(
            ResultView(i, ctx.address(tensor), tensor.nbytes)
            for i, tensor in enumerate(ctx.results)
        ),
        scratch_bytes=call.scratch_bytes,
        scratch_macro=call.scratch_macro,
        end=_end(ctx),
    )


def _comment(ctx: _Context, index: int) -> tuple[str, ...]:
    def describe(tensors: Sequence[Tensor]) -> str:
        return ", ".join(
            f"{title(t.name, ctx.producers.get(t.name))} "
            f"{t.dtype.value}[{','.join(map(str, t.shape))}]"
            for t in tensors
        )

    macs = ctx.plan.graph.macs(ctx.node)
    cost = f", {macs} MACs" if macs else ""
    return (
        *comment(f"Op {index}: {ctx.node.op.kind} {ctx.node.name}{cost}.", 3),
        *comment(f"{describe(ctx.activations)} -> {describe(ctx.results)}", 3),
    )


def _struct(ctx: _Context) -> StructView | None:
    struct = ctx.call.struct
    if struct is None:
        return None
    fields = []
    for name, value in struct.fields:
        if value is None:
            text = "NULL"
        elif isinstance(value, ConstArray):
            text = ctx.table(value, name.rpartition(".")[2])
        else:
            text = number(value)
        fields.append(FieldView(name, text))
    return StructView(struct.ctype, tuple(fields))


def _scratch(ctx: _Context) -> tuple[PointerView, ...]:
    if not ctx.call.scratch_bytes:
        return ()
    ctype = "int32_t" if isinstance(ctx.call.loop, Accumulation) else "void"
    at = ctx.plan.memory.scratch_offset(ctx.node.name)
    return (PointerView("scratch", ctype, f"arena + {at}"),)


def _end(ctx: _Context) -> int:
    memory = ctx.plan.memory
    ends = [memory.offset_of(t.name) + t.nbytes for t in (*ctx.activations, *ctx.results)]
    if ctx.call.scratch_bytes:
        ends.append(memory.scratch_offset(ctx.node.name) + ctx.call.scratch_bytes)
    return max(ends)


def _loop(ctx: _Context) -> tuple[tuple[PointerView, ...], LoopView]:
    """The pointers to the operands, and the loop that uses them."""
    match ctx.call.loop:
        case RowLoop() as loop:
            return _row_loop(ctx, loop)
        case WholeCall() as loop:
            return _whole_call(ctx, loop)
        case Accumulation() as loop:
            return _accumulation(ctx, loop)
        case Alias():
            (x, *_), (y,) = ctx.activations, ctx.results
            if ctx.address(x) != ctx.address(y):
                raise PlanError(
                    f"op '{ctx.node.name}' makes '{y.name}' a view of '{x.name}', "
                    "but the memory plan puts them at different places"
                )
            return (), AliasView()


def _parameters(ctx: _Context) -> tuple[str, ...]:
    return ("&op",) if ctx.call.struct is not None else ()


def _call(
    ctx: _Context, arguments: Sequence[str], indent: int, suffix: str = ""
) -> tuple[str, ...]:
    return call_lines(f"tinyml_{ctx.call.kernel}{suffix}", arguments, ";", indent)


def _numbered(name: str, index: int, count: int) -> str:
    return name if count == 1 else f"{name}{index}"


def _row_loop(ctx: _Context, loop: RowLoop) -> tuple[tuple[PointerView, ...], RowLoopView]:
    pointers, rows, at = [], [], 0
    many = loop.batches * loop.out_height > 1
    activations = iter(ctx.activations)
    for index, access in enumerate(loop.inputs):
        name = _numbered("in", index, len(loop.inputs))
        if access.constant is None:
            source = ctx.address(next(activations))
        else:
            source = ctx.table(access.constant, name)
        pointers.append(PointerView(name, "const int8_t", source, access.constant is None))
        rows.append(_rows(ctx, loop, access, name, at))
        at += access.count
    pointers.append(PointerView("out", "int8_t", ctx.address(ctx.results[0]), steps=many))
    arguments = [*_parameters(ctx), "&span", "rows", "out"]
    if ctx.call.scratch_bytes:
        arguments.append("scratch")
    if loop.pass_row_index:
        arguments.append("y" if loop.out_height > 1 else "0")
    span = loop.span
    view = RowLoopView(
        batches=loop.batches,
        height=loop.out_height,
        row_bytes=loop.out_row_bytes,
        row_count=at,
        rows=tuple(rows),
        span=f"{{.in_width = {span.in_width}, .out_width = {span.out_width}, "
        f".pad_left = {span.pad_left}}}",
        call=_call(ctx, arguments, _indent(loop)),
    )
    return tuple(pointers), view


def _indent(loop: RowLoop) -> int:
    """Columns before what is inside the loops; a loop of one iteration is not written."""
    return 2 + 2 * (loop.batches > 1) + 2 * (loop.out_height > 1)


def _rows(ctx: _Context, loop: RowLoop, access: RowAccess, name: str, at: int) -> RowsView:
    chosen, first = "", str(-access.pad_top)
    if access.table is not None:
        data = np.array(access.table, np.int32).reshape(-1)
        chosen = ctx.table(ConstArray("int32_t", data), f"{name}_rows")
        if loop.out_height > 1:
            chosen += f" + {access.count} * y" if access.count > 1 else " + y"
    elif loop.out_height > 1 and access.stride:
        first = "y" if access.stride == 1 else f"{access.stride} * y"
        if access.pad_top:
            first += f" - {access.pad_top}"
    moves = loop.batches > 1 and access.batch_bytes
    arguments = [
        f"rows + {at}" if at else "rows",
        str(access.count),
        f"{name} + {access.batch_bytes} * n" if moves else name,
        str(access.height),
        str(access.row_bytes),
    ]
    arguments += [chosen] if chosen else [first, str(access.dilation)]
    function = "tinyml_chosen_rows" if chosen else "tinyml_rows"
    return RowsView(call_lines(function, arguments, ";", _indent(loop)))


def _whole_call(ctx: _Context, loop: WholeCall) -> tuple[tuple[PointerView, ...], WholeCallView]:
    inputs, outputs = loop.input_ctypes, loop.output_ctypes
    count = len(inputs) + len(loop.constants)
    pointers = [
        PointerView(_numbered("in", i, count), f"const {ctype}", ctx.address(tensor))
        for i, (ctype, tensor) in enumerate(zip(inputs, ctx.activations, strict=True))
    ]
    for i, table in enumerate(loop.constants, start=len(inputs)):
        name = _numbered("in", i, count)
        pointers.append(PointerView(name, f"const {table.ctype}", ctx.table(table, name), False))
    pointers += [
        PointerView(_numbered("out", i, len(outputs)), ctype, ctx.address(tensor))
        for i, (ctype, tensor) in enumerate(zip(outputs, ctx.results, strict=True))
    ]
    arguments = [*_parameters(ctx), *(pointer.name for pointer in pointers)]
    if ctx.call.scratch_bytes:
        arguments.append("scratch")
    return tuple(pointers), WholeCallView(_call(ctx, arguments, 2))


def _accumulation(
    ctx: _Context, loop: Accumulation
) -> tuple[tuple[PointerView, ...], AccumulationView]:
    pointers = (
        PointerView("in", "const int8_t", ctx.address(ctx.activations[0]), steps=True),
        PointerView("out", "int8_t", ctx.address(ctx.results[0]), steps=True),
    )
    op, inside = _parameters(ctx), 4 if loop.batches > 1 else 2
    view = AccumulationView(
        batches=loop.batches,
        height=loop.in_height,
        row_bytes=loop.in_row_bytes,
        out_bytes=loop.out_bytes,
        begin=_call(ctx, [*op, "scratch"], inside, "_begin"),
        row=_call(ctx, [*op, "in", "scratch"], inside + 2, "_row"),
        end=_call(ctx, [*op, "scratch", "out"], inside, "_end"),
    )
    return pointers, view
