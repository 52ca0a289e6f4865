"""Convolution, depthwise convolution and fully connected layers.

But for the general depthwise convolution the input's zero point is folded into the biases,
so that the inner loops multiply plain bytes: sum((x - z) * w) = sum(x * w) - z * sum(w).
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tinyml.ir import ops
from tinyml.ir.graph import DType
from tinyml.kernels import dsp, dsp_depthwise, quick
from tinyml.kernels.call import (
    ColumnAccess,
    KernelCall,
    OpStruct,
    RowAccess,
    RowLoop,
    Span,
    WholeCall,
)
from tinyml.kernels.site import Fields, Site, table
from tinyml.quant.params import LinearParams, conv_params, fully_connected_params

_EXACT, _LINE, _BENT = range(3)
"""TINYML_RESCALE_EXACT and so on"""

_ELEMENTS = 131072
"""TINYML_FILTERS_ELEMENTS"""


def conv(site: Site) -> KernelCall:
    """CONV_2D."""
    op = site.node.op
    assert isinstance(op, ops.Conv2D)
    weights = site.constant(1, DType.INT8)
    out_channels, height, width, in_channels = weights.shape
    pointwise = (height, width, op.pads) == (1, 1, ops.Pads())
    params = conv_params(site.graph, site.node)
    columns = (width, op.stride[1], op.dilation[1], in_channels % 4) == (3, 1, 1, 0)
    quick = columns and not dsp.exact(params)
    kernel = site.kernel(*(("1x1",) if pointwise else ("w3",) if quick else ()))
    packed = kernel.isa == "dsp"
    rows = weights.reshape(out_channels, -1)
    if packed:
        rows = (dsp.in_columns if kernel.requires == "w3" else dsp.in_steps)(weights)
    filters = (_dsp_filter_fields if packed else _filter_fields_in_fours)(site, params, rows)
    loop = _row_loop(site, op, height, width)
    if kernel.requires == "1x1":
        pixel: Fields = (("in_channels", in_channels), ("stride_x", op.stride[1]), *filters)
        call = KernelCall(kernel.name, OpStruct(kernel.struct, pixel), loop)
        if packed:
            size, macro = 16 * dsp.steps(in_channels), f"{kernel.scratch}({in_channels})"
            call = replace(call, scratch_bytes=size, scratch_macro=macro)
        return call
    window: Fields = (
        ("in_channels", in_channels),
        *_window_fields(op, height, width),
        ("input_zero_point", params.input_zero_point),
    )
    fields = (*((f"window.{name}", value) for name, value in window), *filters)
    scratch = 2 * height * width * in_channels
    if packed:
        scratch = dsp.conv_scratch(height, width, in_channels, shared=kernel.requires == "w3")
    return KernelCall(
        kernel.name,
        OpStruct(kernel.struct, fields),
        loop,
        scratch_bytes=scratch,
        scratch_macro=f"{kernel.scratch}({height}, {width}, {in_channels})",
    )


def depthwise_conv(site: Site) -> KernelCall:
    """DEPTHWISE_CONV_2D."""
    op = site.node.op
    assert isinstance(op, ops.DepthwiseConv2D)
    weights = site.constant(1, DType.INT8)
    _, height, width, channels = weights.shape
    square = height == width and (op.multiplier, op.dilation[1]) == (1, 1) and op.stride[1] <= 2
    size = f"{height}x{width}"
    features: tuple[str, ...] = (size,) if square else ()
    if square and channels >= dsp_depthwise.QUAD:
        features = (size, f"{size}x{dsp_depthwise.QUAD}")
    kernel = site.kernel(*features)
    params = conv_params(site.graph, site.node)
    loop = _row_loop(site, op, height, width)
    if kernel.requires:
        by_channel = weights.transpose(3, 0, 1, 2).reshape(channels, -1)
        fields_of = _dsp_quad_fields if kernel.isa == "dsp" else _filter_fields
        small: Fields = (
            ("stride_x", op.stride[1]),
            ("input_zero_point", params.input_zero_point),
            *fields_of(site, params, by_channel),
        )
        return KernelCall(kernel.name, OpStruct(kernel.struct, small), loop)
    fields: Fields = (
        ("depth_multiplier", op.multiplier),
        *_window_fields(op, height, width),
        ("input_zero_point", params.input_zero_point),
        *_filter_fields(site, params, weights, folded=False),
    )
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)


def fully_connected(site: Site) -> KernelCall:
    """FULLY_CONNECTED."""
    kernel = site.kernel()
    weights = site.constant(1, DType.INT8)
    params = fully_connected_params(site.graph, site.node)
    in_features = weights.shape[1]
    layer: Fields = (
        ("batches", site.x.size // in_features),
        ("in_features", in_features),
        ("weights_zero_point", params.weights_zero_point),
    )
    if kernel.isa == "dsp":
        scales = dsp.scales_of_fours(params)
        fields: Fields = (
            *layer,
            *_dsp_output_fields("out", params),
            ("fours", table("int32_t", dsp.fours(params, _biases(site, params, weights), weights))),
            ("scales", table("int32_t", scales)),
            ("scale_step", scales.shape[1] if len(scales) > 1 else 0),
        )
    else:
        fields = (*layer, *_filter_fields_in_fours(site, params, weights))
    loop = WholeCall(("int8_t",), ("int8_t",))
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)


def _window_fields(op: ops.Conv2D | ops.DepthwiseConv2D, height: int, width: int) -> Fields:
    return (
        ("kernel_height", height),
        ("kernel_width", width),
        ("stride_x", op.stride[1]),
        ("dilation_x", op.dilation[1]),
    )


def _filter_fields(
    site: Site, params: LinearParams, weights: npt.NDArray[np.generic], *, folded: bool = True
) -> Fields:
    """The `tinyml_filters` member: weights in the order given, biases and rescales.

    Where the biases take in the input's zero point (`folded`), the weights have a row
    per channel. Channels that all rescale alike share one entry.
    """
    channels = len(params.multipliers)
    bias = _biases(site, params, weights if folded else None)
    rescale, left = _EXACT, 0
    multipliers, shifts = params.multipliers, params.shifts
    found = quick.quick(params, _largest(params, bias, weights, folded=folded))
    if found is not None:
        rescale, left = _BENT if found.bent else _LINE, found.left
        bias = ((bias.astype(np.int64) << left) + found.offsets).astype(np.int32)
        multipliers, shifts = found.multipliers, found.rights - np.int32(found.bent)
    rescales = {*zip(multipliers.tolist(), shifts.tolist(), strict=True)}
    used = channels if len(rescales) > 1 else 1
    return (
        ("filters.out_channels", channels),
        ("filters.output_zero_point", params.output_zero_point),
        ("filters.act_min", params.act_min),
        ("filters.act_max", params.act_max),
        ("filters.per_channel", int(len(rescales) > 1)),
        ("filters.rescale", rescale),
        ("filters.left", left),
        ("filters.weights", table("int8_t", weights)),
        ("filters.biases", table("int32_t", bias)),
        ("filters.multipliers", table("int32_t", multipliers[:used])),
        ("filters.shifts", table("int8_t", shifts[:used])),
    )


def _filter_fields_in_fours(
    site: Site, params: LinearParams, weights: npt.NDArray[np.generic]
) -> Fields:
    """The same, weights packed in fours of filters; `weights` has a row per channel."""
    channels, n = weights.shape
    if n >= _ELEMENTS:
        raise site.unsupported(site.y, f"a sum of {n} products could overflow", "split the layer")
    whole = channels // 4 * 4
    fours = weights[:whole].reshape(-1, 4, n).transpose(0, 2, 1)
    packed = np.concatenate((fours.reshape(-1), weights[whole:].T.reshape(-1)))
    fields = dict(_filter_fields(site, params, weights))
    fields["filters.weights"] = table("int8_t", packed)
    return tuple(fields.items())


def _largest(
    params: LinearParams,
    bias: npt.NDArray[np.int32],
    weights: npt.NDArray[np.generic],
    *,
    folded: bool,
) -> npt.NDArray[np.int64]:
    """Per channel the largest absolute value that a sum can have, whatever the input."""
    magnitudes = np.abs(weights.astype(np.int64) - params.weights_zero_point)
    if folded:
        products = 128 * magnitudes.sum(axis=1)
    else:
        zero = params.input_zero_point
        span = max(127 - zero, 128 + zero)
        products = span * magnitudes.reshape(-1, len(bias)).sum(axis=0)
    return np.asarray(products + np.abs(bias.astype(np.int64)), np.int64)


def _biases(
    site: Site, params: LinearParams, weights: npt.NDArray[np.generic] | None
) -> npt.NDArray[np.int32]:
    """The biases; with `weights`, a row per channel, the input's zero point is taken in."""
    bias = np.zeros(len(params.multipliers), np.int64)
    if site.optional(2) is not None:
        bias = site.constant(2, DType.INT32).astype(np.int64)
    if weights is not None:
        sums = (weights.astype(np.int64) - params.weights_zero_point).sum(axis=1)
        bias = bias - params.input_zero_point * sums
    return bias.astype(np.int32)  # modulo 2**32, like the accumulator


