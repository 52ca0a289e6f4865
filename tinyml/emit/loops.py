"""What drives an op's kernel: a loop over whole tensors, or one step of a stream."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tinyml.emit.context import Context, PointerView, RowsView, numbered, row_offset
from tinyml.emit.literals import WIDTH
from tinyml.emit.literals import call as call_lines
from tinyml.emit.rows import StreamedRows
from tinyml.emit.strips import StripTable, strip_values
from tinyml.errors import PlanError
from tinyml.ir.graph import Tensor
from tinyml.kernels.call import (
    Accumulation,
    Alias,
    ConstArray,
    RowAccess,
    RowLoop,
    Span,
    WholeCall,
)


@dataclass(frozen=True, slots=True)
class RowLoopView:
    """One kernel call for each output row; with `height` 1, y is written out as 0."""

    kind: ClassVar[str] = "rows"
    batches: int
    height: int
    row_bytes: int
    row_count: int
    rows: tuple[RowsView, ...]
    span: tuple[str, ...]
    """The definition of the horizontal geometry."""
    call: tuple[str, ...]
    workers: int
    """How many threads share the rows."""


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


@dataclass(frozen=True, slots=True)
class RowStepView:
    """One kernel call, for output row y."""

    kind: ClassVar[str] = "row step"
    height: int
    row_bytes: int
    """What the observer is told of in a step; so it is below."""
    row_count: int
    rows: tuple[RowsView, ...]
    span: tuple[str, ...]
    call: tuple[str, ...]
    strips: StripTable | None
    """In a patch: what differs from strip to strip."""
    part_bytes: tuple[int, ...]
    """In a patch: what the observer is told of in a step, by strip."""


@dataclass(frozen=True, slots=True)
class AccumulationStepView:
    """Input row y goes in; the result comes out after the last."""

    kind: ClassVar[str] = "accumulation step"
    height: int
    row_bytes: int
    begin: tuple[str, ...]
    row: tuple[str, ...]
    end: tuple[str, ...]


StepView = RowStepView | AccumulationStepView
LoopView = RowLoopView | WholeCallView | AccumulationView | AliasView | StepView
Driven = tuple[tuple[PointerView, ...], LoopView]


def loop_view(ctx: Context) -> Driven:
    """The pointers to the operands, and the loop over whole tensors that uses them."""
    match ctx.call.loop:
        case RowLoop() as loop:
            return _row_loop(ctx, loop)
        case WholeCall() as loop:
            return _whole_call(ctx, loop)
        case Accumulation() as loop:
            return _accumulation(ctx, loop)
        case Alias():
            (x, *_), (y,) = ctx.activations, ctx.results
            if ctx.whole(x) != ctx.whole(y):
                raise PlanError(
                    f"op '{ctx.node.name}' makes '{y.name}' a view of '{x.name}', "
                    "but the memory plan puts them at different places"
                )
            return (), AliasView()


def step_view(ctx: Context) -> Driven:
    """The same for one step of a stream; `streamed_rows` has refused what cannot be one."""
    match ctx.call.loop:
        case RowLoop() as loop:
            return _row_step(ctx, loop)
        case Accumulation() as loop:
            return _accumulation_step(ctx, loop)
        case _:
            raise AssertionError(ctx.node.name)


def _row_loop(ctx: Context, loop: RowLoop) -> Driven:
    many = loop.batches * loop.out_height > 1
    pointers, rows = [], []
    for at, name, access, tensor in _row_operands(ctx, loop):
        source = ctx.whole(tensor) if tensor else _constant(ctx, access, name)
        pointers.append(PointerView(name, "const int8_t", source, in_arena=tensor is not None))
        moves = loop.batches > 1 and access.batch_bytes
        place = f"{name} + {access.batch_bytes} * n" if moves else name
        y = "y" if loop.out_height > 1 else ""
        rows.append(_rows(ctx, access, at, name, (place,), y, _indent(loop)))
    shared = ctx.call.workers > 1
    first = (f"{loop.out_row_bytes} * first",) if shared else ()
    pointers.append(
        PointerView("out", "int8_t", ctx.whole(ctx.results[0]), steps=many, offsets=first)
    )
    view = RowLoopView(
        batches=loop.batches,
        height=loop.out_height,
        row_bytes=loop.out_row_bytes,
        row_count=_row_count(loop),
        rows=tuple(rows),
        span=_span(_fields(loop.span), constant=True),
        call=_row_call(ctx, loop, "y" if loop.out_height > 1 else "0", _indent(loop)),
        workers=ctx.call.workers,
    )
    return tuple(pointers), view


def _row_step(ctx: Context, loop: RowLoop) -> Driven:
    (result,) = ctx.results
    tiled = ctx.streamed[result.name]
    operands = list(_row_operands(ctx, loop))
    rings = [
        ctx.ring_read(tensor, access.height, access.row_bytes) if tensor else None
        for _, _, access, tensor in operands
    ]
    words, strips = _strip_words(ctx, loop, tiled, rings)
    pointers, rows = [], []
    for (at, name, access, tensor), ring in zip(operands, rings, strict=True):
        source = ctx.address(tensor) if tensor else _constant(ctx, access, name)
        pointers.append(
            PointerView(
                name,
                "const int8_t",
                source,
                in_arena=tensor is not None,
                offsets=_offset(words, name),
            )
        )
        place = (name, str(ring.held)) if ring and ring.held < ring.height else (name,)
        pitch = ring.pitch if ring else access.row_bytes
        rows.append(_rows(ctx, replace(access, row_bytes=pitch), at, name, place, "y", 2))
    offsets = row_offset(loop.out_row_bytes, loop.out_height, ctx.ring(result))
    offsets += _offset(words, "out")
    pointers.append(PointerView("out", "int8_t", ctx.address(result), offsets=offsets))
    view = RowStepView(
        height=loop.out_height,
        row_bytes=loop.out_row_bytes,
        row_count=_row_count(loop),
        rows=tuple(rows),
        span=_span(words, constant=strips is None),
        call=_row_call(ctx, loop, "y", 2),
        strips=strips,
        part_bytes=tuple((stop - first) * loop.pixel_bytes for first, stop in tiled.columns),
    )
    return tuple(pointers), view


def _strip_words(
    ctx: Context, loop: RowLoop, tiled: StreamedRows, rings: list[StreamedRows | None]
) -> tuple[dict[str, str], StripTable | None]:
    """The span's fields, and how far into their rows the pointers go, as C expressions."""
    spans = [loop.part(*part) for part in tiled.columns] or [loop.span]
    values = {field: [getattr(span, field) for span in spans] for field in Span.__slots__}
    for index, (access, ring) in enumerate(zip(loop.inputs, rings, strict=True)):
        if tiled.columns:
            name = numbered("in", index, len(loop.inputs))
            values[name] = list(_read_places(ctx, access, tiled, ring))
    if tiled.columns:
        values["out"] = [tiled.place(s, first) for s, (first, _) in enumerate(tiled.columns)]
    return strip_values(values)


