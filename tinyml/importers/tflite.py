"""TensorFlow Lite models: a .tflite file becomes a graph.

What a file says wrongly is a ModelError; what it says soundly but beyond this
version is an UnsupportedError, which lists all operators concerned at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tinyml.errors import GraphError, ModelError, UnsupportedError, UnsupportedOp
from tinyml.importers.call import Call, RefusalError
from tinyml.importers.names import Namer, node_name, printable
from tinyml.importers.shapes import shape_value
from tinyml.importers.tflite_file import FileGraph, FileOperator, read_file
from tinyml.importers.tflite_ops import RESOLVERS
from tinyml.importers.tflite_states import VARIABLES, StateError, States
from tinyml.importers.tflite_tensors import Unusable, tensors_of
from tinyml.ir.check import check
from tinyml.ir.graph import Graph, Node, Tensor
from tinyml.ir.operands import completed, misfit
from tinyml.quant.params import check_params

_FLOAT = "computes in floating point"
_QUANTISE = (
    "quantise the model to full int8: tinyml convert MODEL -o INT8.tflite --data SAMPLES, or "
    "TFLiteConverter with a representative_dataset and supported_ops = [TFLITE_BUILTINS_INT8]"
)
_REPLACE = "replace these operators in the model, or leave them to the application"

OPERATORS = tuple(sorted((*RESOLVERS, *VARIABLES)))
"""Every operator that is taken."""

_Tensors = Mapping[int, Tensor | Unusable]


def read(data: bytes, name: str) -> Graph:
    """The graph in a .tflite file's bytes; `name` is for the graph and for messages.

    Raises ModelError when the file is damaged or says what no model can mean, and
    UnsupportedError, with every operator concerned, when it cannot be deployed.
    """
    try:
        return _graph(read_file(data), name)
    except UnsupportedError as error:
        what = f"model '{name}': {error.what}"
        raise UnsupportedError(what, hint=error.hint, items=error.items) from error
    except (ModelError, GraphError) as error:
        raise ModelError(f"model '{name}': {error.what}", hint=error.hint) from error


def read_inputs(data: bytes, name: str) -> tuple[Tensor, ...]:
    """The inputs of any .tflite file, in its order, whatever its operators.

    Raises as `read` does, for what is wrong with the file or its inputs.
    """
    file = read_file(data)
    _refuse_dynamic(file)
    tensors = tensors_of(file)
    found = tuple(tensors[index] for index in file.inputs)
    for tensor in found:
        if isinstance(tensor, Unusable):
            raise UnsupportedError(f"model '{name}': {tensor.reason}")
    return tuple(tensor for tensor in found if isinstance(tensor, Tensor))


def _graph(file: FileGraph, name: str) -> Graph:
    _refuse_dynamic(file)
    tensors = tensors_of(file)
    namer = Namer()
    found: list[Node | UnsupportedOp] = []
    states = States(file, tensors, lambda operator, *where: _node(operator, *where, namer=namer))
    for operator in file.operators:
        if operator.kind in VARIABLES and not operator.is_custom:
            found += states.variable(operator, namer)
            continue
        value = shape_value(operator, tensors)
        if value is None or operator.outputs[0] in file.outputs:
            found.append(_node(operator, file, tensors, states, namer=namer))
        else:
            index = operator.outputs[0]
            tensor = tensors[index]
            assert isinstance(tensor, Tensor)
            tensors[index] = replace(tensor, data=value)
    found += states.assignments(namer, [item for item in found if isinstance(item, Node)])
    _refuse([item for item in found if isinstance(item, UnsupportedOp)], len(found))
    if len(states.once) < len(file.others):
        raise UnsupportedError(
            f"the file has {len(file.others) + 1} subgraphs",
            hint="export it with a single signature",
        )
    known = {tensor.name: tensor for tensor in tensors.values() if isinstance(tensor, Tensor)}
    graph = Graph(
        name=name,
        tensors={**known, **states.added},
        nodes=(),
        inputs=_names(file.inputs, tensors),
        outputs=_names(file.outputs, tensors),
    )
    graph = replace(graph, states=tuple(states.found.values())).rebuilt(
        tuple(item for item in found if isinstance(item, Node))
    )
    check(graph)
    scales = [_unsuitable_scales(graph, node) for node in graph.nodes]
    _refuse([item for item in scales if item is not None], len(found))
    return graph


def _refuse_dynamic(file: FileGraph) -> None:
    """Only a batch of 1 may be called open; all shapes follow from those of the inputs."""
    for tensor in (file.tensors[index] for index in file.inputs):
        opened = [i for i, dim in enumerate(tensor.signature) if dim == -1]
        opened += [i for i, dim in enumerate(tensor.shape) if dim == 0]
        if opened and (opened != [0] or tensor.shape[:1] != (1,)):
            shape = tensor.signature or tensor.shape
            raise UnsupportedError(
                f"input '{printable(tensor.name)}' has a dynamic shape: {list(shape)}",
                hint="export it with a fixed input shape and a batch of 1",
            )


def _names(indices: Sequence[int], tensors: _Tensors) -> tuple[str, ...]:
    """The names of the graph's inputs or outputs."""
    for tensor in (tensors[index] for index in indices):
        if isinstance(tensor, Unusable):
            raise UnsupportedError(tensor.reason)
    return tuple(tensors[index].name for index in indices)


