"""Ops that only move elements, of any dtype."""

import numpy as np

from tinyml.ir import ops
from tinyml.ir.graph import Array, Graph, Node
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
