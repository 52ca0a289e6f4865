"""What every family of ops shares: rescales and clamping ranges."""

from dataclasses import dataclass

import numpy as np

from tinyml.errors import UnsupportedError
from tinyml.ir.graph import DType, Graph, Node, Tensor
from tinyml.ir.ops import Activation
from tinyml.quant.fixedpoint import INT32_MAX, INT32_MIN, quantize_multiplier, round_half_away

LIMITS = {
    DType.INT8: (-128, 127),
    DType.UINT8: (0, 255),
    DType.INT16: (-32768, 32767),
    DType.INT32: (INT32_MIN, INT32_MAX),
}


@dataclass(frozen=True, slots=True)
class Rescale:
    """Multiplication by multiplier * 2**(shift - 31); a positive shift is to the left."""

    multiplier: int
    shift: int


def unsupported(node: Node, tensor: Tensor, why: str, hint: str) -> UnsupportedError:
    """The error for a node whose scales TFLite Micro does not take either."""
    return UnsupportedError(
        f"{node.op.kind} '{node.name}', tensor '{tensor.name}': {why}", hint=hint
    )


def rescale(node: Node, tensor: Tensor, real: float) -> Rescale:
    """`real` in fixed point; `tensor` is the one to name when that is impossible."""
    try:
        return Rescale(*quantize_multiplier(real))
    except ValueError as error:
        raise unsupported(
            node, tensor, str(error), "quantise with scales of similar magnitude"
        ) from error


def rescale_below_one(node: Node, tensor: Tensor, real: float) -> Rescale:
    """Like `rescale`, for ratios that the kernel needs to be between 0 and 1."""
    if not 0.0 < real < 1.0:
        raise unsupported(
            node,
            tensor,
            f"the scale ratio {real:g} is not between 0 and 1",
            "quantise with scales of similar magnitude",
        )
    return rescale(node, tensor, real)


def operand(graph: Graph, node: Node, index: int) -> Tensor:
    """The input tensor at `index`, which must be present."""
    name = node.inputs[index]
    if name is None:
        raise ValueError(f"{node.op.kind} '{node.name}' lacks operand {index}")
    return graph.tensors[name]


def result(graph: Graph, node: Node) -> Tensor:
    """The only output tensor."""
    return graph.tensors[node.output]


def quantized(node: Node, output: Tensor, real: float) -> int:
    """`real` in the quantisation of `output`, not clamped; float32 arithmetic."""
    steps = float(np.float32(real) / np.float32(output.q.scale))
    if not INT32_MIN <= steps <= INT32_MAX:
        raise unsupported(
            node,
            output,
            f"the activation's limit {real:g} is {steps:g} steps of its scale away from zero",
            "quantise the output with a larger scale",
        )
    return output.q.zero_point + round_half_away(steps)


def activation_range(node: Node, output: Tensor, activation: Activation) -> tuple[int, int]:
    """The clamping range that a fused activation means in the output's quantisation."""
    low, high = LIMITS[output.dtype]
    match activation:
        case Activation.NONE:
            return low, high
        case Activation.RELU:
            return max(low, quantized(node, output, 0.0)), high
        case Activation.RELU6:
            bounds = (0.0, 6.0)
        case Activation.RELU_N1_TO_1:
            bounds = (-1.0, 1.0)
    return (
        max(low, quantized(node, output, bounds[0])),
        min(high, quantized(node, output, bounds[1])),
    )
