"""One operator of a file with its tensors, as the resolvers see it."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any

import tflite

from tinyml.errors import ModelError
from tinyml.ir import ops
from tinyml.ir.graph import DType, Tensor

_MAX_ATTRIBUTE = 64
"""Elements of the largest sensible attribute, a few numbers per dimension."""


class RefusalError(Exception):
    """The operator is sound but has a form that cannot be deployed; the message says why."""


@dataclass(frozen=True, slots=True)
class Call:
    """One operator of the file with its tensors."""

    kind: str
    options: Any
    """The accessor of its options table."""
    operands: tuple[Tensor | None, ...]
    results: tuple[Tensor, ...]

    def damaged(self, reason: str) -> ModelError:
        """The error for an operator that says something impossible."""
        place = f" '{self.results[0].name}'" if self.results else ""
        return ModelError(f"{self.kind}{place}: {reason}")

    def tensor(self, index: int) -> Tensor:
        """An operand that must be present."""
        operand = self.operands[index] if index < len(self.operands) else None
        if operand is None:
            raise self.damaged(f"operand {index} is missing")
        return operand

    def ranked(self, index: int, rank: int) -> Tensor:
        """An operand with `rank` dimensions."""
        tensor = self.tensor(index)
        if len(tensor.shape) != rank:
            raise self.damaged(
                f"tensor '{tensor.name}' has {len(tensor.shape)} dimensions, not {rank}"
            )
        return tensor

    def integers(self, index: int, what: str) -> tuple[int, ...]:
        """The elements of a constant operand that is an attribute."""
        tensor = self.tensor(index)
        if not tensor.is_const:
            raise RefusalError(f"its {what}, tensor '{tensor.name}', is computed at run time")
        if tensor.dtype not in (DType.INT32, DType.INT64) or tensor.size > _MAX_ATTRIBUTE:
            raise self.damaged(
                f"its {what}, tensor '{tensor.name}', is {tensor.dtype.value} {tensor.shape}"
            )
        return tuple(int(value) for value in tensor.values.reshape(-1))

    def integer(self, index: int, what: str) -> int:
        """The only element of a constant operand."""
        found = self.integers(index, what)
        if len(found) != 1:
            raise self.damaged(f"its {what} has {len(found)} elements")
        return found[0]

    def stated(self, field: str) -> tuple[int, ...]:
        """The elements of a vector among the options."""
        count = getattr(self.options, f"{field}Length")()
        if count > _MAX_ATTRIBUTE:
            raise self.damaged(f"{count} elements in its options")
        return tuple(int(getattr(self.options, field)(i)) for i in range(count))

    def axis(self, axis: int, rank: int) -> int:
        """A dimension of `rank`, counted from the front."""
        if not -rank <= axis < rank:
            raise self.damaged(f"axis {axis} does not exist in {rank} dimensions")
        return axis % rank

    def finite(self, value: float, what: str) -> float:
        """An option that must be a number."""
        if not isfinite(value):
            raise self.damaged(f"its {what} is {value}")
        return value

    def activation(self) -> ops.Activation:
        """The fused activation of the options."""
        code = self.options.FusedActivationFunction()
        name = _ACTIVATION_NAMES.get(code, f"{code}")
        if name not in ops.Activation.__members__:
            raise RefusalError(f"fused activation {name} is not supported")
        return ops.Activation[name]

    def kept(self, positions: tuple[int, ...]) -> tuple[Tensor | None, ...]:
        """The operands at `positions`, which may be marked as absent there."""
        last = max(positions, default=-1)
        if last >= len(self.operands):
            raise self.damaged(f"operand {last} is missing")
        return tuple(self.operands[position] for position in positions)

    def all_operands(self) -> tuple[int, ...]:
        """The positions of all operands."""
        return tuple(range(len(self.operands)))


Resolved = tuple[ops.Op, tuple[int, ...]]
Resolver = Callable[[Call], Resolved]

_ACTIVATION_NAMES = {
    code: name for name, code in vars(tflite.ActivationFunctionType).items() if name.isupper()
}
