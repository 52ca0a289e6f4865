"""Reductions: means, the index of a maximum, softmax."""

from math import prod

from tinyml.ir import ops
from tinyml.kernels.call import (
    Accumulation,
    KernelCall,
    OpStruct,
    RowAccess,
    RowLoop,
    Span,
    WholeCall,
)
from tinyml.kernels.registry import Kernel
from tinyml.kernels.site import Fields, Site, scale_fields, table
from tinyml.quant.params import MeanParams, mean_params, softmax_params

_MEAN_RANK = 3
"""TINYML_MEAN_RANK of the C header."""

_SOFTMAX_DEPTH = 4096
"""A sum of this many exponentials of 1 no longer fits gemmlowp's 12 integer bits."""


def mean(site: Site) -> KernelCall:
    """MEAN: of maps row by row where it is over height, width or both, else by strides."""
    op = site.node.op
    assert isinstance(op, ops.Mean)
    params = mean_params(site.graph, site.node)
    rank = len(site.x.shape)
    if rank == 4 and op.axes == (1, 2):
        return _mean_hw(site, params)
    if rank == 4 and op.axes == (2,):
        return _mean_w(site, params)
    if not site.flatten and rank > 2 and op.axes == (1,):
        return _mean_h(site, params)
    kernel = site.kernel()
    fields: Fields = (*_views(site, op.axes), *_mean_fields(params))
    loop = WholeCall(("int8_t",), ("int8_t",))
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)


def _views(site: Site, axes: tuple[int, ...]) -> Fields:
    """The tables of kept and of reduced dimensions."""
    kept, reduced = _mean_dims(site.x.shape, axes)
    if max(len(kept), len(reduced)) > _MEAN_RANK:
        raise site.unsupported(
            site.x, f"{len(kept)} groups of dimensions stay", f"at most {_MEAN_RANK} can"
        )
    return (*_dim_tables("kept", kept), *_dim_tables("reduced", reduced))


def _mean_hw(site: Site, params: MeanParams) -> KernelCall:
    kernel = site.kernel("hw")
    width = prod(site.x.shape[1:3]) if site.flatten else site.x.shape[2]
    fields: Fields = (("width", width), ("channels", site.x.shape[3]), *_mean_fields(params))
    return row_sums(site, kernel, fields, 1 if site.flatten else site.x.shape[1])


def _mean_h(site: Site, params: MeanParams) -> KernelCall:
    """The mean of rows: one row, whose every element is for itself.

    It needs sums as scratch, which the kernel for any dimensions does not: so only where rows
    come one by one.
    """
    fields: Fields = (("width", 1), ("channels", prod(site.x.shape[2:])), *_mean_fields(params))
    return row_sums(site, site.kernel("hw"), fields, site.x.shape[1])


def _mean_w(site: Site, params: MeanParams) -> KernelCall:
    kernel = site.kernel("w")
    batches, height, width, channels = site.x.shape
    row = width * channels
    loop = RowLoop(
        batches=batches,
        out_height=height,
        out_row_bytes=channels,
        inputs=(RowAccess(count=1, height=height, row_bytes=row, batch_bytes=height * row),),
        span=Span(width, 1, 0),
    )
    fields: Fields = (("channels", channels), *_mean_fields(params))
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)


def row_sums(site: Site, kernel: Kernel, fields: Fields, height: int) -> KernelCall:
    """A kernel that takes in a map as `height` rows, and keeps a sum per element of its result."""
    batches = site.x.shape[0]
    channels = site.y.nbytes // batches
    loop = Accumulation(
        batches=batches,
        in_height=height,
        in_row_bytes=site.x.nbytes // (batches * height),
        out_bytes=channels,
    )
    return KernelCall(
        kernel.name,
        OpStruct(kernel.struct, fields),
        loop,
        scratch_bytes=4 * channels,
        scratch_macro=f"{kernel.scratch}({channels})",
    )


def _mean_fields(params: MeanParams) -> Fields:
    return (
        ("zero_points", params.input_zero_point * params.count),
        ("output_zero_point", params.output_zero_point),
        *scale_fields("output", params.output),
    )


_Dims = list[tuple[int, int]]
"""(size, input stride) from the outermost dimension inwards."""


def _mean_dims(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[_Dims, _Dims]:
    """Kept and reduced dimensions; neighbours of one kind are merged."""
    kept: _Dims = []
    reduced: _Dims = []
    last: _Dims | None = None
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        dims = reduced if axis in axes else kept
        stride = prod(shape[axis + 1 :])
        if dims is last:
            dims[-1] = (dims[-1][0] * size, stride)
        else:
            dims.append((size, stride))
        last = dims
    return kept, reduced


def _dim_tables(name: str, dims: _Dims) -> Fields:
    filled = [(1, 0)] * (_MEAN_RANK - len(dims)) + dims
    return (
        (f"{name}_sizes", table("int32_t", (size for size, _ in filled))),
        (f"{name}_strides", table("int32_t", (stride for _, stride in filled))),
    )


def extremum(site: Site) -> KernelCall:
    """REDUCE_MAX and REDUCE_MIN."""
    op = site.node.op
    assert isinstance(op, ops.ReduceMax | ops.ReduceMin)
    kernel = site.kernel()
    loop = WholeCall(("int8_t",), ("int8_t",))
    return KernelCall(kernel.name, OpStruct(kernel.struct, _views(site, op.axes)), loop)


def arg(site: Site) -> KernelCall:
    """ARG_MAX and ARG_MIN."""
    op = site.node.op
    assert isinstance(op, ops.ArgMax | ops.ArgMin)
    kernel = site.kernel()
    shape = site.x.shape
    fields: Fields = (
        ("outer", prod(shape[: op.axis])),
        ("depth", shape[op.axis]),
        ("inner", prod(shape[op.axis + 1 :])),
    )
    loop = WholeCall(("int8_t",), ("int32_t",))
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)


def softmax(site: Site) -> KernelCall:
    """SOFTMAX over the last dimension."""
    kernel = site.kernel()
    params = softmax_params(site.graph, site.node)
    depth = site.x.shape[-1]
    if depth >= _SOFTMAX_DEPTH:
        raise site.unsupported(
            site.x, f"{depth} elements overflow the sum", f"use fewer than {_SOFTMAX_DEPTH}"
        )
    fields: Fields = (
        ("rows", site.x.size // depth),
        ("depth", depth),
        *scale_fields("input", params.input),
        ("diff_min", params.diff_min),
    )
    loop = WholeCall(("int8_t",), ("int8_t",))
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop, in_place=(0,))
