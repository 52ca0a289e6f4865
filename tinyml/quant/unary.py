"""Element-wise 8-bit ops: their integer constants, and the 256 results they can have."""

from dataclasses import dataclass
from math import floor, frexp, sqrt

import numpy as np
import numpy.typing as npt

from tinyml.ir import ops
from tinyml.ir.graph import Graph, Node
from tinyml.quant import fixedpoint as fx
from tinyml.quant.fixedpoint import Ints, clip
from tinyml.quant.scales import (
    LIMITS,
    Rescale,
    activation_range,
    operand,
    quantized,
    rescale,
    result,
    unsupported,
)


@dataclass(frozen=True, slots=True)
class RequantizeParams:
    """QUANTIZE from integers, and RELU: (x - zero point) rescaled, shifted and clamped."""

    input_zero_point: int
    output_zero_point: int
    output: Rescale
    act_min: int
    act_max: int


@dataclass(frozen=True, slots=True)
class LeakyReluParams:
    """LEAKY_RELU: one rescale per sign."""

    input_zero_point: int
    output_zero_point: int
    positive: Rescale
    negative: Rescale


@dataclass(frozen=True, slots=True)
class SigmoidParams:
    """LOGISTIC and TANH: inputs within +-`radius` become Q4 by `input`, others saturate."""

    input_zero_point: int
    radius: int
    input: Rescale


@dataclass(frozen=True, slots=True)
class HardSwishParams:
    """HARD_SWISH in 16-bit fixed point: both multipliers are Q15."""

    input_zero_point: int
    output_zero_point: int
    output: Rescale
    reluish: Rescale


def requantize_params(graph: Graph, node: Node) -> RequantizeParams:
    """QUANTIZE between integer types, and RELU."""
    x, y = operand(graph, node, 0), result(graph, node)
    activation = ops.Activation.RELU if isinstance(node.op, ops.Relu) else ops.Activation.NONE
    if y.dtype not in LIMITS:
        raise unsupported(node, y, f"{y.dtype.value} is no integer type to requantise to", "")
    act_min, act_max = activation_range(node, y, activation)
    return RequantizeParams(
        input_zero_point=x.q.zero_point,
        output_zero_point=y.q.zero_point,
        output=rescale(node, y, x.q.scale / y.q.scale),
        act_min=act_min,
        act_max=act_max,
    )


def leaky_relu_params(graph: Graph, node: Node) -> LeakyReluParams:
    """LEAKY_RELU."""
    op = node.op
    assert isinstance(op, ops.LeakyRelu)
    x, y = operand(graph, node, 0), result(graph, node)
    return LeakyReluParams(
        input_zero_point=x.q.zero_point,
        output_zero_point=y.q.zero_point,
        positive=rescale(node, y, x.q.scale / y.q.scale),
        negative=rescale(node, y, x.q.scale * op.alpha / y.q.scale),
    )


_SIGMOID_BITS = 4


def sigmoid_params(graph: Graph, node: Node) -> SigmoidParams:
    """LOGISTIC (whose output zero point is -128) and TANH."""
    x, y = operand(graph, node, 0), result(graph, node)
    if isinstance(node.op, ops.Logistic) and y.q.zero_point != -128:
        raise unsupported(node, y, "the output's zero point is not -128", "quantise by 1/256, -128")
    fraction, shift = frexp(x.q.scale * (1 << (31 - _SIGMOID_BITS)))
    if shift < 0:
        raise unsupported(node, x, f"scale {x.q.scale:g} is too small", "use at least 2**-28")
    largest = ((1 << _SIGMOID_BITS) - 1) * (1 << (31 - _SIGMOID_BITS))
    return SigmoidParams(
        input_zero_point=x.q.zero_point,
        radius=floor(largest / (1 << shift)),
        input=Rescale(fx.round_half_away(fraction * (1 << 31)), shift),
    )


def _to_q15(multiplier: int) -> int:
    """A Q31 multiplier rounded to Q15."""
    rounding = 1 << 15
    return 32767 if multiplier >= fx.INT32_MAX - rounding else (multiplier + rounding) >> 16


