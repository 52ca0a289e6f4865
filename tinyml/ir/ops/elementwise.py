"""Operators that compute every element of their result by itself."""

from abc import ABC
from dataclasses import dataclass
from typing import ClassVar

from tinyml.ir.ops.base import Activation, Binary, Unary


@dataclass(frozen=True, slots=True)
class Add(Binary):
    """Quantised addition."""

    kind: ClassVar[str] = "ADD"
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class Sub(Binary):
    """Quantised subtraction."""

    kind: ClassVar[str] = "SUB"
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class Mul(Binary):
    """Quantised multiplication."""

    kind: ClassVar[str] = "MUL"
    activation: Activation = Activation.NONE


@dataclass(frozen=True, slots=True)
class Minimum(Binary):
    """Element-wise minimum (operands and result share one quantisation)."""

    kind: ClassVar[str] = "MINIMUM"


@dataclass(frozen=True, slots=True)
class Maximum(Binary):
    """Element-wise maximum (operands and result share one quantisation)."""

    kind: ClassVar[str] = "MAXIMUM"


@dataclass(frozen=True, slots=True)
class Prelu(Binary):
    """x where x >= 0, else x * alpha; the second operand is alpha, broadcast to x."""

    kind: ClassVar[str] = "PRELU"


@dataclass(frozen=True, slots=True)
class Relu(Unary):
    """max(x, 0), rescaled to the output's quantisation."""

    kind: ClassVar[str] = "RELU"


@dataclass(frozen=True, slots=True)
class Relu6(Unary):
    """min(max(x, 0), 6), rescaled to the output's quantisation."""

    kind: ClassVar[str] = "RELU6"


@dataclass(frozen=True, slots=True)
class LeakyRelu(Unary):
    """x where x >= 0, else alpha * x."""

    kind: ClassVar[str] = "LEAKY_RELU"
    alpha: float = 0.0


@dataclass(frozen=True, slots=True)
class Logistic(Unary):
    """1 / (1 + exp(-x))."""

    kind: ClassVar[str] = "LOGISTIC"


@dataclass(frozen=True, slots=True)
class Tanh(Unary):
    """Hyperbolic tangent."""

    kind: ClassVar[str] = "TANH"


@dataclass(frozen=True, slots=True)
class HardSwish(Unary):
    """x * min(max(x + 3, 0), 6) / 6."""

    kind: ClassVar[str] = "HARD_SWISH"


@dataclass(frozen=True, slots=True)
class Quantize(Unary):
    """Float or integer to integer, by the tensors' quantisations."""

    kind: ClassVar[str] = "QUANTIZE"


@dataclass(frozen=True, slots=True)
class Dequantize(Unary):
    """Integer to float32."""

    kind: ClassVar[str] = "DEQUANTIZE"


@dataclass(frozen=True, slots=True)
class Abs(Unary):
    """|x|, rescaled to the output's quantisation."""

    kind: ClassVar[str] = "ABS"


@dataclass(frozen=True, slots=True)
class Rsqrt(Unary):
    """1 / sqrt(x); no input is negative, and that of 0 is the highest integer."""

    kind: ClassVar[str] = "RSQRT"


@dataclass(frozen=True, slots=True)
class Elu(Unary):
    """x where x >= 0, else exp(x) - 1."""

    kind: ClassVar[str] = "ELU"


@dataclass(frozen=True, slots=True)
class LogicalNot(Unary):
    """Whether x is false."""

    kind: ClassVar[str] = "LOGICAL_NOT"


@dataclass(frozen=True, slots=True)
class LogicalAnd(Binary):
    """Whether both are true."""

    kind: ClassVar[str] = "LOGICAL_AND"


@dataclass(frozen=True, slots=True)
class LogicalOr(Binary):
    """Whether one is true."""

    kind: ClassVar[str] = "LOGICAL_OR"


@dataclass(frozen=True, slots=True)
class SquaredDifference(Binary):
    """(a - b) * (a - b), quantised."""

    kind: ClassVar[str] = "SQUARED_DIFFERENCE"


@dataclass(frozen=True, slots=True)
class Compare(Binary, ABC):
    """Whether a relation holds between real values; the result is boolean.

    less, equal, greater: the result where a is less than, equal to and greater than b.
    """

    less: ClassVar[bool] = False
    equal: ClassVar[bool] = False
    greater: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Equal(Compare):
    """a == b."""

    kind: ClassVar[str] = "EQUAL"
    equal: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class NotEqual(Compare):
    """a != b."""

    kind: ClassVar[str] = "NOT_EQUAL"
    less: ClassVar[bool] = True
    greater: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Less(Compare):
    """a < b."""

    kind: ClassVar[str] = "LESS"
    less: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class LessEqual(Compare):
    """a <= b."""

    kind: ClassVar[str] = "LESS_EQUAL"
    less: ClassVar[bool] = True
    equal: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Greater(Compare):
    """a > b."""

    kind: ClassVar[str] = "GREATER"
    greater: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class GreaterEqual(Compare):
    """a >= b."""

    kind: ClassVar[str] = "GREATER_EQUAL"
    greater: ClassVar[bool] = True
    equal: ClassVar[bool] = True


COMPARISONS = (Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual)

TABULATED = (Relu, Relu6, LeakyRelu, Logistic, Tanh, HardSwish, Abs, Rsqrt, Elu)
"""From int8 to int8, each element by itself: 256 results say everything."""

PAIRED = (
    *(Add, Sub, Mul, Minimum, Maximum, Prelu, SquaredDifference),
    *(LogicalAnd, LogicalOr, *COMPARISONS),
)
"""Of two operands that broadcast, element by element."""
