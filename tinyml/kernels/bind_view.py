"""Operators whose result is a strided view of their operand, copied: transposes, slices, blocks."""

from math import prod

from tinyml.ir import ops
from tinyml.ir.graph import Shape
from tinyml.kernels.call import (
    Alias,
    KernelCall,
    OpStruct,
    RowAccess,
    RowLoop,
    Span,
    WholeCall,
)
from tinyml.kernels.site import Fields, Site, table

_ALIAS = KernelCall("", None, Alias())
_STRIDED_RANK = 6
"""TINYML_STRIDED_RANK of the C header."""


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


def broadcast_to(site: Site) -> KernelCall:
    """BROADCAST_TO: a view that stands still along repeated dimensions."""
    x, y = site.x.shape, site.y.shape
    shape = (1,) * (len(y) - len(x)) + x
    strides = (
        stride if size > 1 else 0 for size, stride in zip(shape, _dense_strides(shape), strict=True)
    )
    return _strided_copy(site, 0, y, tuple(strides))


def space_to_depth(site: Site) -> KernelCall:
    """SPACE_TO_DEPTH: the rows within a block change places with the columns of blocks."""
    op = site.node.op
    assert isinstance(op, ops.SpaceToDepth)
    n, height, width, _ = site.y.shape
    return _swapped_middle(site, (n, height, op.block, width, op.block, site.x.shape[3]))


def depth_to_space(site: Site) -> KernelCall:
    """DEPTH_TO_SPACE: the columns of blocks change places with the rows within a block."""
    op = site.node.op
    assert isinstance(op, ops.DepthToSpace)
    n, height, width, _ = site.x.shape
    return _swapped_middle(site, (n, height, width, op.block, op.block, site.y.shape[3]))


def _swapped_middle(site: Site, shape: Shape) -> KernelCall:
    """The input viewed as `shape`, dimensions 2 and 3 swapped."""
    strides = _dense_strides(shape)
    order = (0, 1, 3, 2, 4, 5)
    return _strided_copy(site, 0, tuple(shape[i] for i in order), tuple(strides[i] for i in order))


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
