"""The rules of the IR, checked after the importer and after every pass."""

import math
from collections.abc import Iterable

import numpy as np

from tinyml.errors import GraphError
from tinyml.ir.graph import DType, Graph, Node, Quant, Tensor, updated
from tinyml.ir.operands import misfit

_MAX_RANK = 6
_MAX_ELEMENTS = 2**31 - 1
"""Generated code counts elements in int32_t."""


def check(graph: Graph) -> None:
    """Raises GraphError unless `graph` keeps every rule of the IR.

    Names are unique and refer to tensors that are there; every tensor is a graph
    input, a state, a constant, or the result of exactly one node that comes before all that
    read it; shapes are what the ops infer; types, constants and quantisations are
    what the ops take; constants are read-only arrays of the declared type and shape.
    """
    for name, tensor in graph.tensors.items():
        if not name or name != tensor.name:
            raise GraphError(f"tensor '{tensor.name}' is listed under the name '{name}'")
        check_tensor(tensor)
    _check_names(graph)
    _check_states(graph)
    computed = set(graph.sources)
    for node in graph.nodes:
        _check_node(graph, node, computed)
        computed.update(node.outputs)
    for name, tensor in graph.tensors.items():
        if name not in computed and not tensor.is_const:
            raise GraphError(f"tensor '{name}' is neither computed, nor an input, nor constant")


def _check_names(graph: Graph) -> None:
    """Unique nodes, known tensors, one producer each."""
    for name in _repeated(node.name for node in graph.nodes):
        raise GraphError(f"two nodes are named '{name}'")
    for role, names in (("input", graph.inputs), ("output", graph.outputs)):
        for name in names:
            if name not in graph.tensors:
                raise GraphError(f"graph {role} '{name}' is not a tensor of the graph")
        for name in _repeated(names):
            raise GraphError(f"tensor '{name}' is listed twice as graph {role}")
    for name in graph.inputs:
        if graph.tensors[name].is_const:
            raise GraphError(f"graph input '{name}' is constant")
    for node in graph.nodes:
        if not node.name:
            raise GraphError(f"a {node.op.kind} has no name")
        for found in (*node.inputs, *node.outputs):
            if found is not None and found not in graph.tensors:
                raise _broken(node, f"tensor '{found}' is not in the graph")


def _check_states(graph: Graph) -> None:
    """Each is changed once, by a node that says so, after all that read it; no node reads it
    changed, nor does the application."""
    producers, consumers = graph.producers(), graph.consumers()
    position = {node.name: at for at, node in enumerate(graph.nodes)}
    names = [name for state in graph.states for name in (state.before, state.after)]
    for name in _repeated((*graph.inputs, *graph.outputs, *names)):
        if name in names:
            raise GraphError(f"tensor '{name}' of a state has another use")
    for state in graph.states:
        for name in (state.before, state.after):
            if name not in graph.tensors:
                raise GraphError(f"'{name}' of a state is not a tensor of the graph")
        before, after = graph.tensors[state.before], graph.tensors[state.after]
        shape, dtype = before.shape, before.dtype
        if (after.shape, after.dtype) != (shape, dtype) or before.is_const or after.is_const:
            raise GraphError(f"'{after.name}' cannot be what state '{before.name}' becomes")
        if (state.initial.shape, state.initial.dtype) != (shape, dtype.numpy):
            raise GraphError(f"state '{before.name}' does not begin as {dtype.value} {shape}")
        if state.initial.flags.writeable:
            raise GraphError(f"what state '{before.name}' begins with is writable")
        writer = producers.get(state.after)
        if writer is None or (state.before, state.after) not in updated(writer):
            raise GraphError(f"no node makes '{after.name}' of state '{before.name}'")
        if consumers[state.after]:
            raise _broken(consumers[state.after][0], f"reads '{state.after}', a state's last value")
        for reader in consumers[state.before]:
            if position[reader.name] > position[writer.name]:
                raise _broken(reader, f"reads state '{before.name}' after it has changed")
    changed = {state.after for state in graph.states}
    for node in graph.nodes:
        for name, result in updated(node):
            if result not in changed:
                raise _broken(node, f"changes '{name}', which is no state")


