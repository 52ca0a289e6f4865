"""What every binding starts from: one node in its graph, and the kernels allowed there."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinyml.errors import UnsupportedError
from tinyml.ir import ops
from tinyml.ir.graph import DType, Graph, Node, Tensor
from tinyml.kernels import registry
from tinyml.kernels.call import ConstArray, FieldValue
from tinyml.kernels.registry import Kernel
from tinyml.quant.scales import Rescale, unsupported

Fields = tuple[tuple[str, FieldValue], ...]

CTYPES = {
    DType.INT8: "int8_t",
    DType.UINT8: "uint8_t",
    DType.INT16: "int16_t",
    DType.INT32: "int32_t",
    DType.INT64: "int64_t",
    DType.FLOAT32: "float",
    DType.BOOL: "uint8_t",
}


@dataclass(frozen=True, slots=True)
class Site:
    """A node to bind. With `flatten`, rows that lie next to each other become one long row."""

    graph: Graph
    node: Node
    isa: tuple[str, ...]
    flatten: bool
    way: int = 0
    """Which of the kernels that serve is wanted: 0 for the preferred one; the last, where there are
    no so many."""

    @property
    def x(self) -> Tensor:
        """The first operand."""
        return self.operand(0)

    @property
    def y(self) -> Tensor:
        """The first result."""
        return self.graph.tensors[self.node.outputs[0]]

    def operand(self, index: int) -> Tensor:
        """The operand at `index`; GraphError is the checker's business, so it is there."""
        name = self.node.inputs[index]
        if name is None:
            raise self.unsupported(self.y, f"operand {index} is absent", "give it a value")
        return self.graph.tensors[name]

    def optional(self, index: int) -> Tensor | None:
        """The operand at `index`, None when it is absent."""
        name = self.node.inputs[index] if index < len(self.node.inputs) else None
        return None if name is None else self.graph.tensors[name]

    def kernel(self, *features: str) -> Kernel:
        """The kernel for the operator, its first operand's and result's types, and `features`."""
        found = self.kernels(self.node.op.kind, *features)
        if not found:
            raise self.unsupported(
                self.x,
                f"there is no kernel from {self.x.dtype.value} to {self.y.dtype.value}",
                "convert the model with full int8 quantisation",
            )
        return found[min(self.way, len(found) - 1)]

    def kernels(self, kind: str, *features: str) -> tuple[Kernel, ...]:
        """All that serve operators of `kind` with these types, the preferred first."""
        return registry.find(kind, self.x.dtype, self.y.dtype, self.isa, features)

    def require(self, tensor: Tensor, dtype: DType) -> None:
        """Refuse `tensor` unless its element type is `dtype`."""
        if tensor.dtype is not dtype:
            raise self.unsupported(
                tensor,
                f"the kernel needs {dtype.value}, not {tensor.dtype.value}",
                "convert the model with full int8 quantisation",
            )

    def constant(self, index: int, dtype: DType) -> npt.NDArray[np.generic]:
        """The data of a constant operand of element type `dtype`."""
        tensor = self.operand(index)
        if tensor.data is None:
            raise self.unsupported(
                tensor, "it is computed at run time", "only constant weights can be deployed"
            )
        self.require(tensor, dtype)
        return tensor.data

    def unsupported(self, tensor: Tensor, why: str, hint: str) -> UnsupportedError:
        """The error that refuses this node because of `tensor`."""
        return unsupported(self.node, tensor, why, hint)


def table(ctype: str, data: Iterable[int] | npt.NDArray[np.generic]) -> ConstArray:
    """A flat table of `ctype` (`int8_t`, `int16_t` or `int32_t`)."""
    dtype = np.dtype(ctype.removesuffix("_t"))
    values = data if isinstance(data, np.ndarray) else np.array(list(data), np.int64)
    if values.dtype != dtype:
        narrow = values.astype(dtype)
        if not np.array_equal(narrow, values):
            raise ValueError(f"a table of {ctype} cannot hold its values")
        values = narrow
    return ConstArray(ctype, np.ascontiguousarray(values).reshape(-1))


def raw(tensor: Tensor) -> ConstArray:
    """The data of a constant tensor as a table."""
    return ConstArray(CTYPES[tensor.dtype], np.ascontiguousarray(tensor.values).reshape(-1))


def within(name: str, fields: Fields) -> Fields:
    """The fields of the member `name`."""
    return tuple((f"{name}.{field}", value) for field, value in fields)


def scale_fields(name: str, scale: Rescale) -> Fields:
    """The fields of a `tinyml_scale` member."""
    return within(name, (("multiplier", scale.multiplier), ("shift", scale.shift)))


def window_fields(op: ops.Conv2D | ops.DepthwiseConv2D, height: int, width: int) -> Fields:
    """The fields that say what the windows of a convolution are along a row."""
    return (
        ("kernel_height", height),
        ("kernel_width", width),
        ("stride_x", op.stride[1]),
        ("dilation_x", op.dilation[1]),
    )
