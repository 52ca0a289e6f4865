"""Operators that keep something from one invocation to the next (see `ir.graph.State`)."""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from tinyml.ir.ops.base import Op, OptionalShapes, Shapes, check_rank, required


@dataclass(frozen=True, slots=True)
class AssignVariable(Op):
    """The state becomes the value: value, state of as many bytes -> state."""

    kind: ClassVar[str] = "ASSIGN_VARIABLE"

    @property
    def updates(self) -> tuple[int, ...]:
        return (1,)

    def infer(self, inputs: OptionalShapes) -> Shapes:
        value, state = required(inputs, 2)
        if prod(value) != prod(state):
            raise ValueError(f"a value of {value} does not fit a variable of {state}")
        return (state,)


@dataclass(frozen=True, slots=True)
class Svdf(Op):
    """A dense layer whose weights over inputs and time are products of two of rank `rank`.

    x [N, C], feature weights [F, C], time weights [F, T], optional bias [F / rank], state
    [N, F * T] -> y [N, F / rank], state. The state has, of every filter, its last T results.
    """

    kind: ClassVar[str] = "SVDF"
    rank: int

    @property
    def results(self) -> int:
        return 2

    @property
    def updates(self) -> tuple[int, ...]:
        return (4,)

    def infer(self, inputs: OptionalShapes) -> Shapes:
        x, feature, time = required(inputs, 3)
        for what, shape in (("input", x), ("feature weights", feature), ("time weights", time)):
            check_rank(what, shape, 2)
        state = inputs[4]
        if self.rank < 1 or feature[0] % self.rank:
            raise ValueError(f"{feature[0]} filters are no multiple of the rank {self.rank}")
        if feature[1] != x[1] or time[0] != feature[0]:
            raise ValueError(f"weights {feature} and {time} do not fit an input of {x}")
        if state != (x[0], time[0] * time[1]):
            raise ValueError(f"a state of {state} does not fit {time} time weights and {x}")
        return ((x[0], feature[0] // self.rank), state)

    def macs(self, inputs: OptionalShapes, outputs: Shapes) -> int:
        x, feature, time = required(inputs, 3)
        return x[0] * (prod(feature) + prod(time))


GATES = ("input", "forget", "cell", "output")
"""Of an LSTM, in the order of its operands."""

LSTM_INPUT_WEIGHTS, LSTM_RECURRENT_WEIGHTS, LSTM_BIASES = 1, 5, 9
"""Position of the first of four operands, one for each gate."""

LSTM_HIDDEN, LSTM_CELL = 13, 14


@dataclass(frozen=True, slots=True)
class Lstm(Op):
    """An LSTM over a sequence, without peepholes, projection or normalisation.

    x [N, T, C], or [T, N, C] if `time_major`; by gate (`GATES`): input weights [S, C], recurrent
    weights [S, S], biases [S]; hidden state [N, S], cell state [N, S] -> y [N, T, S] or [T, N, S],
    both states.
    """

    kind: ClassVar[str] = "UNIDIRECTIONAL_SEQUENCE_LSTM"
    time_major: bool = False
    cell_clip: float = 0.0
    """The largest magnitude of a cell; 0: as large as it gets."""

    @property
    def results(self) -> int:
        return 3

    @property
    def updates(self) -> tuple[int, ...]:
        return (LSTM_HIDDEN, LSTM_CELL)

    def infer(self, inputs: OptionalShapes) -> Shapes:
        x, *_, hidden, cell = required(inputs, LSTM_CELL + 1)
        check_rank("input", x, 3)
        batches, _ = self.extent(x)
        size = (inputs[LSTM_RECURRENT_WEIGHTS] or (0,))[0]
        expected = ((size, x[2]),) * 4 + ((size, size),) * 4 + ((size,),) * 4
        for position, shape in enumerate(expected, start=LSTM_INPUT_WEIGHTS):
            if inputs[position] != shape:
                raise ValueError(f"operand {position} is {inputs[position]}, not {shape}")
        for what, shape in (("hidden", hidden), ("cell", cell)):
            if prod(shape) != batches * size:
                raise ValueError(f"a {what} state of {shape} for {batches} x {size}")
        return ((*x[:2], size), hidden, cell)

    def extent(self, x: tuple[int, ...]) -> tuple[int, int]:
        """Batches and steps of an input of shape `x`."""
        return (x[1], x[0]) if self.time_major else (x[0], x[1])

    def macs(self, inputs: OptionalShapes, outputs: Shapes) -> int:
        (x,) = required(inputs, 1)
        size = outputs[0][2]
        return x[0] * x[1] * 4 * size * (x[2] + size)
