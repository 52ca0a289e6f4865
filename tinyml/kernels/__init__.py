"""Kernels: which C kernel computes a node, with which constants and loop (see `call`)."""

from collections.abc import Callable, Iterable, Iterator
from itertools import count

from tinyml.errors import UnsupportedError
from tinyml.ir import ops
from tinyml.ir.graph import Graph, Node
from tinyml.kernels import (
    bind_copy,
    bind_elementwise,
    bind_linear,
    bind_pool,
    bind_product,
    bind_quantize,
    bind_recurrent,
    bind_reduce,
    bind_resize,
    bind_view,
    registry,
)
from tinyml.kernels.call import KernelCall
from tinyml.kernels.site import Site

_BINDERS: dict[type[ops.Op], Callable[[Site], KernelCall]] = {
    ops.Conv2D: bind_linear.conv,
    ops.DepthwiseConv2D: bind_linear.depthwise_conv,
    ops.FullyConnected: bind_linear.fully_connected,
    ops.TransposeConv: bind_product.transpose_conv,
    ops.BatchMatMul: bind_product.batch_matmul,
    ops.AveragePool2D: bind_pool.pool,
    ops.MaxPool2D: bind_pool.pool,
    ops.Add: bind_elementwise.add,
    ops.Sub: bind_elementwise.add,
    ops.Mul: bind_elementwise.mul,
    ops.Minimum: bind_elementwise.extremum,
    ops.Maximum: bind_elementwise.extremum,
    ops.Prelu: bind_elementwise.prelu,
    ops.SquaredDifference: bind_elementwise.squared_difference,
    **dict.fromkeys(ops.COMPARISONS, bind_elementwise.compare),
    ops.LogicalAnd: bind_elementwise.extremum,
    ops.LogicalOr: bind_elementwise.extremum,
    ops.LogicalNot: bind_elementwise.lookup,
    **dict.fromkeys(ops.TABULATED, bind_elementwise.lookup),
    ops.Quantize: bind_quantize.quantize,
    ops.Dequantize: bind_quantize.dequantize,
    ops.Reshape: bind_copy.reshape,
    ops.Pad: bind_copy.pad,
    ops.Concatenation: bind_copy.concatenation,
    ops.Pack: bind_copy.pack,
    **dict.fromkeys((ops.Split, ops.SplitV, ops.Unpack), bind_copy.split),
    ops.Gather: bind_copy.gather,
    ops.BroadcastTo: bind_view.broadcast_to,
    ops.SpaceToDepth: bind_view.space_to_depth,
    ops.DepthToSpace: bind_view.depth_to_space,
    ops.Transpose: bind_view.transpose,
    ops.StridedSlice: bind_view.strided_slice,
    ops.ResizeNearestNeighbor: bind_resize.resize_nearest,
    ops.ResizeBilinear: bind_resize.resize_bilinear,
    ops.Mean: bind_reduce.mean,
    **dict.fromkeys((ops.ArgMax, ops.ArgMin), bind_reduce.arg),
    **dict.fromkeys((ops.ReduceMax, ops.ReduceMin), bind_reduce.extremum),
    ops.Softmax: bind_reduce.softmax,
    ops.AssignVariable: bind_recurrent.assign,
    ops.Svdf: bind_recurrent.svdf,
    ops.Lstm: bind_recurrent.lstm,
}


def bind(
    graph: Graph,
    node: Node,
    isa: tuple[str, ...] = ("portable",),
    *,
    flatten: bool = True,
    among: frozenset[str] = frozenset(),
) -> KernelCall:
    """The kernel for `node`, with its constants, tables, scratch and loop.

    `isa` lists the instruction sets allowed, the preferred first. With `flatten`,
    rows that lie next to each other are computed as one long row where the operator
    allows; without, every call is one row of the output map, as streams and strips
    need it. Of several kernels that serve, it is one of `among`, if any, or else the
    preferred one. UnsupportedError when no kernel computes the node.
    """
    found = ways(graph, node, isa, flatten=flatten)
    first = next(found)
    if not among or first.kernel in among:
        return first
    return next((call for call in found if call.kernel in among), first)


def ways(
    graph: Graph, node: Node, isa: tuple[str, ...] = ("portable",), *, flatten: bool = True
) -> Iterator[KernelCall]:
    """All kernels that compute `node` on the first instruction set that does, the preferred first.

    Arguments and errors are those of `bind`.
    """
    binder = _BINDERS.get(type(node.op))
    if binder is None:
        raise UnsupportedError(
            f"{node.op.kind} '{node.name}', tensor '{node.outputs[0]}': there is no kernel for it",
            hint="replace the operator in the model",
        )
    seen = set()
    for way in count():
        call = binder(Site(graph, node, isa, flatten, way))
        if call.kernel in seen:
            return
        seen.add(call.kernel)
        yield call


TRAINING = "train_"
"""How the names of the kernels of training begin, which the registry does not list."""


def kernel_sources(calls: Iterable[KernelCall]) -> tuple[str, ...]:
    """The C files that `calls` need, relative to the runtime's folder, sorted."""
    names = {call.kernel for call in calls if call.kernel}
    return tuple(sorted(map(_source, names)))


def _source(kernel: str) -> str:
    """Kernels of training have a file each, called like the rest of their name."""
    if kernel.startswith(TRAINING):
        return f"src/train/{kernel.removeprefix(TRAINING)}.c"
    return f"src/{registry.by_name(kernel).source}"
