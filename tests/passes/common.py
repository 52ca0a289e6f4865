"""What every pass must keep."""

import numpy as np

from tests.support.builder import random_inputs
from tinyml import reference
from tinyml.ir.check import check
from tinyml.ir.graph import Graph
from tinyml.passes.rewrite import same_type


def kinds(graph: Graph) -> list[str]:
    """The op kinds, in order."""
    return [node.op.kind for node in graph.nodes]


def assert_equivalent(before: Graph, after: Graph, *, seeds: int = 3) -> None:
    """`after` is sound, has the interface of `before`, and gives the same bytes."""
    check(before)
    check(after)
    assert (after.inputs, after.outputs) == (before.inputs, before.outputs)
    for name in (*before.inputs, *before.outputs):
        assert same_type(before.tensors[name], after.tensors[name]), name
    for seed in range(seeds):
        inputs = random_inputs(before, seed)
        expected, found = reference.run(before, inputs), reference.run(after, inputs)
        for name, data in expected.items():
            np.testing.assert_array_equal(found[name], data, err_msg=name)
