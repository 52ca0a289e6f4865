"""Networks that keep something from one invocation to the next, as wake words do."""

import numpy as np

from tests.support.builder import GraphBuilder, per_tensor
from tests.support.strategies.base import f32
from tinyml.ir import ops
from tinyml.ir.graph import Array, DType, Graph, Node, Quant, State, Tensor, updated

CHANNELS, KEPT = 6, 3


class StreamBuilder(GraphBuilder):
    """Builds with states."""

    def __init__(self, name: str, seed: int = 0) -> None:
        super().__init__(name, seed)
        self.states: list[State] = []
        self.assigned: list[Node] = []

    def state(
        self, name: str, shape: tuple[int, ...], quant: Quant, dtype: DType = DType.INT8
    ) -> str:
        """What an operator finds of a variable."""
        return self._tensor(shape, dtype, quant, name=name)

    def becomes(self, node: Node, initial: tuple[int, ...]) -> None:
        """The states that `node` changes begin as these values."""
        for (before, after), value in zip(updated(node), initial, strict=True):
            tensor = self.tensors[before]
            self.tensors[after] = Tensor(after, tensor.shape, tensor.dtype, tensor.quant)
            data = np.full(tensor.shape, value, tensor.dtype.numpy)
            data.setflags(write=False)
            self.states.append(State(before, after, data))

    def assign(self, state: str, value: str, initial: int) -> None:
        """The variable becomes `value` in the end."""
        op = ops.AssignVariable()
        node = Node(f"assign_{state}", op, (value, state), (f"{state} (next)",))
        self.assigned.append(node)
        self.becomes(node, (initial,))

    def finished(self, *outputs: str) -> Graph:
        """The graph."""
        nodes = (*self.nodes, *self.assigned)
        return Graph(
            self.name, self.tensors, nodes, tuple(self.inputs), outputs, tuple(self.states)
        )


def wake_word(seed: int = 0) -> Graph:
    """A frame of features in, a score out: a convolution over the last frames, which a variable
    keeps, then a recurrent layer made of plain operators (a gated unit)."""
    b = StreamBuilder("wake_word", seed)
    x = b.input((1, 1, 1, CHANNELS), per_tensor(0.05, -3), name="frame")
    frames = per_tensor(0.05, -3)
    past = b.state("frames", (1, KEPT, 1, CHANNELS), frames)
    seen = b.node(ops.Concatenation(1), (past, x), frames)
    kept = b.node(_rows(1, KEPT, CHANNELS), (seen,), frames)
    b.assign("frames", kept, -3)
    y = b.depthwise(seen, kernel=(KEPT + 1, 1))
    flat = b.node(ops.Reshape((1, CHANNELS)), (y,))

    unit = per_tensor(1 / 128, 0)
    hidden = b.state("hidden", (1, 5), unit)
    both = b.node(ops.Concatenation(1), (b.node(ops.Quantize(), (flat,), unit), hidden), unit)
    gate = b.node(ops.Logistic(), (b.dense(both, 5),), per_tensor(1 / 256, -128))
    new = b.node(ops.Tanh(), (b.dense(both, 5),), unit)
    change = b.node(ops.Sub(), (new, hidden), per_tensor(1 / 64, 0))
    step = b.node(ops.Mul(), (gate, change), per_tensor(1 / 64, 0))
    after = b.node(ops.Add(), (hidden, step), unit)
    b.assign("hidden", after, 0)
    score = b.node(ops.Logistic(), (b.dense(after, 1),), per_tensor(1 / 256, -128))
    return b.finished(score)


def recurrent(seed: int = 0) -> Graph:
    """An SVDF layer, and an LSTM of which each invocation is one step."""
    b = StreamBuilder("recurrent", seed)
    x_scale, time_scale = f32(0.04), f32(2.0**-10)
    x = b.input((1, 7), per_tensor(x_scale, 5), name="features")
    state = b.state("svdf", (1, 8 * 4), Quant((f32(2.0**-11),), (0,)), DType.INT16)
    feature = b.const(b.rng.integers(-127, 128, (8, 7)).astype(np.int8), per_tensor(0.01))
    time = b.const(b.rng.integers(-900, 900, (8, 4)).astype(np.int16), per_tensor(time_scale))
    scale = f32(np.float32(2.0**-11) * np.float32(time_scale))
    bias = b.const(b.rng.integers(-9000, 9000, 4).astype(np.int32), per_tensor(scale))
    y = b._tensor((1, 4), DType.INT8, per_tensor(0.03, 2), name="svdf_out")
    node = Node("svdf", ops.Svdf(2), (x, feature, time, bias, state), (y, "svdf (next)"))
    b.nodes.append(node)
    b.becomes(node, (0,))

    size, unit = 3, per_tensor(1 / 128, 4)
    line = b.node(ops.Reshape((1, 1, 4)), (y,))
    first = [b.const(_bytes(b, (size, 4)), per_tensor(0.01)) for _ in range(4)]
    again = [b.const(_bytes(b, (size, size)), per_tensor(0.01)) for _ in range(4)]
    biases = [
        b.const(b.rng.integers(-500, 500, size).astype(np.int32), per_tensor(f32(0.03 * 0.01)))
        for _ in range(4)
    ]
    hidden = b.state("hidden", (1, size), unit)
    cell = b.state("cell", (1, size), Quant((2.0**-11,), (0,)), DType.INT16)
    out = b._tensor((1, 1, size), DType.INT8, unit, name="lstm_out")
    node = Node(
        "lstm",
        ops.Lstm(),
        (line, *first, *again, *biases, hidden, cell),
        (out, "hidden (next)", "cell (next)"),
    )
    b.nodes.append(node)
    b.becomes(node, (4, 0))
    return b.finished(b.dense(b.node(ops.Reshape((1, size)), (out,)), 2))


def _bytes(b: GraphBuilder, shape: tuple[int, ...]) -> Array:
    return b.rng.integers(-127, 128, shape).astype(np.int8)


def _rows(first: int, count: int, channels: int) -> ops.StridedSlice:
    """All of some rows of a map one pixel wide."""
    sizes = (1, count, 1, channels)
    return ops.StridedSlice((0, first, 0, 0), sizes, (1, 1, 1, 1), sizes)
