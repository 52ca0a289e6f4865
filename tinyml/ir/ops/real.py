"""Operators on real numbers. They are in no model file: training makes them (`train.network`)."""

from dataclasses import dataclass
from typing import ClassVar

from tinyml.ir.ops.base import Op, OptionalShapes, Shapes


@dataclass(frozen=True, slots=True)
class InFloat32(Op):
    """An operator whose operands and result are float32, constants included.

    It hides the operator from whatever knows it by its integers: passes, kernels of inference.
    """

    kind: ClassVar[str] = "IN_FLOAT32"
    op: Op

    def infer(self, inputs: OptionalShapes) -> Shapes:
        return self.op.infer(inputs)

    def macs(self, inputs: OptionalShapes, outputs: Shapes) -> int:
        return self.op.macs(inputs, outputs)
