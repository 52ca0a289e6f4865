"""Op class -> the function that computes it."""

from collections.abc import Callable

from tinyml.errors import UnsupportedError
from tinyml.ir.graph import Array, Graph, Node
from tinyml.ir.ops import Op

Operands = tuple[Array | None, ...]

Kernel = Callable[[Graph, Node, Operands], tuple[Array, ...]]
"""(graph, node, operand values) -> result values, of the tensors' shapes and dtypes."""

KERNELS: dict[type[Op], Kernel] = {}


def computes(*kinds: type[Op]) -> Callable[[Kernel], Kernel]:
    """Register a kernel for these ops."""

    def register(kernel: Kernel) -> Kernel:
        for kind in kinds:
            KERNELS[kind] = kernel
        return kernel

    return register


def kernel_for(node: Node) -> Kernel:
    """The kernel of `node`; UnsupportedError when there is none."""
    kernel = KERNELS.get(type(node.op))
    if kernel is None:
        raise UnsupportedError(f"the reference has no {node.op.kind} (node '{node.name}')")
    return kernel


def present(operands: Operands, index: int) -> Array:
    """The operand at `index`, which is not optional."""
    value = operands[index]
    if value is None:
        raise ValueError(f"operand {index} is absent")
    return value
