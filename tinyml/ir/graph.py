"""The intermediate representation: frozen tensors and nodes in a graph.

A graph holds static shapes only. Data layout is TFLite's: NHWC activations,
OHWI convolution weights, 1HWC depthwise weights, [out, in] dense weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from math import prod
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from tinyml.ir.ops import Op

Shape = tuple[int, ...]
Array = npt.NDArray[np.generic]


class DType(Enum):
    """Element types; the value is NumPy's name of the type."""

    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT32 = "float32"
    BOOL = "bool"

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The NumPy dtype."""
        return np.dtype(self.value)

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self.numpy.itemsize


@dataclass(frozen=True, slots=True)
class Quant:
    """Affine quantisation: real = scale * (q - zero_point).

    `scales` are float32 values held exactly as Python floats. One entry means
    per-tensor; several mean per-channel along `axis`.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0

    @property
    def scale(self) -> float:
        """The scale of a per-tensor quantisation."""
        (scale,) = self.scales
        return scale

    @property
    def zero_point(self) -> int:
        """The zero point of a per-tensor quantisation."""
        (zero_point,) = self.zero_points
        return zero_point


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A typed, named array; `data` is set for constants (read-only) and None for activations."""

    name: str
    shape: Shape
    dtype: DType
    quant: Quant | None = None
    data: Array | None = None

    @property
    def size(self) -> int:
        """Number of elements (1 for a scalar)."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes when stored densely."""
        return self.size * self.dtype.itemsize

    @property
    def is_const(self) -> bool:
        """Whether the value is known at build time."""
        return self.data is not None

    @property
    def q(self) -> Quant:
        """The quantisation, for code that has checked that there is one."""
        if self.quant is None:
            raise ValueError(f"tensor '{self.name}' is not quantised")
        return self.quant

    @property
    def values(self) -> Array:
        """The constant's data, for code that has checked that it is one."""
        if self.data is None:
            raise ValueError(f"tensor '{self.name}' is not constant")
        return self.data


@dataclass(frozen=True, slots=True)
class Node:
    """One operator application; `inputs` may hold None for an absent optional operand (bias)."""

    name: str
    op: Op
    inputs: tuple[str | None, ...]
    outputs: tuple[str, ...]

    @property
    def output(self) -> str:
        """The name of the only output."""
        (output,) = self.outputs
        return output


def updated(node: Node) -> tuple[tuple[str, str], ...]:
    """The states that `node` changes: the operand, and the result that it becomes."""
    operands = [node.inputs[position] for position in node.op.updates]
    results = node.outputs[len(node.outputs) - len(operands) :]
    return tuple((a, b) for a, b in zip(operands, results, strict=True) if a is not None)


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Bytes that last from one invocation to the next.

    Tensor `before` has them as the invocation finds them, `after` as it leaves them: of the same
    shape and type, computed by the one node that changes them (`Op.updates`), and read by none.
    """

    before: str
    after: str
    initial: Array
    """What `before` is in the first invocation, and in the first after a reset (read-only)."""


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A network: nodes in a valid execution order, tensors by name.

    Whatever reads a state comes before the node that changes it, as both lie in the same bytes.
    """

    name: str
    tensors: Mapping[str, Tensor] = field(repr=False)
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    states: tuple[State, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))

    @property
    def sources(self) -> tuple[str, ...]:
        """The tensors that are there before the first node runs: inputs and states."""
        return (*self.inputs, *(state.before for state in self.states))

    @property
    def sinks(self) -> tuple[str, ...]:
        """The tensors that are wanted after the last node: outputs and states."""
        return (*self.outputs, *(state.after for state in self.states))

    def operands(self, node: Node) -> tuple[Tensor | None, ...]:
        """The input tensors of `node`, None where an optional one is absent."""
        return tuple(None if name is None else self.tensors[name] for name in node.inputs)

    def results(self, node: Node) -> tuple[Tensor, ...]:
        """The output tensors of `node`."""
        return tuple(self.tensors[name] for name in node.outputs)

    def activations(self, node: Node) -> tuple[str, ...]:
        """Names of the inputs of `node` that live in the arena: present and not constant."""
        return tuple(n for n in node.inputs if n is not None and not self.tensors[n].is_const)

    def producers(self) -> dict[str, Node]:
        """Tensor name -> the node that computes it."""
        return {name: node for node in self.nodes for name in node.outputs}

    def consumers(self) -> dict[str, tuple[Node, ...]]:
        """Tensor name -> the nodes that read it, in order (every tensor has an entry)."""
        found: dict[str, list[Node]] = {name: [] for name in self.tensors}
        for node in self.nodes:
            for name in dict.fromkeys(n for n in node.inputs if n is not None):
                found[name].append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    def macs(self, node: Node) -> int:
        """Multiply-accumulates of one execution of `node`."""
        return node.op.macs(
            tuple(None if t is None else t.shape for t in self.operands(node)),
            tuple(t.shape for t in self.results(node)),
        )

    def rebuilt(
        self, nodes: tuple[Node, ...], tensors: Mapping[str, Tensor] | None = None
    ) -> "Graph":
        """A copy with other nodes (and tensors), without the tensors nothing refers to.

        A state goes with the node that changes it.
        """
        pool = self.tensors if tensors is None else tensors
        used = {*self.inputs, *self.outputs}
        written = {name for node in nodes for name in node.outputs}
        states = tuple(state for state in self.states if state.after in written)
        for node in nodes:
            used.update(n for n in (*node.inputs, *node.outputs) if n is not None)
        kept = {name: tensor for name, tensor in pool.items() if name in used}
        return replace(self, nodes=nodes, tensors=kept, states=states)
