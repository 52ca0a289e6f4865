"""Operators that compute every element of their result by itself."""

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
