"""Operators that put tensors together, take them apart, and pad them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod

from tinyml.ir import ops
from tinyml.ir.graph import DType, Tensor
from tinyml.kernels.call import (
    Alias,
    ColumnAccess,
    KernelCall,
    OpStruct,
    RowAccess,
    RowLoop,
    Span,
    WholeCall,
)
from tinyml.kernels.registry import Kernel
from tinyml.kernels.site import Fields, Site, raw, table
from tinyml.quant.params import check_concatenation

_ALIAS = KernelCall("", None, Alias())


def reshape(site: Site) -> KernelCall:
    """RESHAPE: the same bytes."""
    return _ALIAS


def pad(site: Site) -> KernelCall:
    """PAD: rows above, below and between batches are NULL rows; the kernel pads within a row."""
    op = site.node.op
    assert isinstance(op, ops.Pad)
    kernel = site.kernel()
    itemsize = site.x.dtype.itemsize
    if itemsize > 4:
        raise site.unsupported(
            site.x, f"elements of {itemsize} bytes cannot be padded", "use elements of 4 bytes"
        )
    dims = [_PadDim(n, *p) for n, p in zip(site.x.shape, op.paddings, strict=True)]
    merged = site.flatten or len(dims) > 4
    if merged:
        dims = _merge_pads(dims)
    if len(dims) > 4:
        raise site.unsupported(
            site.x, "more than 4 dimensions are padded apart", "pad fewer dimensions at once"
        )
    batch, height, width, channels = _pad_layout(dims, site.flatten)
    fields: Fields = (
        ("element_bytes", itemsize),
        ("in_bytes", channels.size * itemsize),
        ("before_bytes", channels.before * itemsize),
        ("after_bytes", channels.after * itemsize),
        ("value", _pad_value(site, op)),
    )
    pixel = channels.size * itemsize
    row_bytes = width.size * pixel
    columns = None if merged else ColumnAccess(width.size, pixel, pad_left=width.before)
    outer = RowAccess(
        count=1,
        height=height.size,
        row_bytes=row_bytes,
        pad_top=height.before,
        batch_bytes=height.size * row_bytes,
        columns=columns,
    )
    batches, out_height = batch.padded, height.padded
    if batch.padded != batch.size:
        # Whole images are padding, too: all rows of all images count as one tall image.
        rows = tuple(
            (y * height.size + x if 0 <= x < height.size and 0 <= y < batch.size else -1,)
            for y in range(-batch.before, batch.size + batch.after)
            for x in range(-height.before, height.size + height.after)
        )
        outer = RowAccess(
            count=1,
            height=batch.size * height.size,
            row_bytes=row_bytes,
            table=rows,
            columns=columns,
        )
        batches, out_height = 1, len(rows)
    loop = RowLoop(
        batches=batches,
        out_height=out_height,
        out_row_bytes=width.padded * channels.padded * itemsize,
        inputs=(outer,),
        span=Span(width.size, width.padded, width.before),
    )
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)


@dataclass(frozen=True, slots=True)
class _PadDim:
    size: int
    before: int = 0
    after: int = 0

    @property
    def padded(self) -> int:
        return self.before + self.size + self.after


def _merge_pads(dims: list[_PadDim]) -> list[_PadDim]:
    """A dimension without padding of its own joins the one outside it."""
    merged: list[_PadDim] = []
    for dim in dims:
        if merged and dim.padded == dim.size:
            outer = merged[-1]
            merged[-1] = _PadDim(*(n * dim.size for n in (outer.size, outer.before, outer.after)))
        elif merged and merged[-1].padded == 1:
            merged[-1] = dim
        else:
            merged.append(dim)
    return merged


def _pad_layout(dims: list[_PadDim], merged: bool) -> tuple[_PadDim, _PadDim, _PadDim, _PadDim]:
    """`dims` as batch, height, width and channels; merged ones leave the width to last."""
    one = _PadDim(1)
    filled = [one] * (4 - len(dims)) + dims
    if merged and filled[0] == one:
        first_padded = filled[1].padded != filled[1].size
        if filled[1] != one and first_padded:
            return one, filled[1], filled[2], filled[3]
        return filled[1], filled[2], one, filled[3]
    return filled[0], filled[1], filled[2], filled[3]


def _pad_value(site: Site, op: ops.Pad) -> int:
    if op.value is not None:
        return op.value
    quantised = site.y.quant is not None and site.y.dtype is not DType.FLOAT32
    return site.y.q.zero_point if quantised else 0


def concatenation(site: Site) -> KernelCall:
    """CONCATENATION along any axis: all outer dimensions together are the row's pixels.

    Row by row along the height, each row is one of one input; the others' are NULL rows.
    """
    op = site.node.op
    assert isinstance(op, ops.Concatenation)
    check_concatenation(site.graph, site.node)
    kernel = site.kernel()
    inputs = [site.operand(i) for i in range(len(site.node.inputs))]
    if len(inputs) == 1 and not inputs[0].is_const:
        return _ALIAS
    for tensor in inputs:
        site.require(tensor, site.y.dtype)
    if not site.flatten and len(site.y.shape) == 4 and (site.y.shape[0], op.axis) == (1, 1):
        return _joined_rows(site, kernel, inputs)
    pixels, height, in_columns = prod(site.y.shape[: op.axis]), 1, False
    if not site.flatten and len(site.y.shape) == 4 and op.axis >= 2:
        height = prod(site.y.shape[:2])
        in_columns = op.axis == 3
        pixels = site.y.shape[2] if in_columns else 1
    parts = [t.nbytes // (pixels * height) for t in inputs]
    fields: Fields = (("count", len(inputs)), ("bytes", table("int32_t", parts)))
    loop = RowLoop(
        batches=1,
        out_height=height,
        out_row_bytes=pixels * sum(parts),
        inputs=tuple(
            RowAccess(
                count=1,
                height=height,
                row_bytes=pixels * part,
                constant=raw(tensor) if tensor.is_const else None,
                columns=ColumnAccess(pixels, part) if in_columns else None,
            )
            for tensor, part in zip(inputs, parts, strict=True)
        ),
        span=Span(pixels, pixels, 0),
    )
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)


def _joined_rows(site: Site, kernel: Kernel, inputs: Sequence[Tensor]) -> KernelCall:
    heights = [tensor.shape[1] for tensor in inputs]
    row_bytes = site.y.nbytes // sum(heights)
    accesses = tuple(
        RowAccess(
            count=1,
            height=height,
            row_bytes=row_bytes,
            pad_top=above,
            constant=raw(tensor) if tensor.is_const else None,
        )
        for tensor, height, above in zip(inputs, heights, accumulate([0, *heights]), strict=False)
    )
    fields: Fields = (
        ("count", len(inputs)),
        ("bytes", table("int32_t", [row_bytes] * len(inputs))),
    )
    loop = RowLoop(1, sum(heights), row_bytes, accesses, Span(1, 1, 0))
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)


def pack(site: Site) -> KernelCall:
    """PACK: a concatenation in which every input has one element of the new dimension."""
    op = site.node.op
    assert isinstance(op, ops.Pack)
    kernel = site.kernel()
    inputs = [site.operand(i) for i in range(len(site.node.inputs))]
    if len(inputs) == 1 and not inputs[0].is_const:
        return _ALIAS
    pixels = prod(site.y.shape[: op.axis])
    part = inputs[0].nbytes // pixels
    fields: Fields = (
        ("count", len(inputs)),
        ("bytes", table("int32_t", [part] * len(inputs))),
    )
    accesses = tuple(
        RowAccess(
            count=1,
            height=1,
            row_bytes=tensor.nbytes,
            constant=raw(tensor) if tensor.is_const else None,
        )
        for tensor in inputs
    )
    loop = RowLoop(1, 1, site.y.nbytes, accesses, Span(pixels, pixels, 0))
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)


def split(site: Site) -> KernelCall:
    """SPLIT, SPLIT_V and UNPACK along any axis."""
    op = site.node.op
    assert isinstance(op, ops.Split | ops.SplitV | ops.Unpack)
    if op.results == 1:
        return _ALIAS
    kernel = site.kernel()
    repeats = prod(site.x.shape[: op.axis])
    parts = [tensor.nbytes // repeats for tensor in site.graph.results(site.node)]
    fields: Fields = (
        ("repeats", repeats),
        ("count", len(parts)),
        ("bytes", table("int32_t", parts)),
    )
    loop = WholeCall(("int8_t",), ("int8_t",) * len(parts))
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)


def gather(site: Site) -> KernelCall:
    """GATHER of rows."""
    kernel = site.kernel()
    rows = site.operand(1)
    fields: Fields = (
        ("count", site.x.size),
        ("rows", rows.shape[0]),
        ("row_bytes", rows.nbytes // rows.shape[0]),
    )
    activations = ("int32_t",) if rows.is_const else ("int32_t", "int8_t")
    constants = (raw(rows),) if rows.is_const else ()
    loop = WholeCall(activations, ("int8_t",), constants)
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)