def hard_swish_params(graph: Graph, node: Node) -> HardSwishParams:
    """HARD_SWISH; multipliers are rounded to 16 bits."""
    x, y = operand(graph, node, 0), result(graph, node)
    hires_scale = x.q.scale / 128
    output = rescale(node, y, hires_scale / y.q.scale)
    reluish = rescale(node, x, hires_scale / (3 / 32768))
    if output.shift > 0:
        raise unsupported(
            node, y, "the output's scale is below 1/128 of the input's", "use a larger scale"
        )
    return HardSwishParams(
        input_zero_point=x.q.zero_point,
        output_zero_point=y.q.zero_point,
        output=Rescale(_to_q15(output.multiplier), output.shift),
        reluish=Rescale(_to_q15(reluish.multiplier), reluish.shift),
    )


def requantize(q: Ints, p: RequantizeParams) -> Ints:
    """The results of QUANTIZE or RELU for the integers `q`."""
    scaled = fx.multiply_by_quantized_multiplier(
        q - p.input_zero_point, p.output.multiplier, p.output.shift
    )
    return clip(scaled + p.output_zero_point, p.act_min, p.act_max)


def _leaky_relu(q: Ints, p: LeakyReluParams) -> Ints:
    x = q - p.input_zero_point
    # A negative alpha mirrors the result of its absolute value, roundings included.
    positive, negative = (
        np.sign(step.multiplier)
        * fx.multiply_by_quantized_multiplier(x, abs(step.multiplier), step.shift)
        for step in (p.positive, p.negative)
    )
    return clip(np.where(x >= 0, positive, negative) + p.output_zero_point, -128, 127)


def _in_q4(q: Ints, p: SigmoidParams) -> tuple[Ints, Ints]:
    """(x, x in Q4), where the second is 0 outside the radius, which saturates."""
    x = q - p.input_zero_point
    inside = np.where(np.abs(x) < p.radius, x, 0)
    return x, fx.multiply_by_quantized_multiplier(inside, p.input.multiplier, p.input.shift)


def _saturated(x: Ints, radius: int, inside: Ints) -> Ints:
    clipped = clip(inside, -128, 127)
    return np.where(x <= -radius, -128, np.where(x >= radius, 127, clipped))


def _logistic(q: Ints, p: SigmoidParams) -> Ints:
    x, q4 = _in_q4(q, p)
    steps = fx.rounding_divide_by_pot(fx.logistic(q4, _SIGMOID_BITS), 31 - 8)
    return _saturated(x, p.radius, steps - 128)


def _tanh(q: Ints, p: SigmoidParams) -> Ints:
    x, q4 = _in_q4(q, p)
    return _saturated(x, p.radius, fx.rounding_divide_by_pot(fx.tanh(q4, _SIGMOID_BITS), 31 - 7))


def _hard_swish(q: Ints, p: HardSwishParams) -> Ints:
    def mul(a: Ints, b: int) -> Ints:
        return fx.saturating_rounding_doubling_high_mul(a, b, bits=16)

    def shift_left(a: Ints, amount: int) -> Ints:
        return clip(a << amount, -32768, 32767)

    hires = (q - p.input_zero_point) << 7
    preshift = mul(hires, p.output.multiplier)
    # x / 3 saturated to [-1, 1]. All but the last bit of a left shift come before the
    # multiplication: whatever saturates there saturates in the last shift as well.
    left = max(p.reluish.shift, 0)
    reluish = mul(shift_left(hires, max(left - 1, 0)), p.reluish.multiplier)
    reluish = shift_left(reluish, min(left, 1))
    reluish = fx.rounding_divide_by_pot(reluish, max(-p.reluish.shift, 0), bits=16)
    gate = (reluish + (1 << 15)) >> 1  # relu6(x + 3) / 6, Q15
    # Rounds towards zero, to cancel the bias of the roundings before.
    product = np.sign(preshift) * ((gate * np.abs(preshift)) >> 15)
    output = fx.rounding_divide_by_pot(product, -p.output.shift, bits=16)
    return clip(output + p.output_zero_point, -128, 127)


def _abs(graph: Graph, node: Node, q: Ints) -> Ints:
    x, y = operand(graph, node, 0), result(graph, node)
    distance = np.abs(q - x.q.zero_point)
    if x.q.scale != y.q.scale:
        step = rescale(node, y, x.q.scale / y.q.scale)
        distance = fx.multiply_by_quantized_multiplier(distance, step.multiplier, step.shift)
    return clip(distance + y.q.zero_point, -128, 127)


