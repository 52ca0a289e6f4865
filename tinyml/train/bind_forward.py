"""Kernels for nodes of the head: with parameters that change, or in float32."""

from dataclasses import replace
from math import prod

import numpy as np

from tinyml.ir import ops
from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import ConstArray
from tinyml.quant.params import conv_params, fully_connected_params
from tinyml.train.bind_common import (
    RANK,
    Fields,
    TrainCall,
    average_pool_layer,
    broadcast_strides,
    four,
    ints,
    layer_fields,
    reading,
    rounded,
    strides,
    train_call,
    within,
    writing,
)
from tinyml.train.bounds import real_bounds
from tinyml.train.gradient_filter import Window
from tinyml.train.layers import layer_of
from tinyml.train.program import LayerKind


def int8(graph: Graph, node: Node) -> TrainCall:
    """A layer with weights, some parameters of which are in RAM."""
    layer = layer_of(graph, node)
    is_dense = layer.kind is LayerKind.DENSE
    params = (fully_connected_params if is_dense else conv_params)(graph, node)
    channels = len(params.multipliers)
    weights, bias = node.inputs[1], _bias(node)
    zeros = ConstArray("int32_t", np.zeros(channels, np.int32)) if bias is None else None
    height, width = layer.window.kernel
    in_channels = layer.x[-1]
    fields: Fields = (
        *within("layer", layer_fields(layer)),
        ("input_zero_point", params.input_zero_point),
        ("weights_zero_point", params.weights_zero_point),
        ("outputs.zero_point", params.output_zero_point),
        ("outputs.act_min", params.act_min),
        ("outputs.act_max", params.act_max),
        ("outputs.biases", zeros),
        ("outputs.multipliers", ints(params.multipliers)),
        ("outputs.shifts", ConstArray("int8_t", params.shifts.astype(np.int8))),
    )
    pointers = (*reading(node.inputs[0], weights, bias), writing(node.output))
    call = train_call(f"{layer.kind.value}_s8", "linear_s8_op", fields, pointers)
    if layer.kind is LayerKind.DEPTHWISE:
        return call
    if layer.kind is LayerKind.DENSE:
        macro = f"TINYML_TRAIN_DENSE_S8_SCRATCH({channels})"
        return replace(call, scratch_bytes=4 * channels, scratch_macro=macro)
    macro = f"TINYML_TRAIN_CONV_S8_SCRATCH({height}, {width}, {in_channels}, {channels})"
    size = 4 * channels + 2 * height * width * in_channels
    return replace(call, scratch_bytes=size, scratch_macro=macro)


def float32(graph: Graph, node: Node) -> TrainCall:
    """A node that computes in float32."""
    op, x, y = node.op, node.inputs[0], node.output
    assert x is not None
    source, result = graph.tensors[x].shape, graph.tensors[y].shape
    low, high = real_bounds(op)
    limits: Fields = (("act_min", rounded(low)), ("act_max", rounded(high)))
    match op:
        case ops.Conv2D() | ops.DepthwiseConv2D() | ops.FullyConnected():
            layer = layer_of(graph, node)
            fields: Fields = (*within("layer", layer_fields(layer)), *limits)
            pointers = (*reading(x, node.inputs[1], _bias(node)), writing(y))
            return train_call(f"{layer.kind.value}_f32", "linear_f32_op", fields, pointers)
        case ops.AveragePool2D():
            window = Window(op.filter, op.stride, (1, 1), op.pads)
            fields = (*within("layer", average_pool_layer(window, source, result)), *limits)
            pointers = (*reading(x), writing(y))
            return train_call("avg_pool_f32", "linear_f32_op", fields, pointers)
        case ops.Add():
            return _add(graph, node, limits)
        case ops.Mean():
            return _mean(graph, node, op.axes, limits)
        case ops.Softmax():
            rows = prod(source[:-1])
            fields = (("rows", rows), ("count", source[-1]))
            call = train_call("softmax_f32", "softmax_f32_op", fields, (*reading(x), writing(y)))
            return replace(call, in_place=((x, y),))
        case ops.Relu() | ops.Relu6():
            fields = (("count", prod(source)), *limits)
            call = train_call("clamp_f32", "clamp_f32_op", fields, (*reading(x), writing(y)))
            return replace(call, in_place=((x, y),))
    raise NotImplementedError(op.kind)


def _bias(node: Node) -> str | None:
    return node.inputs[2] if len(node.inputs) > 2 else None


def _add(graph: Graph, node: Node, limits: Fields) -> TrainCall:
    y = node.output
    shape = graph.tensors[y].shape
    # Either order gives the same bits, and constants come last.
    a, b = sorted((graph.tensors[n] for n in node.inputs if n), key=lambda t: t.is_const)
    fields: Fields = (
        ("dims", ints(four(shape, y))),
        ("strides", ints(broadcast_strides(four(a.shape, a.name)))),
        ("others", ints(broadcast_strides(four(b.shape, b.name)))),
        *limits,
    )
    call = train_call("add_f32", "add_f32_op", fields, (*reading(a.name, b.name), writing(y)))
    same = tuple((t.name, y) for t in (a, b) if t.shape == shape)
    return replace(call, in_place=same)


def _mean(graph: Graph, node: Node, axes: tuple[int, ...], limits: Fields) -> TrainCall:
    x, y = node.inputs[0], node.output
    assert x is not None
    shape = four(graph.tensors[x].shape, x)
    before = RANK - len(graph.tensors[x].shape)
    steps = strides(shape)
    over = [axis + before for axis in axes]
    kept = [axis for axis in range(RANK) if axis not in over]

    def padded(values: tuple[int, ...], chosen: list[int], filler: int) -> ConstArray:
        return ints([filler] * (RANK - len(chosen)) + [values[axis] for axis in chosen])

    fields: Fields = (
        ("kept", padded(shape, kept, 1)),
        ("kept_strides", padded(steps, kept, 0)),
        ("axes", padded(shape, over, 1)),
        ("axes_strides", padded(steps, over, 0)),
        ("factor", rounded(1 / prod(shape[axis] for axis in over))),
        *limits,
    )
    return train_call("mean_f32", "mean_f32_op", fields, (*reading(x), writing(y)))
