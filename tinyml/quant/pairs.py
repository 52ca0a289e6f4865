"""The integer constants of element-wise operators of two operands; see `params`."""

from dataclasses import dataclass

from tinyml.ir import ops
from tinyml.ir.graph import Graph, Node
from tinyml.quant.scales import (
    Rescale,
    activation_range,
    operand,
    rescale,
    rescale_below_one,
    result,
    unsupported,
)


@dataclass(frozen=True, slots=True)
class AddParams:
    """ADD, SUB and SQUARED_DIFFERENCE.

    Both operands << left_shift, rescaled, combined, rescaled again.
    """

    input1_zero_point: int
    input2_zero_point: int
    output_zero_point: int
    left_shift: int
    input1: Rescale
    input2: Rescale
    output: Rescale
    act_min: int
    act_max: int


@dataclass(frozen=True, slots=True)
class MulParams:
    """MUL: the product of both offset operands, rescaled."""

    input1_zero_point: int
    input2_zero_point: int
    output_zero_point: int
    output: Rescale
    act_min: int
    act_max: int


@dataclass(frozen=True, slots=True)
class PreluParams:
    """PRELU: x >= 0 is rescaled by `positive`, x * alpha by `negative`."""

    input_zero_point: int
    alpha_zero_point: int
    output_zero_point: int
    positive: Rescale
    negative: Rescale


@dataclass(frozen=True, slots=True)
class ComparisonParams:
    """Comparisons: both operands << left_shift and rescaled by their own scales, then compared."""

    input1_zero_point: int
    input2_zero_point: int
    left_shift: int
    input1: Rescale
    input2: Rescale


def add_params(graph: Graph, node: Node) -> AddParams:
    """ADD and SUB."""
    op, left_shift = node.op, 20
    assert isinstance(op, ops.Add | ops.Sub)
    twice, y = _common_scale(graph, node), result(graph, node)
    output = rescale_below_one(node, y, twice / ((1 << left_shift) * y.q.scale))
    return _at_common_scale(graph, node, left_shift, output, op.activation)


def squared_difference_params(graph: Graph, node: Node) -> AddParams:
    """SQUARED_DIFFERENCE; the shift leaves room for the square in 32 bits."""
    twice, y, left_shift = _common_scale(graph, node), result(graph, node), 7
    output = rescale(node, y, twice * twice / ((1 << 2 * left_shift) * y.q.scale))
    if output.shift > 0:
        raise unsupported(
            node, y, f"its scale {y.q.scale:g} is too small for the square", "use a larger scale"
        )
    return _at_common_scale(graph, node, left_shift, output, ops.Activation.NONE)


def _common_scale(graph: Graph, node: Node) -> float:
    """Of both operands: twice the larger one, so that their sum has room."""
    return 2.0 * max(operand(graph, node, 0).q.scale, operand(graph, node, 1).q.scale)


def _at_common_scale(
    graph: Graph, node: Node, left_shift: int, output: Rescale, activation: ops.Activation
) -> AddParams:
    a, b, y = operand(graph, node, 0), operand(graph, node, 1), result(graph, node)
    common = _common_scale(graph, node)
    act_min, act_max = activation_range(node, y, activation)
    return AddParams(
        input1_zero_point=a.q.zero_point,
        input2_zero_point=b.q.zero_point,
        output_zero_point=y.q.zero_point,
        left_shift=left_shift,
        input1=rescale_below_one(node, a, a.q.scale / common),
        input2=rescale_below_one(node, b, b.q.scale / common),
        output=output,
        act_min=act_min,
        act_max=act_max,
    )


def mul_params(graph: Graph, node: Node) -> MulParams:
    """MUL."""
    op = node.op
    assert isinstance(op, ops.Mul)
    a, b, y = operand(graph, node, 0), operand(graph, node, 1), result(graph, node)
    act_min, act_max = activation_range(node, y, op.activation)
    return MulParams(
        input1_zero_point=a.q.zero_point,
        input2_zero_point=b.q.zero_point,
        output_zero_point=y.q.zero_point,
        output=rescale(node, y, a.q.scale * b.q.scale / y.q.scale),
        act_min=act_min,
        act_max=act_max,
    )


def prelu_params(graph: Graph, node: Node) -> PreluParams:
    """PRELU."""
    x, alpha, y = operand(graph, node, 0), operand(graph, node, 1), result(graph, node)
    return PreluParams(
        input_zero_point=x.q.zero_point,
        alpha_zero_point=alpha.q.zero_point,
        output_zero_point=y.q.zero_point,
        positive=rescale(node, y, x.q.scale / y.q.scale),
        negative=rescale(node, y, x.q.scale * alpha.q.scale / y.q.scale),
    )


def comparison_params(graph: Graph, node: Node) -> ComparisonParams:
    """EQUAL and its kin; scales are below 1."""
    a, b = operand(graph, node, 0), operand(graph, node, 1)
    return ComparisonParams(
        input1_zero_point=a.q.zero_point,
        input2_zero_point=b.q.zero_point,
        left_shift=8,
        input1=rescale_below_one(node, a, a.q.scale),
        input2=rescale_below_one(node, b, b.q.scale),
    )


def batch_matmul_params(graph: Graph, node: Node) -> MulParams:
    """BATCH_MATMUL: the constants of MUL, for sums of products."""
    a, b, y = operand(graph, node, 0), operand(graph, node, 1), result(graph, node)
    act_min, act_max = activation_range(node, y, ops.Activation.NONE)
    return MulParams(
        input1_zero_point=a.q.zero_point,
        input2_zero_point=b.q.zero_point,
        output_zero_point=y.q.zero_point,
        output=rescale(node, y, a.q.scale * b.q.scale / y.q.scale),
        act_min=act_min,
        act_max=act_max,
    )
