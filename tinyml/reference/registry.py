"""Op class and element types -> the function that computes it."""

from collections.abc import Callable

from tinyml.errors import UnsupportedError
from tinyml.ir.graph import Array, DType, Graph, Node
from tinyml.ir.ops import Op
from tinyml.ir.ops.real import InFloat32

Operands = tuple[Array | None, ...]

Kernel = Callable[[Graph, Node, Operands], tuple[Array, ...]]
"""(graph, node, operand values) -> result values, of the tensors' shapes and dtypes."""

Signature = tuple[DType, DType]
"""Element types of the first operand and of the results."""

ANY_TYPE = frozenset((dtype, dtype) for dtype in DType)
INT8_ONLY = frozenset({(DType.INT8, DType.INT8)})

_KERNELS: dict[type[Op], tuple[Kernel, frozenset[Signature]]] = {}


def computes(
    *kinds: type[Op], types: frozenset[Signature] = INT8_ONLY
) -> Callable[[Kernel], Kernel]:
    """Register a kernel for these ops on these element types."""

    def register(kernel: Kernel) -> Kernel:
        for kind in kinds:
            _KERNELS[kind] = (kernel, types)
        return kernel

    return register


def kernel_for(graph: Graph, node: Node) -> Kernel:
    """The kernel of `node`; UnsupportedError when there is none for its element types."""
    kernel, types = _KERNELS.get(type(node.op), (None, frozenset()))
    source, target = graph.operands(node)[0], graph.results(node)[0]
    if kernel is None or source is None or (source.dtype, target.dtype) not in types:
        given = "nothing" if source is None else source.dtype.value
        raise UnsupportedError(
            f"{node.op.kind} '{node.name}' from {given} to {target.dtype.value} "
            f"(tensor '{target.name}') has no reference",
            hint="quantise the model to int8",
        )
    return kernel


def computed_kinds() -> frozenset[str]:
    """TFLite's names of the ops that have a kernel."""
    return frozenset(op.kind for op in _KERNELS if op is not InFloat32)


def present(operands: Operands, index: int) -> Array:
    """The operand at `index`, which is not optional."""
    value = operands[index]
    if value is None:
        raise ValueError(f"operand {index} is absent")
    return value
