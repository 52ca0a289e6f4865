"""Convolution, depthwise convolution and fully connected layers.

But for the general depthwise convolution the input's zero point is folded into the biases,
so that the inner loops multiply plain bytes: sum((x - z) * w) = sum(x * w) - z * sum(w).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from tinyml.ir import ops
from tinyml.ir.graph import DType
from tinyml.kernels import bind_neon, dsp, dsp_depthwise, mve, neon, portable
from tinyml.kernels.call import (
    ColumnAccess,
    KernelCall,
    OpStruct,
    RowAccess,
    RowLoop,
    Span,
)
from tinyml.kernels.registry import Kernel
from tinyml.kernels.site import Fields, Site, table, window_fields
from tinyml.quant.params import LinearParams, conv_params, fully_connected_params


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
    shape = ("1x1",) if pointwise else ("w3",) if quick else ()
    kernel = site.kernel(*_features(weights, *shape))
    loop = _row_loop(site, op, height, width)
    if kernel.isa in neon.ISAS:
        rows = weights.reshape(out_channels, -1)
        return bind_neon.conv(site, kernel, params, _biases(site, params, rows), loop)
    return _conv_call(site, op, kernel, params, weights, loop)


def _conv_call(
    site: Site,
    op: ops.Conv2D,
    kernel: Kernel,
    params: LinearParams,
    weights: npt.NDArray[np.generic],
    loop: RowLoop,
) -> KernelCall:
    """The call of a convolution kernel for what `op` does with `weights`, OHWI."""
    out_channels, height, width, in_channels = weights.shape
    rows = weights.reshape(out_channels, -1)
    packed = kernel.isa == "dsp"
    if packed:
        rows = (dsp.in_columns if kernel.requires == "w3" else dsp.in_steps)(weights)
    if kernel.isa == portable.MUL32:
        rows = portable.in_pairs(weights)
    filters = _FILTERS[kernel.isa](site, params, rows)
    if kernel.requires == "1x1":
        pixel: Fields = (("in_channels", in_channels), ("stride_x", op.stride[1]), *filters)
        call = KernelCall(kernel.name, OpStruct(kernel.struct, pixel), loop)
        if kernel.scratch:
            size = _conv_scratch(kernel, 1, 1, in_channels)
            macro = f"{kernel.scratch}({in_channels})"
            call = replace(call, scratch_bytes=size, scratch_macro=macro)
        return call
    window: Fields = (
        ("in_channels", in_channels),
        *window_fields(op, height, width),
        ("input_zero_point", params.input_zero_point),
    )
    fields = (*((f"window.{name}", value) for name, value in window), *filters)
    return KernelCall(
        kernel.name,
        OpStruct(kernel.struct, fields),
        loop,
        scratch_bytes=_conv_scratch(kernel, height, width, in_channels),
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
    window = mve.Window(height, width, op.stride[1], op.dilation[1], site.y.shape[2])
    singly = op.multiplier == 1
    kernel = site.kernel(
        *_features(
            weights,
            *((size,) if square else ()),
            *(
                f"{size}x{least}"
                for least in (dsp_depthwise.QUAD, 8)
                if square and channels >= least
            ),
            *((f"{size} one to one",) if square and window.serves(channels) else ()),
            *(("one to one",) if singly and window.serves(channels) else ()),
            *((f"one to one x{neon.LANES}",) if singly and channels >= neon.LANES else ()),
        )
    )
    params = conv_params(site.graph, site.node)
    loop = _row_loop(site, op, height, width)
    if kernel.isa == "mve":
        return _depthwise_mve(site, kernel, window, params, loop)
    if kernel.isa in neon.ISAS:
        biases = _biases(site, params, weights.reshape(-1, channels).T)
        return bind_neon.depthwise_conv(site, kernel, params, biases, loop)
    if kernel.requires:
        by_channel = weights.transpose(3, 0, 1, 2).reshape(channels, -1)
        biases = _biases(site, params, by_channel)
        fields_of = _dsp_quad_fields if kernel.isa == "dsp" else portable.filter_fields
        small: Fields = (
            ("stride_x", op.stride[1]),
            ("input_zero_point", params.input_zero_point),
            *fields_of(params, biases, by_channel),
        )
        return KernelCall(kernel.name, OpStruct(kernel.struct, small), loop)
    fields: Fields = (
        ("depth_multiplier", op.multiplier),
        *window_fields(op, height, width),
        ("input_zero_point", params.input_zero_point),
        *portable.filter_fields(
            params,
            _biases(site, params, None),
            weights.reshape(-1, channels).T,
            packed=weights,
            largest_input=max(127 - params.input_zero_point, 128 + params.input_zero_point),
        ),
    )
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)


def _depthwise_mve(
    site: Site, kernel: Kernel, window: mve.Window, params: LinearParams, loop: RowLoop
) -> KernelCall:
    op = site.node.op
    assert isinstance(op, ops.DepthwiseConv2D)
    weights = site.constant(1, DType.INT8)[0]
    biases = _biases(site, params, weights.reshape(-1, weights.shape[2]).T)
    if kernel.requires != "one to one":
        small = mve.Window3x3(window.stride, window.out_width)
        fields: Fields = (
            ("stride_x", small.stride),
            ("input_zero_point", params.input_zero_point),
            ("pixels", small.pixels),
            *_mve_fields(params, small.blocks(params, biases, weights)),
        )
        sizes: tuple[int, ...] = (small.stride, small.pixels)
        scratch = small.scratch_bytes
    else:
        fields = (
            *window_fields(op, window.height, window.width),
            ("input_zero_point", params.input_zero_point),
            ("pixels", window.pixels),
            ("offsets", table("int32_t", window.offsets())),
            *_mve_fields(params, window.blocks(params, biases, weights)),
        )
        sizes = (window.height, window.width, window.stride, window.dilation, window.pixels)
        scratch = window.scratch_bytes
    return KernelCall(
        kernel.name,
        OpStruct(kernel.struct, fields),
        loop,
        scratch_bytes=scratch,
        scratch_macro=f"{kernel.scratch}({', '.join(map(str, sizes))})",
    )


def fully_connected(site: Site) -> KernelCall:
    """FULLY_CONNECTED: each of its vectors is a row.

    To any other way than the first, one of a single pixel, which a convolution's kernel computes
    as well, if no weight has a zero point.
    """
    weights = site.constant(1, DType.INT8)
    params = fully_connected_params(site.graph, site.node)
    symmetric = () if params.weights_zero_point else ("symmetric",)
    kernel = replace(site, way=0).kernel(*_features(weights, *symmetric))
    in_features = weights.shape[1]
    batches = site.x.size // in_features
    loop = RowLoop(
        batches=1,
        out_height=batches,
        out_row_bytes=len(weights),
        inputs=(RowAccess(count=1, height=batches, row_bytes=in_features),),
        span=Span(1, 1, 0),
    )
    if kernel.isa in neon.ISAS:
        biases = _biases(site, params, weights)
        return bind_neon.fully_connected(site, kernel, params, biases, loop)
    if site.way and symmetric:
        convs = site.kernels("CONV_2D", "1x1")
        pixels = weights.reshape(len(weights), 1, 1, in_features)
        conv_kernel = convs[min(site.way, len(convs)) - 1]
        return _conv_call(site, ops.Conv2D(), conv_kernel, params, pixels, loop)
    layer: Fields = (
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
        filter_fields = _mve_filter_fields if kernel.isa == "mve" else _filter_fields
        fields = (*layer, *filter_fields(site, params, weights))
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)


def _conv_scratch(kernel: Kernel, height: int, width: int, in_channels: int) -> int:
    """Bytes of scratch of a convolution with windows of this size, as its macro says."""
    taps = height * width * in_channels
    if kernel.isa == portable.MUL32:
        return portable.mul32_scratch(
            height, width, in_channels, pointwise=kernel.requires == "1x1"
        )
    if kernel.isa == "dsp" and kernel.requires == "1x1":
        return 16 * dsp.steps(in_channels)
    if kernel.isa == "dsp":
        return dsp.conv_scratch(height, width, in_channels, shared=kernel.requires == "w3")
    return 32 * mve.steps(taps) if kernel.isa == "mve" else 2 * taps


def _biases(
    site: Site, params: LinearParams, weights: npt.NDArray[np.generic] | None
) -> npt.NDArray[np.int32]:
    """The biases; with `weights`, a row per channel, they take in the input's zero point."""
    bias = np.zeros(len(params.multipliers), np.int64)
    if site.optional(2) is not None:
        bias = site.constant(2, DType.INT32).astype(np.int64)
    if weights is not None:
        sums = (weights.astype(np.int64) - params.weights_zero_point).sum(axis=1)
        bias = bias - params.input_zero_point * sums
    return bias.astype(np.int32)  # modulo 2**32, like the accumulator


