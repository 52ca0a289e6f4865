"""Resizes: tables say which rows and columns each output row and column reads."""

import numpy as np

from tinyml.ir import ops
from tinyml.kernels.call import KernelCall, OpStruct, RowAccess, RowLoop, Span
from tinyml.kernels.registry import Kernel
from tinyml.kernels.site import Fields, Site, table
from tinyml.quant.params import check_bilinear
from tinyml.quant.sampling import Int32s, bilinear, nearest


def resize_nearest(site: Site) -> KernelCall:
    """RESIZE_NEAREST_NEIGHBOR."""
    op = site.node.op
    assert isinstance(op, ops.ResizeNearestNeighbor)
    kernel = site.kernel()
    _, in_height, in_width, channels = site.x.shape
    flags = (op.align_corners, op.half_pixel_centers)
    rows = nearest(in_height, op.size[0], *flags)
    columns = nearest(in_width, op.size[1], *flags)
    fields: Fields = (
        ("pixel_bytes", channels * site.x.dtype.itemsize),
        ("columns", table("int16_t", columns)),
    )
    return _call(site, kernel, fields, (rows,), blend=False)


def resize_bilinear(site: Site) -> KernelCall:
    """RESIZE_BILINEAR."""
    op = site.node.op
    assert isinstance(op, ops.ResizeBilinear)
    check_bilinear(site.graph, site.node)
    kernel = site.kernel()
    _, in_height, in_width, channels = site.x.shape
    upper, lower, y_weights = _samples(site, in_height, op.size[0])
    left, right, x_weights = _samples(site, in_width, op.size[1])
    fields: Fields = (
        ("channels", channels),
        ("left", table("int16_t", left)),
        ("right", table("int16_t", right)),
        ("x_weights", table("int16_t", x_weights)),
        ("y_weights", table("int16_t", y_weights)),
    )
    return _call(site, kernel, fields, (upper, lower), blend=True)


def _samples(site: Site, in_size: int, out_size: int) -> tuple[Int32s, Int32s, Int32s]:
    """Positions and weights along one dimension, with weights in 0..1024."""
    op = site.node.op
    assert isinstance(op, ops.ResizeBilinear)
    low, high, weight = bilinear(in_size, out_size, op.align_corners, op.half_pixel_centers)
    # Where both positions are one, any weight gives the same blend.
    return low, high, np.where(low == high, 0, weight).astype(np.int32)


def _call(
    site: Site, kernel: Kernel, fields: Fields, rows: tuple[Int32s, ...], *, blend: bool
) -> KernelCall:
    batches, in_height, in_width, channels = site.x.shape
    _, out_height, out_width, _ = site.y.shape
    pixel = channels * site.x.dtype.itemsize
    access = RowAccess(
        count=len(rows),
        height=in_height,
        row_bytes=in_width * pixel,
        table=tuple(zip(*(r.tolist() for r in rows), strict=True)),
        batch_bytes=in_height * in_width * pixel,
    )
    loop = RowLoop(
        batches=batches,
        out_height=out_height,
        out_row_bytes=out_width * pixel,
        inputs=(access,),
        span=Span(in_width, out_width, 0),
        pass_row_index=blend,
    )
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)
