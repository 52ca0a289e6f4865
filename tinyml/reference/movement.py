"""Ops that only move elements, of any dtype."""

import numpy as np

from tinyml.ir import ops
from tinyml.ir.graph import Array, DType, Graph, Node
from tinyml.reference.registry import ANY_TYPE, Operands, computes, present


@computes(ops.Pad, types=ANY_TYPE)
def _pad(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.Pad)
    value = op.value
    if value is None:
        quant = graph.results(node)[0].quant
        value = 0 if quant is None else quant.zero_point
    return (np.pad(present(operands, 0), op.paddings, constant_values=value),)


@computes(ops.Reshape, types=ANY_TYPE)
def _reshape(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.Reshape)
    return (present(operands, 0).reshape(op.shape),)


@computes(ops.Transpose, types=ANY_TYPE)
def _transpose(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.Transpose)
    return (np.ascontiguousarray(present(operands, 0).transpose(op.perm)),)


@computes(ops.Concatenation, types=ANY_TYPE)
def _concatenation(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.Concatenation)
    parts = [present(operands, i) for i in range(len(operands))]
    return (np.concatenate(parts, axis=op.axis),)


@computes(ops.Split, types=ANY_TYPE)
def _split(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.Split)
    return tuple(
        np.ascontiguousarray(part)
        for part in np.split(present(operands, 0), op.count, axis=op.axis)
    )


@computes(ops.StridedSlice, types=ANY_TYPE)
def _strided_slice(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.StridedSlice)
    picked = present(operands, 0)
    for axis, (begin, size, stride) in enumerate(zip(op.begin, op.sizes, op.strides, strict=True)):
        picked = picked.take(begin + stride * np.arange(size), axis)
    return (picked.reshape(op.shape),)


@computes(ops.SplitV, types=ANY_TYPE)
def _split_v(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.SplitV)
    parts = np.split(present(operands, 0), np.cumsum(op.sizes)[:-1], axis=op.axis)
    return tuple(np.ascontiguousarray(part) for part in parts)


@computes(ops.Pack, types=ANY_TYPE)
def _pack(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.Pack)
    return (np.stack([present(operands, i) for i in range(len(operands))], axis=op.axis),)


@computes(ops.Unpack, types=ANY_TYPE)
def _unpack(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.Unpack)
    return tuple(
        np.ascontiguousarray(part) for part in np.moveaxis(present(operands, 0), op.axis, 0)
    )


@computes(ops.BroadcastTo, types=ANY_TYPE)
def _broadcast_to(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.BroadcastTo)
    return (np.ascontiguousarray(np.broadcast_to(present(operands, 0), op.shape)),)


@computes(ops.SpaceToDepth, types=ANY_TYPE)
def _space_to_depth(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.SpaceToDepth)
    (y,), b = graph.results(node), op.block
    n, height, width, _ = y.shape
    blocks = present(operands, 0).reshape(n, height, b, width, b, -1)
    return (np.ascontiguousarray(blocks.transpose(0, 1, 3, 2, 4, 5)).reshape(y.shape),)


@computes(ops.DepthToSpace, types=ANY_TYPE)
def _depth_to_space(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    op = node.op
    assert isinstance(op, ops.DepthToSpace)
    (y,), b, x = graph.results(node), op.block, present(operands, 0)
    n, height, width, _ = x.shape
    blocks = x.reshape(n, height, width, b, b, -1)
    return (np.ascontiguousarray(blocks.transpose(0, 1, 3, 2, 4, 5)).reshape(y.shape),)


@computes(ops.Gather, types=frozenset({(DType.INT32, DType.INT8)}))
def _gather(graph: Graph, node: Node, operands: Operands) -> tuple[Array, ...]:
    indices, rows = present(operands, 0), present(operands, 1)
    return (rows[np.clip(indices, 0, rows.shape[0] - 1)],)
