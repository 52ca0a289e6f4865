"""Float edges cut off: the firmware takes and gives int8, as the application's sensor does."""

from dataclasses import replace

from tinyml.errors import UnsupportedError
from tinyml.ir.graph import DType, Graph, Node
from tinyml.ir.ops import Dequantize, Quantize, Reshape, Transpose
from tinyml.passes.rewrite import repeated, same_quant

NCHW_TO_NHWC = (0, 2, 3, 1)


def int8_io(graph: Graph) -> Graph:
    """`graph` with int8 inputs and outputs in place of float32 ones, of the same names.

    An input that is only quantised becomes its quantised tensor. One that is then taken
    from NCHW to NHWC becomes NHWC, and one that is a map in another shape (as a spectrogram
    in a line) becomes the map, so that it has rows. An output that is only dequantised
    becomes what was dequantised. This changes the model's interface, so it is no
    optimisation: the application has to ask for it. Raises UnsupportedError where an input
    or output stays float32.
    """
    graph = _drop_moves(_cut_inputs(_lift_quantize(graph)))
    graph = _cut_outputs(graph)
    for role, names in (("input", graph.inputs), ("output", graph.outputs)):
        for name in names:
            if graph.tensors[name].dtype is DType.FLOAT32:
                raise UnsupportedError(
                    f"{role} '{name}' of model '{graph.name}' cannot be int8: it is more than "
                    f"{'quantised' if role == 'input' else 'dequantised'}",
                    hint="build it without --io int8",
                )
    return graph


@repeated
def _lift_quantize(graph: Graph) -> Graph:
    """QUANTIZE before the TRANSPOSE or RESHAPE whose result it alone takes: moves keep values."""
    producers, consumers = graph.producers(), graph.consumers()
    for node in graph.nodes:
        move = producers.get(node.inputs[0] or "")
        if (
            not isinstance(node.op, Quantize)
            or move is None
            or not isinstance(move.op, Transpose | Reshape)
            or move.output in graph.outputs
            or len(consumers[move.output]) > 1
        ):
            continue
        source, between, result = (
            graph.tensors[name] for name in (move.inputs[0] or "", move.output, node.output)
        )
        if source.dtype is not DType.FLOAT32:
            continue
        # The tensor between keeps its name, and gets the source's shape and the result's type.
        quantised = replace(result, name=between.name, shape=source.shape)
        lifted = {
            move.name: Node(node.name, node.op, move.inputs, move.outputs),
            node.name: Node(move.name, move.op, node.inputs, node.outputs),
        }
        nodes = tuple(lifted.get(other.name, other) for other in graph.nodes)
        return graph.rebuilt(nodes, {**graph.tensors, between.name: quantised})
    return graph


def _cut_inputs(graph: Graph) -> Graph:
    for name in graph.inputs:
        readers = graph.consumers()[name]
        results = [graph.tensors[node.output] for node in readers if isinstance(node.op, Quantize)]
        if (
            graph.tensors[name].dtype is not DType.FLOAT32
            or name in graph.outputs
            or not results
            or len(results) < len(readers)
            or any(
                result.dtype is not DType.INT8
                or result.name in graph.outputs
                or not same_quant(result.quant, results[0].quant)
                for result in results
            )
        ):
            continue
        cut = {result.name: name for result in results}
        nodes = tuple(
            replace(node, inputs=tuple(cut.get(i or "", i) for i in node.inputs))
            for node in graph.nodes
            if node not in readers
        )
        graph = graph.rebuilt(nodes, {**graph.tensors, name: replace(results[0], name=name)})
    return graph


@repeated
def _drop_moves(graph: Graph) -> Graph:
    for name in graph.inputs:
        tensor, readers = graph.tensors[name], graph.consumers()[name]
        if tensor.dtype is not DType.INT8 or name in graph.outputs or len(readers) != 1:
            continue
        (node,) = readers
        if len(node.outputs) != 1 or node.output in graph.outputs or not _gives_map(graph, node):
            continue
        nodes = tuple(
            replace(other, inputs=tuple(name if i == node.output else i for i in other.inputs))
            for other in graph.nodes
            if other is not node
        )
        result = replace(graph.tensors[node.output], name=name)
        return graph.rebuilt(nodes, {**graph.tensors, name: result})
    return graph


def _gives_map(graph: Graph, node: Node) -> bool:
    """Whether the move gives [1, height, width, channels] as the network goes on to read it."""
    if isinstance(node.op, Reshape):
        shape = graph.tensors[node.output].shape
        return len(shape) == 4 and shape[0] == 1
    return node.op == Transpose(NCHW_TO_NHWC)


def _cut_outputs(graph: Graph) -> Graph:
    for name in graph.outputs:
        node = graph.producers().get(name)
        if node is None or not isinstance(node.op, Dequantize) or graph.consumers()[name]:
            continue
        source = graph.tensors[node.inputs[0] or ""]
        if source.dtype is not DType.INT8 or source.name in (*graph.sources, *graph.outputs):
            continue
        nodes = tuple(
            replace(
                other,
                inputs=tuple(name if i == source.name else i for i in other.inputs),
                outputs=tuple(name if o == source.name else o for o in other.outputs),
            )
            for other in graph.nodes
            if other is not node
        )
        graph = graph.rebuilt(nodes, {**graph.tensors, name: replace(source, name=name)})
    return graph
