"""What is trained: the end of a network, behind a backbone that stays as it is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tinyml.errors import PlanError, UnsupportedError
from tinyml.ir import ops
from tinyml.ir.graph import Array, DType, Graph, Node, Shape

WEIGHTED = (ops.Conv2D, ops.DepthwiseConv2D, ops.FullyConnected)
TRAINABLE = (
    *WEIGHTED,
    ops.Relu,
    ops.Relu6,
    ops.Add,
    ops.AveragePool2D,
    ops.Mean,
    ops.Concatenation,
    ops.Reshape,
    ops.Softmax,
)
"""What a gradient can pass."""
_KINDS = ", ".join(sorted(kind.kind for kind in TRAINABLE))


@dataclass(frozen=True, slots=True)
class Last:
    """The last `count` layers with weights, the classifier included."""

    count: int


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers of these names."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Auto:
    """What brings most within the memory that there is (see `select`)."""


Selection = Last | Layers | Auto


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """A network cut in two.

    `backbone` runs as ever and gives the tensors that `head` starts from; `head` holds every
    node that depends on a trained layer and computes `logits` last, before a SOFTMAX, if any,
    which inference runs and training does not.
    """

    graph: Graph
    backbone: Graph
    head: Graph
    trained: tuple[str, ...]
    """Names of the nodes that learn, in order of execution."""
    logits: str
    """The tensor that the loss is of."""

    def layer(self, name: str) -> Node:
        """The node of this name."""
        return next(node for node in self.head.nodes if node.name == name)

    def with_parameters(self, parameters: Mapping[str, Array]) -> Graph:
        """The whole int8 network with other values of parameter tensors, by name."""
        return with_parameters(self.graph, parameters)


def with_parameters(graph: Graph, parameters: Mapping[str, Array]) -> Graph:
    """`graph` with other values of constants, by name."""
    tensors = {
        name: replace(t, data=parameters[name]) if name in parameters else t
        for name, t in graph.tensors.items()
    }
    return replace(graph, tensors=tensors)


def parse_selection(text: str) -> Selection:
    """What `--train` says: last=N, layers=a,b or auto."""
    kind, _, rest = text.partition("=")
    if text == "auto":
        return Auto()
    if kind == "last" and rest.isdecimal() and int(rest) > 0:
        return Last(int(rest))
    names = tuple(name.strip() for name in rest.split(",") if name.strip())
    if kind == "layers" and names:
        return Layers(names)
    raise PlanError(
        f"--train {text} is not known", hint="one of last=N, layers=NAME,NAME,... and auto"
    )


def weighted_layers(graph: Graph) -> tuple[Node, ...]:
    """The nodes with weights, in order of execution."""
    return tuple(node for node in graph.nodes if isinstance(node.op, WEIGHTED))


def chosen_layers(graph: Graph, selection: Last | Layers) -> tuple[str, ...]:
    """The names of the layers that learn, in order; PlanError if there are none such."""
    layers = [node.name for node in weighted_layers(graph)]
    if isinstance(selection, Last):
        if selection.count > len(layers):
            raise PlanError(
                f"--train last={selection.count}: '{graph.name}' has {len(layers)} layers "
                "with weights",
                hint=f"last={len(layers)} trains all of them",
            )
        return tuple(layers[-selection.count :])
    for name in selection.names:
        if name not in layers:
            raise PlanError(
                f"--train layers={name}: '{graph.name}' has no layer with weights of this name",
                hint=f"the last ones are {', '.join(layers[-5:])}",
            )
    return tuple(name for name in layers if name in selection.names)


def split(graph: Graph, trained: Iterable[str]) -> Tail:
    """Cut the (optimised, int8) `graph` before the first node that depends on `trained`.

    UnsupportedError names what cannot be trained, and why.
    """
    names = tuple(trained)
    if len(graph.outputs) != 1:
        raise UnsupportedError(
            f"'{graph.name}' has {len(graph.outputs)} outputs "
            f"({', '.join(graph.outputs)}); training needs one",
            hint="export the model with the output that is to be learned",
        )
    consumers, moving = graph.consumers(), set[str]()
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.name in names or any(name in moving for name in node.inputs):
            nodes.append(node)
            moving.update(node.outputs)
    for node in nodes:
        _check(graph, node, moving)
    for node in nodes:
        for name in node.inputs[1:] if isinstance(node.op, WEIGHTED) else ():
            if name is not None and len(consumers[name]) > 1:
                raise _refusal(
                    graph,
                    node,
                    f"the parameter '{name}' serves several layers",
                    "give every layer parameters of its own",
                )
    head = tuple(nodes)
    before = tuple(node for node in graph.nodes if node not in head)
    made = {name for node in head for name in node.outputs}
    read = dict.fromkeys(name for node in head for name in graph.activations(node))
    boundary = tuple(name for name in read if name not in made)
    backbone = replace(graph.rebuilt(before), outputs=boundary)
    return Tail(
        graph,
        backbone.rebuilt(before),
        replace(graph, inputs=boundary).rebuilt(head),
        tuple(node.name for node in head if node.name in names),
        _logits(graph, head),
    )


def _logits(graph: Graph, head: tuple[Node, ...]) -> str:
    (output,) = graph.outputs
    last = next((node for node in head if output in node.outputs), None)
    if last is None:
        raise PlanError(
            f"'{output}', the output of '{graph.name}', depends on none of the trained layers",
            hint="train the last layer, too",
        )
    if not isinstance(last.op, ops.Softmax):
        return output
    if last.op.beta != 1.0:
        raise _refusal(graph, last, f"beta is {last.op.beta:g}", "use 1")
    logits = last.inputs[0]
    assert logits is not None
    return logits


def _check(graph: Graph, node: Node, moving: set[str]) -> None:
    """UnsupportedError when no gradient can pass `node`."""
    op = node.op
    if graph.results(node)[0].dtype is not DType.INT8:
        raise _refusal(
            graph,
            node,
            f"its result is {graph.results(node)[0].dtype.value}",
            "deploy with --io int8",
        )
    if not isinstance(op, TRAINABLE):
        raise _refusal(
            graph,
            node,
            "no gradient can pass this operator",
            f"train fewer layers, those behind it; training knows {_KINDS}",
        )
    if isinstance(op, ops.Softmax) and node.output not in graph.outputs:
        raise _refusal(graph, node, "a SOFTMAX within the network", "train only layers behind it")
    if isinstance(op, ops.Add):
        (y,) = graph.results(node)
        for operand in graph.operands(node):
            if operand is not None and operand.name in moving and operand.shape != y.shape:
                raise _refusal(
                    graph,
                    node,
                    f"'{operand.name}' {_dims(operand.shape)} is broadcast to {_dims(y.shape)}",
                    "train only layers behind it",
                )


def _dims(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _refusal(graph: Graph, node: Node, why: str, hint: str) -> UnsupportedError:
    return UnsupportedError(
        f"cannot train through {node.op.kind} '{node.name}', tensor '{node.outputs[0]}': {why}",
        hint=hint,
    )
