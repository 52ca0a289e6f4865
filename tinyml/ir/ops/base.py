"""What all operators share: activations, pads, shape rules of one and of two operands."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

Shape = tuple[int, ...]
Shapes = tuple[Shape, ...]
OptionalShapes = tuple[Shape | None, ...]


class Activation(Enum):
    """Fused activation functions, by TFLite's names."""

    NONE = "NONE"
    RELU = "RELU"
    RELU6 = "RELU6"
    RELU_N1_TO_1 = "RELU_N1_TO_1"


@dataclass(frozen=True, slots=True)
class Pads:
    """Rows and columns of padding around a map."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


NO_PADS = Pads()


@dataclass(frozen=True, slots=True)
class Op(ABC):
    """An operator with resolved attributes."""

    kind: ClassVar[str]

    @abstractmethod
    def infer(self, inputs: OptionalShapes) -> Shapes:
        """Output shapes for the given input shapes; ValueError when they do not fit."""

    @property
    def results(self) -> int:
        """How many tensors it computes."""
        return 1

    @property
    def updates(self) -> tuple[int, ...]:
        """Positions of the operands that are states; the last results, in this order, are what
        they become, in the same bytes."""
        return ()

    def macs(self, inputs: OptionalShapes, outputs: Shapes) -> int:
        """Multiply-accumulates; 0 for operators without weights."""
        return 0


def required(inputs: OptionalShapes, count: int) -> Shapes:
    """The first `count` shapes; ValueError when one is absent."""
    found = tuple(shape for shape in inputs[:count] if shape is not None)
    if len(found) != count:
        raise ValueError(f"needs {count} inputs, has {len(found)}")
    return found


def broadcast(a: Shape, b: Shape) -> Shape:
    """NumPy's broadcasting rule; ValueError when the shapes do not fit."""
    rank = max(len(a), len(b))
    pairs = zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b, strict=True)
    result = []
    for x, y in pairs:
        if x != y and 1 not in (x, y):
            raise ValueError(f"shapes {a} and {b} do not broadcast")
        result.append(y if x == 1 else x)
    return tuple(result)


@dataclass(frozen=True, slots=True)
class Binary(Op, ABC):
    """Two operands with broadcasting."""

    def infer(self, inputs: OptionalShapes) -> Shapes:
        return (broadcast(*required(inputs, 2)),)


@dataclass(frozen=True, slots=True)
class Unary(Op, ABC):
    """Element-wise: the output has the input's shape."""

    def infer(self, inputs: OptionalShapes) -> Shapes:
        return required(inputs, 1)


def check_rank(what: str, shape: Shape, rank: int) -> None:
    """ValueError unless `shape` has `rank` dimensions."""
    if len(shape) != rank:
        raise ValueError(f"{what} must have {rank} dimensions, has {len(shape)}")


def check_axes(axes: tuple[int, ...], rank: int) -> None:
    """ValueError unless all `axes` are among `rank` dimensions."""
    if any(not 0 <= axis < rank for axis in axes):
        raise ValueError(f"axes {axes} leave {rank} dimensions")