def _read_places(
    ctx: Context, access: RowAccess, tiled: StreamedRows, ring: StreamedRows | None
) -> Iterator[int]:
    """Per strip: where the columns that are read begin in a row of what holds them, in bytes."""
    assert access.columns is not None
    for strip, part in enumerate(tiled.columns):
        begin, end = access.columns.read(*part)
        if ring is None:
            yield begin * access.columns.pixel_bytes
            continue
        first, stop = ring.columns[strip]
        if begin < end and not first <= begin < end <= stop:
            raise PlanError(
                f"op '{ctx.node.name}' reads columns {begin} to {end} in strip {strip}, "
                f"which has {first} to {stop}"
            )
        yield ring.place(strip, max(begin, first)) if begin < end else 0


def _offset(words: dict[str, str], name: str) -> tuple[str, ...]:
    return () if words.get(name, "0") == "0" else (words[name],)


def _row_operands(
    ctx: Context, loop: RowLoop
) -> Iterator[tuple[int, str, RowAccess, Tensor | None]]:
    """Per input: its place among the row pointers, name, rows, and tensor if it is no constant."""
    activations, at = iter(ctx.activations), 0
    for index, access in enumerate(loop.inputs):
        tensor = next(activations) if access.constant is None else None
        yield at, numbered("in", index, len(loop.inputs)), access, tensor
        at += access.count


def _row_count(loop: RowLoop) -> int:
    return sum(access.count for access in loop.inputs)


def _constant(ctx: Context, access: RowAccess, name: str) -> str:
    assert access.constant is not None
    return ctx.table(access.constant, name, operand=True)


def _indent(loop: RowLoop) -> int:
    """Columns before what is inside the loops; a loop of one iteration is not written."""
    return 2 + 2 * (loop.batches > 1) + 2 * (loop.out_height > 1)


def _fields(span: Span) -> dict[str, str]:
    return {field: str(getattr(span, field)) for field in Span.__slots__}


def _span(fields: Mapping[str, str], *, constant: bool) -> tuple[str, ...]:
    head = f"{'static ' if constant else ''}const tinyml_span span = {{"
    parts = [f".{field} = {fields[field]}" for field in Span.__slots__]
    line = f"{head}{', '.join(parts)}}};"
    return (line,) if len(line) + 2 <= WIDTH else (head, *(f"    {p}," for p in parts), "};")