def _dsp_filter_fields(
    site: Site, params: LinearParams, weights: npt.NDArray[np.generic]
) -> Fields:
    """The `tinyml_dsp_filters` member; `weights` has a row per channel."""
    pairs = dsp.pairs(params, _biases(site, params, weights), weights)
    return (
        *_dsp_output_fields("filters.out", params),
        ("filters.pairs", table("int32_t", pairs)),
    )


def _dsp_output_fields(name: str, params: LinearParams) -> Fields:
    """A `tinyml_dsp_outputs` member."""
    return (
        (f"{name}.channels", len(params.multipliers)),
        (f"{name}.zero_point", params.output_zero_point),
        (f"{name}.act_min", params.act_min),
        (f"{name}.act_max", params.act_max),
        (f"{name}.exact", int(dsp.exact(params))),
    )


def _dsp_quad_fields(site: Site, params: LinearParams, weights: npt.NDArray[np.generic]) -> Fields:
    """The filters of a depthwise kernel for the DSP extension; `weights` has a row per channel."""
    bias = _biases(site, params, weights)
    return (
        ("channels", len(bias)),
        ("output_zero_point", params.output_zero_point),
        ("act_min", params.act_min),
        ("act_max", params.act_max),
        ("quads", table("int32_t", dsp_depthwise.quads(params, bias, weights))),
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
        columns=ColumnAccess(
            width=in_width,
            pixel_bytes=in_channels,
            count=kernel_width,
            stride=op.stride[1],
            pad_left=op.pads.left,
            dilation=op.dilation[1],
        ),
    )
    return RowLoop(
        batches=batches,
        out_height=out_height,
        out_row_bytes=out_width * out_channels,
        inputs=(rows,),
        span=Span(in_width, out_width, op.pads.left),
    )
