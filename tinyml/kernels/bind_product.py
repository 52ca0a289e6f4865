"""Transposed convolutions, and products of two matrices that are computed."""

from tinyml.ir import ops
from tinyml.ir.graph import DType, Shape
from tinyml.kernels.call import KernelCall, OpStruct, RowAccess, RowLoop, Span, WholeCall
from tinyml.kernels.site import Fields, Site, raw, scale_fields, table
from tinyml.quant.pairs import batch_matmul_params
from tinyml.quant.params import transpose_conv_params

_BATCH_RANK = 3
"""TINYML_BATCH_MATMUL_RANK of the C header."""


def transpose_conv(site: Site) -> KernelCall:
    """TRANSPOSE_CONV row by row: NULL where no input row meets a row of the kernel."""
    op = site.node.op
    assert isinstance(op, ops.TransposeConv)
    kernel = site.kernel()
    p = transpose_conv_params(site.graph, site.node)
    weights = site.constant(1, DType.INT8)
    bias = site.optional(2)
    channels, kh, kw, depth = weights.shape
    batches, height, width, _ = site.x.shape
    fields: Fields = (
        ("in_channels", depth),
        ("out_channels", channels),
        ("kernel_height", kh),
        ("kernel_width", kw),
        ("stride_x", op.stride[1]),
        ("input_zero_point", p.input_zero_point),
        ("output_zero_point", p.output_zero_point),
        ("act_min", p.act_min),
        ("act_max", p.act_max),
        ("weights", raw(site.operand(1))),
        ("biases", None if bias is None else table("int32_t", site.constant(2, DType.INT32))),
        ("multipliers", table("int32_t", p.multipliers)),
        ("shifts", table("int32_t", p.shifts)),
    )
    row = width * depth
    # Row i of the kernel lies on input row (y + top - i) / stride, if there is one.
    met = tuple(
        tuple(
            at // op.stride[0] if at % op.stride[0] == 0 and 0 <= at < height * op.stride[0] else -1
            for at in (y + op.pads.top - i for i in range(kh))
        )
        for y in range(op.size[0])
    )
    access = RowAccess(count=kh, height=height, row_bytes=row, table=met, batch_bytes=height * row)
    loop = RowLoop(
        batches=batches,
        out_height=op.size[0],
        out_row_bytes=op.size[1] * channels,
        inputs=(access,),
        span=Span(width, op.size[1], op.pads.left),
    )
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)


def batch_matmul(site: Site) -> KernelCall:
    """BATCH_MATMUL; operands that are transposed are read so, not copied."""
    op = site.node.op
    assert isinstance(op, ops.BatchMatMul)
    kernel = site.kernel()
    a, b = site.x, site.operand(1)
    p = batch_matmul_params(site.graph, site.node)
    outer = site.y.shape[:-2]
    if len(outer) > _BATCH_RANK:
        raise site.unsupported(
            site.y, f"{len(outer)} dimensions of matrices", f"use at most {_BATCH_RANK}"
        )
    sizes = (1,) * (_BATCH_RANK - len(outer)) + outer
    (rows, columns), depth = site.y.shape[-2:], a.shape[-2 if op.adj_x else -1]
    fields: Fields = (
        ("sizes", table("int32_t", sizes)),
        ("a_strides", table("int32_t", _outer_strides(a.shape))),
        ("b_strides", table("int32_t", _outer_strides(b.shape))),
        ("rows", rows),
        ("columns", columns),
        ("depth", depth),
        ("a_row_stride", 1 if op.adj_x else depth),
        ("a_depth_stride", rows if op.adj_x else 1),
        ("b_column_stride", depth if op.adj_y else 1),
        ("b_depth_stride", 1 if op.adj_y else columns),
        ("a_zero_point", p.input1_zero_point),
        ("b_zero_point", p.input2_zero_point),
        ("output_zero_point", p.output_zero_point),
        *scale_fields("output", p.output),
    )
    activations = ("int8_t",) * (1 if b.is_const else 2)
    constants = (raw(b),) if b.is_const else ()
    loop = WholeCall(activations, ("int8_t",), constants)
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)


def _outer_strides(shape: Shape) -> tuple[int, ...]:
    """Elements from one matrix to the next along each outer dimension; 0 where it repeats."""
    strides: tuple[int, ...] = ()
    step = shape[-2] * shape[-1]
    for size in reversed(shape[:-2]):
        strides = (step if size > 1 else 0, *strides)
        step *= size
    return (0,) * (_BATCH_RANK - len(strides)) + strides
