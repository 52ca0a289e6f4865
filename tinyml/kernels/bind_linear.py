"""Convolution, depthwise convolution and fully connected layers.

The input's zero point is folded into the biases, so that the inner loops multiply
plain bytes: sum((x - z) * w) = sum(x * w) - z * sum(w).
"""

import numpy as np
import numpy.typing as npt

from tinyml.ir import ops
from tinyml.ir.graph import DType
from tinyml.kernels.call import KernelCall, OpStruct, RowAccess, RowLoop, Span, WholeCall
from tinyml.kernels.site import Fields, Site, table
from tinyml.quant.params import LinearParams, conv_params, fully_connected_params


def conv(site: Site) -> KernelCall:
    """CONV_2D."""
    op = site.node.op
    assert isinstance(op, ops.Conv2D)
    kernel = site.kernel()
    weights = site.constant(1, DType.INT8)
    params = conv_params(site.graph, site.node)
    out_channels, height, width, in_channels = weights.shape
    fields: Fields = (
        ("in_channels", in_channels),
        ("out_channels", out_channels),
        *_window_fields(op, height, width),
        ("input_zero_point", params.input_zero_point),
        *_output_fields(params),
        *_tables(site, params, weights, weights.reshape(out_channels, -1)),
    )
    return KernelCall(
        kernel.name, OpStruct(kernel.struct, fields), _row_loop(site, op, height, width)
    )


def depthwise_conv(site: Site) -> KernelCall:
    """DEPTHWISE_CONV_2D."""
    op = site.node.op
    assert isinstance(op, ops.DepthwiseConv2D)
    kernel = site.kernel()
    weights = site.constant(1, DType.INT8)
    params = conv_params(site.graph, site.node)
    _, height, width, out_channels = weights.shape
    fields: Fields = (
        ("out_channels", out_channels),
        ("depth_multiplier", op.multiplier),
        *_window_fields(op, height, width),
        ("input_zero_point", params.input_zero_point),
        *_output_fields(params),
        *_tables(site, params, weights, weights.reshape(-1, out_channels).T),
    )
    return KernelCall(
        kernel.name, OpStruct(kernel.struct, fields), _row_loop(site, op, height, width)
    )


def fully_connected(site: Site) -> KernelCall:
    """FULLY_CONNECTED."""
    kernel = site.kernel()
    weights = site.constant(1, DType.INT8)
    params = fully_connected_params(site.graph, site.node)
    out_features, in_features = weights.shape
    fields: Fields = (
        ("batches", site.x.size // in_features),
        ("in_features", in_features),
        ("out_features", out_features),
        ("weights_zero_point", params.weights_zero_point),
        *_output_fields(params),
        *_tables(site, params, weights, weights),
    )
    loop = WholeCall(("int8_t",), ("int8_t",))
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)


def _window_fields(op: ops.Conv2D | ops.DepthwiseConv2D, height: int, width: int) -> Fields:
    return (
        ("kernel_height", height),
        ("kernel_width", width),
        ("stride_x", op.stride[1]),
        ("dilation_x", op.dilation[1]),
    )


def _per_channel(params: LinearParams) -> bool:
    """Whether channels differ in their rescale; when not, one entry serves all."""
    return len({*zip(params.multipliers.tolist(), params.shifts.tolist(), strict=True)}) > 1


def _output_fields(params: LinearParams) -> Fields:
    return (
        ("output_zero_point", params.output_zero_point),
        ("act_min", params.act_min),
        ("act_max", params.act_max),
        ("per_channel", int(_per_channel(params))),
    )


def _tables(
    site: Site,
    params: LinearParams,
    weights: npt.NDArray[np.generic],
    filters: npt.NDArray[np.generic],
) -> Fields:
    """Weights as they are, biases and rescales; `filters` has a row of weights per channel."""
    bias = np.zeros(len(filters), np.int64)
    if site.optional(2) is not None:
        bias = site.constant(2, DType.INT32).astype(np.int64)
    sums = (filters.astype(np.int64) - params.weights_zero_point).sum(axis=1)
    # Modulo 2**32, like the accumulator.
    folded = (bias - params.input_zero_point * sums).astype(np.int32)
    used = len(filters) if _per_channel(params) else 1
    return (
        ("weights", table("int8_t", weights)),
        ("biases", table("int32_t", folded)),
        ("multipliers", table("int32_t", params.multipliers[:used])),
        ("shifts", table("int8_t", params.shifts[:used])),
    )


def _row_loop(
    site: Site, op: ops.Conv2D | ops.DepthwiseConv2D, kernel_height: int, kernel_width: int
) -> RowLoop:
    batches, in_height, in_width, in_channels = site.x.shape
    _, out_height, out_width, out_channels = site.y.shape
    pointwise = (kernel_height, kernel_width, op.stride, op.pads) == (1, 1, (1, 1), ops.Pads())
    if site.flatten and pointwise:
        pixels = batches * in_height * in_width
        return RowLoop(
            batches=1,
            out_height=1,
            out_row_bytes=pixels * out_channels,
            inputs=(RowAccess(count=1, height=1, row_bytes=pixels * in_channels),),
            span=Span(pixels, pixels, 0),
        )
    rows = RowAccess(
        count=kernel_height,
        height=in_height,
        row_bytes=in_width * in_channels,
        stride=op.stride[0],
        pad_top=op.pads.top,
        dilation=op.dilation[0],
        batch_bytes=in_height * in_width * in_channels,
    )
    return RowLoop(
        batches=batches,
        out_height=out_height,
        out_row_bytes=out_width * out_channels,
        inputs=(rows,),
        span=Span(in_width, out_width, op.pads.left),
    )