_RSQRT_BITS = 20
"""Fractional bits of an inverse square root before it is rescaled."""


def _rsqrt(graph: Graph, node: Node, q: Ints) -> Ints:
    """TFLite Micro refuses negative inputs when it runs; here they count as 0, the limit."""
    x, y = operand(graph, node, 0), result(graph, node)
    step = rescale(node, y, 1.0 / (sqrt(x.q.scale) * y.q.scale))
    if not -31 <= step.shift - _RSQRT_BITS <= 30 - _RSQRT_BITS:
        raise unsupported(
            node,
            y,
            f"1 / sqrt(input's scale) is {1.0 / (sqrt(x.q.scale) * y.q.scale):g} steps",
            "quantise so that it is between 1/4096 and 1024 * 1024 * 1024",
        )
    distance = np.maximum(q - x.q.zero_point, 0)
    multiplier, right = fx.inverse_sqrt(np.maximum(distance, 1))
    inverse = fx.multiply_by_quantized_multiplier(np.ones_like(q), multiplier, _RSQRT_BITS - right)
    scaled = fx.multiply_by_quantized_multiplier(inverse, step.multiplier, step.shift - _RSQRT_BITS)
    return np.where(distance == 0, 127, clip(scaled + y.q.zero_point, -128, 127))


def _elu(graph: Graph, node: Node, q: Ints) -> Ints:
    """In float32, as TFLite Micro fills its table."""
    x, y = operand(graph, node, 0), result(graph, node)
    f32 = np.float32
    real = f32(x.q.scale) * (q - x.q.zero_point).astype(f32)
    # The exponential is rounded to float32 before 1 is taken off.
    exp = np.exp(np.minimum(real, 0).astype(np.float64)).astype(f32)
    with np.errstate(over="ignore"):
        steps = np.where(real < 0, exp - f32(1), real) * (f32(1) / f32(y.q.scale))
    rounded = np.copysign(np.floor(np.abs(steps.astype(np.float64)) + 0.5), steps)
    limited = np.clip(rounded + y.q.zero_point, fx.INT32_MIN, fx.INT32_MAX)
    return clip(limited.astype(np.int64), -128, 127)


def _results(graph: Graph, node: Node, q: Ints) -> Ints:
    match node.op:
        case ops.Quantize() | ops.Relu():
            return requantize(q, requantize_params(graph, node))
        case ops.Relu6():
            # Clamps the stored integers; the output's quantisation plays no part.
            x = operand(graph, node, 0)
            low, high = LIMITS[x.dtype]
            six = min(max(quantized(node, x, 6.0), low), high)
            return np.where(q > six, six, np.maximum(q, x.q.zero_point))
        case ops.LeakyRelu():
            return _leaky_relu(q, leaky_relu_params(graph, node))
        case ops.Logistic():
            return _logistic(q, sigmoid_params(graph, node))
        case ops.Tanh():
            return _tanh(q, sigmoid_params(graph, node))
        case ops.HardSwish():
            return _hard_swish(q, hard_swish_params(graph, node))
        case ops.Abs():
            return _abs(graph, node, q)
        case ops.Rsqrt():
            return _rsqrt(graph, node, q)
        case ops.Elu():
            return _elu(graph, node, q)
        case ops.LogicalNot():
            opposite: Ints = (q == 0).astype(np.int64)
            return opposite
    raise ValueError(f"{node.op.kind} is not an element-wise 8-bit op")


def lut(graph: Graph, node: Node) -> npt.NDArray[np.int8]:
    """The 256 results of an element-wise 8-bit op, indexed by the input *byte*.

    Entry i is the output byte (as int8, also for a uint8 output) for the input whose
    byte is i: int8 -1 and uint8 255 are both entry 255.
    """
    x, y = operand(graph, node, 0), result(graph, node)
    if x.dtype.itemsize != 1 or y.dtype.itemsize != 1:
        raise ValueError(f"{node.op.kind} '{node.name}' does not map bytes to bytes")
    inputs = np.arange(256, dtype=np.uint8).view(x.dtype.numpy).astype(np.int64)
    return _results(graph, node, inputs).astype(y.dtype.numpy).view(np.int8)
