"""An input that the application hands over row by row: which models can take it so."""

from collections.abc import Mapping

from tinyml.errors import PlanError
from tinyml.ir.graph import DType, Graph
from tinyml.kernels.call import Accumulation, KernelCall, RowLoop
from tinyml.schedule.stream import RowNode, row_node

_WHOLE = "build it with --feed whole"
_FLOAT = "add --io int8"


def fed_input(graph: Graph, row_calls: Mapping[str, KernelCall]) -> RowNode:
    """The only input of `graph`, as a node whose steps are its rows.

    `row_calls` are made without flattening. PlanError where the input cannot come row by row:
    there are several, the application wants it back, or an op needs more of it at once.
    """
    if len(graph.inputs) != 1:
        raise PlanError(
            f"model '{graph.name}' has {len(graph.inputs)} inputs; "
            "row by row there can be only one",
            hint=_WHOLE,
        )
    (name,) = graph.inputs
    if name in graph.outputs:
        raise PlanError(
            f"input '{name}' of model '{graph.name}' is also an output: it has to be stored whole",
            hint=_WHOLE,
        )
    found: RowNode | None = None
    for node in graph.consumers()[name]:
        loop = row_calls[node.name].loop
        reader = f"{node.op.kind} '{node.name}'"
        if isinstance(loop, RowLoop | Accumulation) and loop.batches > 1:
            raise PlanError(
                f"{reader} reads input '{name}' as {loop.batches} maps; "
                "row by row there can be only one",
                hint="export the model with a batch of 1, or " + _WHOLE,
            )
        rows = row_node(graph, node, row_calls[node.name])
        if rows is None:
            if graph.tensors[name].dtype is DType.FLOAT32:
                raise PlanError(f"{reader} does not read input '{name}' row by row", hint=_FLOAT)
            raise PlanError(f"{reader} needs all of input '{name}' at once", hint=_WHOLE)
        (read,) = (one for one in rows.inputs if one.tensor == name)
        source = RowNode(name, name, read.height, read.height, read.row_bytes, ())
        if found is not None and found != source:
            raise PlanError(
                f"{reader} reads input '{name}' as {source.height} rows, "
                f"another op as {found.height}",
                hint=_WHOLE,
            )
        found = source
    if found is None:
        raise PlanError(f"model '{graph.name}' does not use its input '{name}'", hint=_WHOLE)
    return found


def cannot_feed(graph: Graph, row_calls: Mapping[str, KernelCall]) -> PlanError:
    """Why no stream holds all readers of an input that they would each take row by row."""
    readers = ", ".join(f"'{node.name}'" for node in graph.consumers()[graph.inputs[0]])
    whole = [node for node in graph.nodes if row_node(graph, node, row_calls[node.name]) is None]
    between = f"; {whole[0].op.kind} '{whole[0].name}' is the first op that cannot" if whole else ""
    return PlanError(
        f"the ops that read input '{graph.inputs[0]}' of model '{graph.name}' ({readers}), "
        f"and all between them, cannot run row by row together{between}",
        hint=_WHOLE,
    )
