"""Average and maximum pools."""

from tinyml.ir import ops
from tinyml.kernels.bind_reduce import row_sums
from tinyml.kernels.call import ColumnAccess, KernelCall, OpStruct, RowAccess, RowLoop, Span
from tinyml.kernels.site import Fields, Site
from tinyml.quant.params import PoolParams, pool_params


def pool(site: Site) -> KernelCall:
    """AVERAGE_POOL_2D and MAX_POOL_2D."""
    op = site.node.op
    assert isinstance(op, ops.AveragePool2D | ops.MaxPool2D)
    params = pool_params(site.graph, site.node)
    if not site.flatten and isinstance(op, ops.AveragePool2D) and _is_whole_map(site, op):
        return _average_of_map(site, params)
    kernel = site.kernel()
    batches, in_height, in_width, channels = site.x.shape
    _, out_height, out_width, _ = site.y.shape
    (height, width), (stride_y, stride_x) = op.filter, op.stride
    for extent, outputs, taps, stride, pad in (
        (in_height, out_height, height, stride_y, op.pads.top),
        (in_width, out_width, width, stride_x, op.pads.left),
    ):
        last = (outputs - 1) * stride - pad
        if pad >= taps or last >= extent:
            raise site.unsupported(
                site.y, "a window lies wholly in the padding", "pad less than the filter's size"
            )
    fields: Fields = (
        ("channels", channels),
        ("filter_height", height),
        ("filter_width", width),
        ("stride_x", stride_x),
        ("act_min", params.act_min),
        ("act_max", params.act_max),
    )
    rows = RowAccess(
        count=height,
        height=in_height,
        row_bytes=in_width * channels,
        stride=stride_y,
        pad_top=op.pads.top,
        batch_bytes=in_height * in_width * channels,
        columns=ColumnAccess(in_width, channels, width, stride_x, op.pads.left),
    )
    loop = RowLoop(
        batches=batches,
        out_height=out_height,
        out_row_bytes=out_width * channels,
        inputs=(rows,),
        span=Span(in_width, out_width, op.pads.left),
    )
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)


def _is_whole_map(site: Site, op: ops.AveragePool2D) -> bool:
    return op.filter == site.x.shape[1:3] and op.pads == ops.Pads()


def _average_of_map(site: Site, params: PoolParams) -> KernelCall:
    """The pool whose one window is the whole map: it takes rows in and stores none.

    It needs sums as scratch, which the window kernel does not: so only where rows come one by one.
    """
    _, height, width, channels = site.x.shape
    fields: Fields = (
        ("width", width),
        ("channels", channels),
        ("count", height * width),
        ("act_min", params.act_min),
        ("act_max", params.act_max),
    )
    return row_sums(site, site.kernel("map"), fields, height)