def _filter_fields(
    site: Site, params: LinearParams, weights: npt.NDArray[np.generic], *, stored_plus: int = 0
) -> Fields:
    """The `tinyml_filters` member, weights in fours; `weights` has a row per channel."""
    n = weights.shape[1]
    if n >= portable.ELEMENTS:
        raise site.unsupported(site.y, f"a sum of {n} products could overflow", "split the layer")
    fours = portable.in_fours((weights.astype(np.int16) + stored_plus).astype(np.int8))
    return portable.filter_fields(params, _biases(site, params, weights), weights, packed=fours)


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


def _dsp_quad_fields(
    params: LinearParams, biases: npt.NDArray[np.int32], weights: npt.NDArray[np.generic]
) -> Fields:
    """The filters of a depthwise kernel for the DSP extension; `weights` has a row per channel."""
    return (
        ("channels", len(biases)),
        ("output_zero_point", params.output_zero_point),
        ("act_min", params.act_min),
        ("act_max", params.act_max),
        ("quads", table("int32_t", dsp_depthwise.quads(params, biases, weights))),
    )


def _mve_filter_fields(
    site: Site, params: LinearParams, weights: npt.NDArray[np.generic]
) -> Fields:
    """The `tinyml_mve_filters` member; `weights` has a row per channel."""
    return _mve_fields(params, mve.blocks(params, _biases(site, params, weights), weights))


def _mve_fields(params: LinearParams, blocks: npt.NDArray[np.int32]) -> Fields:
    return (
        ("filters.out_channels", len(params.multipliers)),
        ("filters.output_zero_point", params.output_zero_point),
        ("filters.act_min", params.act_min),
        ("filters.act_max", params.act_max),
        ("filters.exact", int(mve.needs_exact(params))),
        ("filters.blocks", table("int32_t", blocks)),
    )


_FILTERS: Mapping[str, Callable[[Site, LinearParams, npt.NDArray[np.generic]], Fields]] = {
    "portable": _filter_fields,
    portable.MUL32: partial(_filter_fields, stored_plus=128),
    "dsp": _dsp_filter_fields,
    "mve": _mve_filter_fields,
}
"""How instruction sets want the filters of convolutions."""


def _features(weights: npt.NDArray[np.generic], *features: str) -> tuple[str, ...]:
    """`features`, and what they are together with narrow weights."""
    if not neon.narrow(weights):
        return features
    return (*features, *(f"{name} narrow" for name in features), "narrow")


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
