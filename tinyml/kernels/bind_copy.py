"""Operators that only move elements."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod

from tinyml.ir import ops
from tinyml.ir.graph import DType, Shape, Tensor
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
_STRIDED_RANK = 6
"""TINYML_STRIDED_RANK of the C header."""


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


def split(site: Site) -> KernelCall:
    """SPLIT along any axis."""
    op = site.node.op
    assert isinstance(op, ops.Split)
    if op.count == 1:
        return _ALIAS
    kernel = site.kernel()
    repeats = prod(site.x.shape[: op.axis])
    fields: Fields = (
        ("repeats", repeats),
        ("count", op.count),
        ("part_bytes", site.x.nbytes // (repeats * op.count)),
    )
    loop = WholeCall(("int8_t",), ("int8_t",) * op.count)
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)


def transpose(site: Site) -> KernelCall:
    """TRANSPOSE."""
    op = site.node.op
    assert isinstance(op, ops.Transpose)
    strides = _dense_strides(site.x.shape)
    sizes = tuple(site.x.shape[i] for i in op.perm)
    return _strided_copy(site, 0, sizes, tuple(strides[i] for i in op.perm))


def strided_slice(site: Site) -> KernelCall:
    """STRIDED_SLICE, with steps of either sign; of whole rows, row by row."""
    op = site.node.op
    assert isinstance(op, ops.StridedSlice)
    if not site.flatten and _takes_rows(op, site.x.shape):
        return _some_rows(site, op.begin[1], op.sizes[1], op.strides[1])
    dense = _dense_strides(site.x.shape)
    offset = sum(begin * stride for begin, stride in zip(op.begin, dense, strict=True))
    steps = tuple(step * stride for step, stride in zip(op.strides, dense, strict=True))
    return _strided_copy(site, offset, op.sizes, steps)


def _takes_rows(op: ops.StridedSlice, shape: Shape) -> bool:
    """Whether a slice of a single map leaves out rows and nothing else, and keeps their order."""
    return (
        len(shape) == 4
        and shape[0] == 1
        and op.strides[1] > 0
        and all(
            (op.begin[axis], op.sizes[axis]) == (0, shape[axis])
            and (op.strides[axis] == 1 or shape[axis] == 1)
            for axis in (0, 2, 3)
        )
    )


def _some_rows(site: Site, first: int, count: int, step: int) -> KernelCall:
    kernel = site.kernel("rows")
    _, height, width, channels = site.x.shape
    pixel = channels * site.x.dtype.itemsize
    row = width * pixel
    access = RowAccess(count=1, height=height, row_bytes=row, stride=step, pad_top=-first)
    loop = RowLoop(1, count, row, (access,), Span(width, width, 0))
    return KernelCall(kernel.name, OpStruct(kernel.struct, (("pixel_bytes", pixel),)), loop)


def _dense_strides(shape: Shape) -> tuple[int, ...]:
    return tuple(prod(shape[i + 1 :]) for i in range(len(shape)))


def _strided_copy(
    site: Site, offset: int, sizes: tuple[int, ...], strides: tuple[int, ...]
) -> KernelCall:
    kernel = site.kernel()
    dims: list[tuple[int, int]] = []
    for size, stride in zip(sizes, strides, strict=True):
        if size == 1:
            continue
        if dims and dims[-1][1] == size * stride:
            dims[-1] = (dims[-1][0] * size, stride)
        else:
            dims.append((size, stride))
    if dims in ([], [(site.x.size, 1)]) and site.x.size == site.y.size:
        return _ALIAS
    if len(dims) > _STRIDED_RANK:
        raise site.unsupported(
            site.x, f"{len(dims)} dimensions move apart", f"at most {_STRIDED_RANK} can"
        )
    dims = [(1, 0)] * (_STRIDED_RANK - len(dims)) + dims
    fields: Fields = (
        ("element_bytes", site.x.dtype.itemsize),
        ("offset", offset),
        ("sizes", table("int32_t", (size for size, _ in dims))),
        ("strides", table("int32_t", (stride for _, stride in dims))),
    )
    loop = WholeCall(("int8_t",), ("int8_t",))
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)
