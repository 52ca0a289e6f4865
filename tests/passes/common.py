"""What every pass must keep."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from tests.support.builder import frozen, random_inputs
from tinyml import reference
from tinyml.ir import ops
from tinyml.ir.check import check
from tinyml.ir.graph import Graph, Node, Tensor
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


@st.composite
def with_dead_channels(draw: st.DrawFn, networks: st.SearchStrategy[Graph]) -> Graph:
    """A network drawn from `networks`, where some layers have filters or inputs of zeros.

    Biases of such filters are 0 at times, so that the channel is at the zero point.
    """
    graph = draw(networks)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        if isinstance(node.op, ops.Conv2D | ops.DepthwiseConv2D | ops.FullyConnected):
            for tensor in _emptied(graph, node, rng):
                tensors[tensor.name] = tensor
    return replace(graph, tensors=tensors)


def _emptied(graph: Graph, node: Node, rng: np.random.Generator) -> list[Tensor]:
    """The weights and bias of `node`, with zeros along some outputs, inputs and taps."""
    _, w, *rest = graph.operands(node)
    assert w is not None
    last = isinstance(node.op, ops.DepthwiseConv2D)
    weights = np.moveaxis(w.values.copy(), -1 if last else 0, 0)
    outputs = rng.random(len(weights)) < rng.choice([0, 0.5, 0.9])
    weights[outputs] = w.q.zero_points[0]
    inputs = rng.random(weights.shape[-1]) < rng.choice([0, 0, 0.5, 0.9])
    weights[..., inputs] = w.q.zero_points[0]
    found = [replace(w, data=frozen(np.moveaxis(weights, 0, -1 if last else 0)))]
    biases = [t for t in rest if t is not None and rng.random() < 0.6]
    return found + [replace(t, data=frozen(np.where(outputs, 0, t.values))) for t in biases]