def _repeated(names: Iterable[str]) -> Iterable[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)


def _broken(node: Node, reason: str) -> GraphError:
    return GraphError(f"{node.op.kind} '{node.name}': {reason}")


def _check_node(graph: Graph, node: Node, computed: set[str]) -> None:
    """`computed` holds the graph's inputs and what earlier nodes give."""
    for name in graph.activations(node):
        if name not in computed:
            raise _broken(node, f"reads tensor '{name}' before it is computed")
    for tensor in graph.results(node):
        if tensor.name in computed or tensor.is_const:
            raise _broken(node, f"result '{tensor.name}' has a value already")
    for name in _repeated(node.outputs):
        raise _broken(node, f"result '{name}' is listed twice")
    operands, results = graph.operands(node), graph.results(node)
    reason = misfit(node.op, operands, results)
    if reason is not None:
        raise _broken(node, reason)
    try:
        shapes = node.op.infer(tuple(None if t is None else t.shape for t in operands))
    except ValueError as error:
        where = ", ".join(f"'{t.name}'" for t in operands if t is not None)
        raise _broken(node, f"{error} (inputs {where})") from error
    if len(shapes) != len(results):
        raise _broken(node, f"has {len(results)} results, computes {len(shapes)}")
    for tensor, shape in zip(results, shapes, strict=True):
        if tensor.shape != shape:
            raise _broken(node, f"tensor '{tensor.name}' is {tensor.shape}, computed is {shape}")


def check_tensor(tensor: Tensor) -> None:
    """Raises GraphError unless shape, data and quantisation of `tensor` are sound in themselves."""
    if len(tensor.shape) > _MAX_RANK:
        raise GraphError(f"tensor '{tensor.name}' has {len(tensor.shape)} dimensions")
    if any(dim < 1 for dim in tensor.shape):
        raise GraphError(f"tensor '{tensor.name}' has no elements: {tensor.shape}")
    if tensor.size > _MAX_ELEMENTS:
        raise GraphError(f"tensor '{tensor.name}' is too large: {tensor.shape}")
    if tensor.data is not None:
        if (tensor.data.dtype, tensor.data.shape) != (tensor.dtype.numpy, tensor.shape):
            raise GraphError(
                f"constant '{tensor.name}' is declared {tensor.dtype.value} {tensor.shape}, "
                f"holds {tensor.data.dtype} {tensor.data.shape}"
            )
        if tensor.data.flags.writeable:
            raise GraphError(f"constant '{tensor.name}' is writable")
    if tensor.quant is not None:
        _check_quant(tensor, tensor.quant)


def _check_quant(tensor: Tensor, quant: Quant) -> None:
    count = len(quant.scales)
    if count != len(quant.zero_points) or not count:
        raise GraphError(
            f"tensor '{tensor.name}' has {count} scales and {len(quant.zero_points)} zero points"
        )
    if count > 1:
        axis = quant.axis
        if not 0 <= axis < len(tensor.shape) or tensor.shape[axis] != count:
            raise GraphError(
                f"tensor '{tensor.name}' {tensor.shape} has {count} scales along dimension {axis}"
            )
    for scale in quant.scales:
        if not (math.isfinite(scale) and scale > 0 and float(np.float32(scale)) == scale):
            raise GraphError(f"tensor '{tensor.name}': {scale} is no scale in float32")
    if tensor.dtype in (DType.FLOAT32, DType.BOOL):
        raise GraphError(f"tensor '{tensor.name}' is {tensor.dtype.value}, yet quantised")
    limits = np.iinfo(tensor.dtype.value)
    for zero_point in quant.zero_points:
        if not limits.min <= zero_point <= limits.max:
            raise GraphError(
                f"tensor '{tensor.name}': zero point {zero_point} is no {tensor.dtype.value}"
            )