def _row_call(ctx: Context, loop: RowLoop, y: str, indent: int) -> tuple[str, ...]:
    arguments = [*ctx.parameters, "&span", "rows", "out"]
    if ctx.call.scratch_bytes:
        arguments.append("scratch")
    if loop.pass_row_index:
        arguments.append(y)
    return ctx.kernel_call(arguments, indent)


def _rows(
    ctx: Context,
    access: RowAccess,
    at: int,
    name: str,
    place: tuple[str, ...],
    y: str,
    indent: int,
) -> RowsView:
    """Finds the rows of one input: `place` is where the map begins, and the slots of a ring.

    `y` is what the output row is called, "" where it is the only one.
    """
    chosen, first = "", str(-access.pad_top)
    if access.table is not None:
        data = np.array(access.table, np.int32).reshape(-1)
        chosen = ctx.table(ConstArray("int32_t", data), f"{name}_rows")
        if y:
            chosen += f" + {access.count} * {y}" if access.count > 1 else f" + {y}"
    elif y and access.stride:
        first = y if access.stride == 1 else f"{access.stride} * {y}"
        if access.pad_top:
            first += f" {'-' if access.pad_top > 0 else '+'} {abs(access.pad_top)}"
    arguments = [
        f"rows + {at}" if at else "rows",
        str(access.count),
        *place,
        str(access.height),
        str(access.row_bytes),
    ]
    arguments += [chosen] if chosen else [first, str(access.dilation)]
    kind = ("_chosen" if chosen else "") + ("_ring" if len(place) > 1 else "")
    return RowsView(call_lines(f"tinyml{kind}_rows", arguments, ";", indent))


def _whole_call(ctx: Context, loop: WholeCall) -> Driven:
    inputs, outputs = loop.input_ctypes, loop.output_ctypes
    count = len(inputs) + len(loop.constants)
    graph = ctx.plan.graph
    passed = [graph.tensors[name] for name in loop.passed(graph, ctx.node)]
    pointers = [
        PointerView(numbered("in", i, count), f"const {ctype}", ctx.whole(tensor))
        for i, (ctype, tensor) in enumerate(zip(inputs, passed, strict=True))
    ]
    arguments = [*ctx.parameters, *(pointer.name for pointer in pointers)]
    for i, table in enumerate(loop.constants, start=len(inputs)):
        name = numbered("in", i, count)
        if table is None:
            arguments.append("NULL")
            continue
        source = ctx.table(table, name, operand=True)
        pointers.append(PointerView(name, f"const {table.ctype}", source, False))
        arguments.append(name)
    results = [
        PointerView(numbered("out", i, len(outputs)), ctype, ctx.whole(tensor))
        for i, (ctype, tensor) in enumerate(zip(outputs, ctx.results, strict=True))
    ]
    pointers += results
    arguments += (pointer.name for pointer in results)
    if ctx.call.scratch_bytes:
        arguments.append("scratch")
    return tuple(pointers), WholeCallView(ctx.kernel_call(arguments, 2))


def _accumulation(ctx: Context, loop: Accumulation) -> Driven:
    pointers = (
        PointerView("in", "const int8_t", ctx.whole(ctx.activations[0]), steps=True),
        PointerView("out", "int8_t", ctx.whole(ctx.results[0]), steps=True),
    )
    outer = 4 if loop.batches > 1 else 2
    begin, row, end = _accumulation_calls(ctx, outer, outer + 2, outer)
    view = AccumulationView(
        batches=loop.batches,
        height=loop.in_height,
        row_bytes=loop.in_row_bytes,
        out_bytes=loop.out_bytes,
        begin=begin,
        row=row,
        end=end,
    )
    return pointers, view


def _accumulation_step(ctx: Context, loop: Accumulation) -> Driven:
    (operand,), (result,) = ctx.activations, ctx.results
    ring = ctx.ring_read(operand, loop.in_height, loop.in_row_bytes)
    offsets = row_offset(loop.in_row_bytes, loop.in_height, ring)
    pointers = (
        PointerView("in", "const int8_t", ctx.address(operand), offsets=offsets),
        PointerView("out", "int8_t", ctx.whole(result)),
    )
    begin, row, end = _accumulation_calls(ctx, 4, 2, 2)
    view = AccumulationStepView(
        height=loop.in_height, row_bytes=loop.out_bytes, begin=begin, row=row, end=end
    )
    return pointers, view


def _accumulation_calls(
    ctx: Context, begin: int, row: int, end: int
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The three statements, each for so many columns of indent."""
    op = ctx.parameters
    return (
        ctx.kernel_call([*op, "scratch"], begin, "_begin"),
        ctx.kernel_call([*op, "in", "scratch"], row, "_row"),
        ctx.kernel_call([*op, "scratch", "out"], end, "_end"),
    )
