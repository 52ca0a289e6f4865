"""Convolution, depthwise convolution and fully connected layers with the kernels for NEON.

`biases` are int32, with the input's zero point folded in, as those of `bind_linear`.
"""

import numpy as np
import numpy.typing as npt

from tinyml.ir import ops
from tinyml.ir.graph import DType
from tinyml.kernels import neon
from tinyml.kernels.call import KernelCall, OpStruct, RowLoop
from tinyml.kernels.registry import Kernel
from tinyml.kernels.site import Fields, Site, table, window_fields
from tinyml.quant.params import LinearParams

Words = npt.NDArray[np.int32]


def conv(
    site: Site, kernel: Kernel, params: LinearParams, biases: Words, loop: RowLoop
) -> KernelCall:
    """CONV_2D."""
    op = site.node.op
    assert isinstance(op, ops.Conv2D)
    weights = site.constant(1, DType.INT8)
    out_channels, height, width, in_channels = weights.shape
    rows = weights.reshape(out_channels, -1)
    dot = kernel.isa == "dotprod"
    if not kernel.scratch:
        blocks = neon.blocks(params, biases, rows, pieces=1, dot=dot)
        pixel: Fields = (
            ("in_channels", in_channels),
            ("stride_x", op.stride[1]),
            *_filter_fields(params, blocks),
        )
        return KernelCall(kernel.name, OpStruct(kernel.struct, pixel), loop)
    by_rows = neon.by_rows(weights, op.dilation[1])
    blocks = neon.blocks(params, biases, rows, pieces=height if by_rows else 1, dot=dot)
    window: Fields = (
        ("in_channels", in_channels),
        *window_fields(op, height, width),
        ("input_zero_point", params.input_zero_point),
    )
    fields: Fields = (
        *((f"window.{name}", value) for name, value in window),
        ("by_rows", int(by_rows)),
        *_filter_fields(params, blocks),
    )
    return KernelCall(
        kernel.name,
        OpStruct(kernel.struct, fields),
        loop,
        scratch_bytes=4 * height * width * in_channels,
        scratch_macro=f"{kernel.scratch}({height}, {width}, {in_channels})",
    )


def depthwise_conv(
    site: Site, kernel: Kernel, params: LinearParams, biases: Words, loop: RowLoop
) -> KernelCall:
    """DEPTHWISE_CONV_2D."""
    op = site.node.op
    assert isinstance(op, ops.DepthwiseConv2D)
    weights = site.constant(1, DType.INT8)
    _, height, width, channels = weights.shape
    blocks = neon.depthwise_blocks(params, biases, weights.reshape(-1, channels))
    outputs: Fields = (
        ("input_zero_point", params.input_zero_point),
        *_filter_fields(params, blocks),
    )
    if not kernel.scratch:
        small: Fields = (("stride_x", op.stride[1]), *outputs)
        return KernelCall(kernel.name, OpStruct(kernel.struct, small), loop)
    return KernelCall(
        kernel.name,
        OpStruct(kernel.struct, (*window_fields(op, height, width), *outputs)),
        loop,
        scratch_bytes=8 * height * width + channels,
        scratch_macro=f"{kernel.scratch}({height}, {width}, {channels})",
    )


def fully_connected(
    site: Site, kernel: Kernel, params: LinearParams, biases: Words, loop: RowLoop
) -> KernelCall:
    """FULLY_CONNECTED."""
    weights = site.constant(1, DType.INT8)
    blocks = neon.blocks(params, biases, weights, pieces=1, dot=kernel.isa == "dotprod")
    fields: Fields = (
        ("in_features", weights.shape[1]),
        *_filter_fields(params, blocks),
    )
    return KernelCall(kernel.name, OpStruct(kernel.struct, fields), loop)


def _filter_fields(params: LinearParams, blocks: Words) -> Fields:
    """The `tinyml_neon_filters` member."""
    return (
        ("filters.out_channels", len(params.multipliers)),
        ("filters.output_zero_point", params.output_zero_point),
        ("filters.act_min", params.act_min),
        ("filters.act_max", params.act_max),
        ("filters.blocks", table("int32_t", blocks)),
    )
