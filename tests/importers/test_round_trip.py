"""What the writer writes, the importer reads back."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.graphs import graphs
from tests.support.strategies import CASES
from tests.support.tflite_writer import edited, write
from tinyml.importers.tflite import read
from tinyml.ir import ops
from tinyml.ir.check import check
from tinyml.ir.graph import Graph, Quant, Tensor


def _plain_quant(tensor: Tensor) -> Quant | None:
    """Without the axis that a single scale does not need."""
    quant = tensor.quant
    if quant is None or len(quant.scales) > 1:
        return quant
    return Quant(quant.scales, quant.zero_points)


def _plain_op(op: ops.Op) -> ops.Op:
    """Without the strides that single elements do not need."""
    if not isinstance(op, ops.StridedSlice):
        return op
    strides = (s if n > 1 else 1 for n, s in zip(op.sizes, op.strides, strict=True))
    return replace(op, strides=tuple(strides))


def assert_same(found: Graph, expected: Graph) -> None:
    """Everything but the names of nodes."""
    assert found.inputs == expected.inputs
    assert found.outputs == expected.outputs
    assert [(n.op, n.inputs, n.outputs) for n in found.nodes] == [
        (_plain_op(n.op), n.inputs, n.outputs) for n in expected.nodes
    ]
    assert set(found.tensors) == set(expected.tensors)
    for name, tensor in expected.tensors.items():
        again = found.tensors[name]
        assert (again.shape, again.dtype) == (tensor.shape, tensor.dtype)
        assert _plain_quant(again) == _plain_quant(tensor)
        assert again.is_const == tensor.is_const
        if tensor.is_const:
            np.testing.assert_array_equal(again.values, tensor.values)
            assert not again.values.flags.writeable


@pytest.mark.parametrize("kind", sorted(CASES))
def test_every_op(kind: str) -> None:
    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(CASES[kind])
    def run(case) -> None:
        check(case.graph)
        assert_same(read(write(case.graph), "m"), case.graph)

    run()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(graphs(for_tflm=True))
def test_networks(graph: Graph) -> None:
    check(graph)
    assert_same(read(write(graph), "m"), graph)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(graphs(for_tflm=True), st.data())
def test_names_become_unique_and_readable(graph: Graph, data: st.DataObject) -> None:
    """Names that are empty, alike or unprintable in the file."""
    names = st.sampled_from(("", "a", "a_2", "net/a/Relu;net/b/BiasAdd", "x\ny\0", "\u00e9*/"))

    def rename(model) -> None:
        for tensor in model.subgraphs[0].tensors:
            tensor.name = data.draw(names)

    again = read(edited(write(graph), rename), "m")
    check(again)
    for name in [*again.tensors, *(node.name for node in again.nodes)]:
        assert name and name.isprintable()
    assert len(again.nodes) == len(graph.nodes)
    for found, expected in zip(again.nodes, graph.nodes, strict=True):
        assert found.op == _plain_op(expected.op)