def _node(
    operator: FileOperator, file: FileGraph, tensors: _Tensors, states: States, *, namer: Namer
) -> Node | UnsupportedOp:
    inputs = [None if index == -1 else tensors[index] for index in operator.inputs]
    outputs = [tensors[index] for index in operator.outputs]
    concerned = outputs or [tensor for tensor in inputs if tensor is not None]

    def refused(reason: str) -> UnsupportedOp:
        kind = printable(operator.kind)
        return UnsupportedOp(kind, tuple(tensor.name for tensor in concerned), reason)

    if operator.is_custom or operator.kind not in RESOLVERS:
        return refused("is a custom operator" if operator.is_custom else "is not supported")
    indices = {index for index in (*operator.inputs, *operator.outputs) if index != -1}
    is_float = any(file.tensors[index].type.startswith("FLOAT") for index in indices)
    for tensor in (*inputs, *outputs):
        if isinstance(tensor, Unusable):
            return refused(_FLOAT if is_float else tensor.reason)

    options_type, resolver = RESOLVERS[operator.kind]
    call = Call(
        kind=operator.kind,
        options=operator.options,
        operands=tuple(tensor for tensor in inputs if not isinstance(tensor, Unusable)),
        results=tuple(tensor for tensor in outputs if isinstance(tensor, Tensor)),
    )
    if not call.results:
        raise call.damaged("has no result")
    if options_type not in (None, operator.options_type):
        raise call.damaged(f"has no {options_type}")
    try:
        op, kept = resolver(call)
    except RefusalError as error:
        return refused(str(error))
    operands = completed(op, call.kept(kept))
    try:
        results = (*call.results, *states.updates(op, operator, operands))
    except StateError as error:
        return refused(_FLOAT if is_float else str(error))
    reason = misfit(op, operands, results)
    if reason is not None:
        return refused(_FLOAT if is_float else reason)
    return Node(
        name=namer(node_name(call.results[0].name, operator.kind)),
        op=op,
        inputs=tuple(None if operand is None else operand.name for operand in operands),
        outputs=tuple(result.name for result in results),
    )


def _unsuitable_scales(graph: Graph, node: Node) -> UnsupportedOp | None:
    """The node as unsupported when its scales have no fixed-point form."""
    try:
        with np.errstate(all="ignore"):  # what overflows is refused, no need to warn as well
            check_params(graph, node)
    except UnsupportedError as error:
        reason = error.what.removeprefix(f"{node.op.kind} '{node.name}', ")
        return UnsupportedOp(node.op.kind, node.outputs, reason)
    return None


def _refuse(items: Sequence[UnsupportedOp], total: int) -> None:
    """Raises UnsupportedError with all `items` unless there are none."""
    if not items:
        return
    groups: dict[tuple[str, str], list[str]] = {}
    for item in items:
        names = groups.setdefault((item.op, item.reason), [])
        # Converters join the names of all fused parts: the first is enough to find the op by.
        names.extend(f"'{name.split(';')[0]}'" for name in item.tensors)
    listed = "; ".join(f"{op} {', '.join(names)}: {why}" for (op, why), names in groups.items())
    raise UnsupportedError(
        f"{len(items)} of {total} operators cannot be deployed: {listed}",
        hint=_QUANTISE if any(item.reason == _FLOAT for item in items) else _REPLACE,
        items=tuple(items),
    )
