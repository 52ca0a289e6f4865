"""Runs a graph node by node."""

from collections.abc import Mapping

import numpy as np

from tinyml.ir.graph import Array, Graph

# Importing a family registers its kernels.
from tinyml.reference import (
    activation,
    elementwise,
    linear,
    movement,
    pool,
    recurrent,
    reduce,
    resize,
)
from tinyml.reference.registry import kernel_for

FAMILIES = (activation, elementwise, linear, movement, pool, recurrent, reduce, resize)


States = Mapping[str, Array]
"""The values of a graph's states, by the names of their tensors `before`."""


def initial_states(graph: Graph) -> dict[str, Array]:
    """The states of `graph` before its first invocation, and after a reset."""
    return {state.before: state.initial for state in graph.states}


def run(graph: Graph, inputs: Mapping[str, Array], *, keep: bool = False) -> dict[str, Array]:
    """The outputs of the first invocation of `graph`, for `inputs`, both by tensor name.

    Arrays have the shape and dtype of their tensors; NHWC. With `keep` every
    activation tensor is returned, inputs and states included. Raises ValueError when `inputs`
    does not fit the graph, UnsupportedError for an op without a kernel.
    """
    return step(graph, inputs, initial_states(graph), keep=keep)[0]


def step(
    graph: Graph, inputs: Mapping[str, Array], states: States, *, keep: bool = False
) -> tuple[dict[str, Array], dict[str, Array]]:
    """What `run` returns, of an invocation that finds `states`, and the states it leaves."""
    _check_inputs(graph, inputs)
    values = {name: t.data for name, t in graph.tensors.items() if t.data is not None}
    values |= {name: np.asarray(array) for name, array in inputs.items()}
    values |= states
    for node in graph.nodes:
        operands = tuple(None if name is None else values[name] for name in node.inputs)
        results = kernel_for(graph, node)(graph, node, operands)
        for tensor, value in zip(graph.results(node), results, strict=True):
            assert value.shape == tensor.shape and value.dtype == tensor.dtype.numpy, node.name
            values[tensor.name] = value
    left = {state.before: values[state.after] for state in graph.states}
    if keep:
        kept = {name: value for name, value in values.items() if not graph.tensors[name].is_const}
        return kept, left
    return {name: values[name] for name in graph.outputs}, left


def _check_inputs(graph: Graph, inputs: Mapping[str, Array]) -> None:
    if set(inputs) != set(graph.inputs):
        raise ValueError(
            f"'{graph.name}' takes the inputs {sorted(graph.inputs)}, not {sorted(inputs)}"
        )
    for name, array in inputs.items():
        tensor, given = graph.tensors[name], np.asarray(array)
        if given.shape != tensor.shape or given.dtype != tensor.dtype.numpy:
            raise ValueError(
                f"input '{name}' takes {tensor.dtype.value}{list(tensor.shape)}, "
                f"not {given.dtype}{list(given.shape)}"
            )
