"""From a tail to the program of its training step: reverse-mode differentiation."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from tinyml.errors import UnsupportedError
from tinyml.ir import ops
from tinyml.ir.graph import Graph, Node, Shape
from tinyml.train import program as pr
from tinyml.train.bounds import open_bounds
from tinyml.train.gradient_filter import Window
from tinyml.train.grid import Grid
from tinyml.train.layers import Trained, trained_layer
from tinyml.train.options import TrainOptions
from tinyml.train.program import Element, Precision, Role, Step
from tinyml.train.tail import Tail

_Maker = Callable[[str], Step]
"""From the name of the buffer that is to take a gradient, the step that computes it."""

TARGET = "target"
LOSS = "loss"


def training_program(tail: Tail, options: TrainOptions) -> pr.Program:
    """The program of a training step of `tail`; UnsupportedError names what cannot be."""
    return _Compiler(tail, options).program()


def gradient_of(tensor: str) -> str:
    """The name of the gradient buffer of a tensor."""
    return f"d:{tensor}"


def tensor_of(buffer: str) -> str:
    """The tensor that a buffer of gradients or masks is about; any other is its own."""
    kind, _, tensor = buffer.partition(":")
    return tensor if kind in ("d", "g", "mask") else buffer


def parameter_of(buffer: str) -> str:
    """The parameter that is changed, or about which something is remembered."""
    return buffer.removeprefix(_momentum(""))


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A gradient: of every pixel, or of every patch of `grid` (then not yet masked)."""

    name: str
    grid: Grid | None = None


@dataclass(slots=True)
class _Compiler:
    """Collects buffers and steps; lives for one call."""

    tail: Tail
    options: TrainOptions
    buffers: dict[str, pr.Buffer] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    arrived: dict[str, _Arrived] = field(default_factory=dict)
    layers: dict[str, Trained] = field(default_factory=dict)
    ordinals: dict[str, int] = field(default_factory=dict)

    @property
    def graph(self) -> Graph:
        return self.tail.head

    def program(self) -> pr.Program:
        nodes = [n for n in self.graph.nodes if not isinstance(n.op, ops.Softmax)]
        for node in nodes:
            if isinstance(node.op, ops.Conv2D | ops.DepthwiseConv2D | ops.FullyConnected):
                self.layers[node.name] = trained_layer(self.tail, node, self.options)
        for name in self.graph.inputs:
            self.activation(name)
        self.activation_buffers(nodes)
        for node in nodes:
            self.forward(node)
        self.loss()
        for node in reversed(nodes):
            self.backward(node)
        used = {name for step in self.steps for name in (*step.reads, *step.writes)}
        return pr.Program(
            self.options.precision,
            self.options.momentum,
            self.options.batch,
            {name: buffer for name, buffer in self.buffers.items() if name in used},
            tuple(self.steps),
        )

    # Buffers

    def buffer(self, name: str, shape: Shape, element: Element, role: Role) -> str:
        self.buffers[name] = pr.Buffer(name, shape, element, role)
        return name

    def gradient(self, name: str, shape: Shape) -> str:
        return self.buffer(name, shape, Element.FLOAT32, Role.GRADIENT)

    def element(self) -> Element:
        return Element.INT8 if self.options.precision is Precision.INT8 else Element.FLOAT32

    def activation(self, name: str) -> None:
        self.buffer(name, self.graph.tensors[name].shape, self.element(), Role.ACTIVATION)

    def activation_buffers(self, nodes: list[Node]) -> None:
        """Those of all nodes, of their parameters, and of what momentum remembers."""
        is_float = self.options.precision is Precision.FLOAT32
        for node in nodes:
            for name in node.outputs:
                self.activation(name)
            for tensor in self.graph.operands(node):
                if tensor is not None and tensor.is_const:
                    kind = Element.FLOAT32 if is_float else Element(tensor.dtype.value)
                    self.buffer(tensor.name, tensor.shape, kind, Role.PARAMETER)
        for layer in self.layers.values():
            for name, shape in layer.learning():
                self.ordinals[name] = len(self.ordinals)
                if self.options.remembers:
                    self.buffer(_momentum(name), shape, Element.FLOAT32, Role.STATE)

    # Forward

    def forward(self, node: Node) -> None:
        layer = self.layers.get(node.name)
        if layer is not None and layer.saves:
            x = layer.x_name
            shape: Shape = (*layer.layer.x[:-1], layer.channels)
            if layer.x_grid is not None:
                shape = (layer.layer.x[0], *layer.x_grid.shape, layer.channels)
            saved = self.buffer(layer.saved, shape, self.element(), Role.SAVED)
            self.steps.append(pr.SavePooled((x,), (saved,), layer.x_grid, layer.channels))
        reads = tuple(name for name in node.inputs if name is not None)
        self.steps.append(pr.Infer(reads, node.outputs, node.name))
        y, bounds = node.output, self.bounds(node)
        if bounds is None or self.kept(y):
            return
        shape = self.graph.tensors[y].shape
        mask = pr.Buffer(_mask(y), shape, Element.BIT, Role.SAVED)
        grid = self.shared_grid(y)
        if grid is not None:
            patches = (shape[0], *grid.shape, shape[3])
            share = pr.Buffer(mask.name, patches, Element.UINT8, Role.SAVED)
            if share.nbytes < mask.nbytes:
                self.buffers[mask.name] = share
                self.steps.append(pr.SaveShare((y,), (share.name,), grid, *bounds))
                return
        self.buffers[mask.name] = mask
        self.steps.append(pr.SaveMask((y,), (mask.name,), *bounds))

    def bounds(self, node: Node) -> tuple[float, float] | None:
        return open_bounds(self.graph, node, self.options.precision)

    def kept(self, tensor: str) -> bool:
        """Whether `tensor` lives until the backward pass anyway: an exact gradient reads it."""
        return any(
            layer.channels and not layer.saves and layer.x_name == tensor
            for layer in self.layers.values()
        )

    def shared_grid(self, tensor: str) -> Grid | None:
        """The grid of both neighbours of `tensor`, if both are filtered and theirs coincide."""
        producer = self.graph.producers().get(tensor)
        readers = [n for n in self.graph.nodes if tensor in n.inputs]
        if producer is None or len(readers) != 1 or tensor == self.tail.logits:
            return None
        before, after = self.layers.get(producer.name), self.layers.get(readers[0].name)
        if before is None or after is None or before.y_grid is None:
            return None
        return before.y_grid if before.y_grid == after.grid_of_input else None

    # Backward

    def loss(self) -> None:
        logits = self.graph.tensors[self.tail.logits]
        of_labels = self.options.loss is pr.LossKind.CROSS_ENTROPY
        if of_labels and logits.size != logits.shape[-1]:
            raise UnsupportedError(
                f"the loss cross-entropy takes one row of logits, '{logits.name}' has "
                f"{logits.size // logits.shape[-1]}",
                hint="use a model of batch 1 with one classification, or the loss mse",
            )
        if not of_labels and self.tail.graph.outputs != (logits.name,):
            raise UnsupportedError(
                f"the loss mse cannot pass the SOFTMAX behind '{logits.name}'",
                hint="use cross-entropy",
            )
        shape, kind = ((1,), Element.INT32) if of_labels else (logits.shape, Element.FLOAT32)
        target = self.buffer(TARGET, shape, kind, Role.TARGET)
        loss = self.buffer(LOSS, (1,), Element.FLOAT32, Role.TARGET)
        gradient = self.gradient(gradient_of(logits.name), logits.shape)
        integers = self.options.precision is Precision.INT8
        scale, zero_point = (logits.q.scale, logits.q.zero_point) if integers else (1.0, 0)
        reads, writes = (logits.name, target), (gradient, loss)
        self.steps.append(pr.Loss(reads, writes, self.options.loss, scale, zero_point))
        self.arrived[logits.name] = _Arrived(gradient)

    def backward(self, node: Node) -> None:
        y = node.output
        gradient = self.arrived[y]
        if gradient.grid is None:
            self.mask(node, gradient.name)
        if node.name in self.layers:
            self.backward_layer(node, self.layers[node.name], gradient)
            return
        for index, name in enumerate(node.inputs):
            if name is not None and self.moves(name):
                self.give(name, partial(self.passed, node, index, gradient.name))

    def moves(self, tensor: str) -> bool:
        """Whether a trained parameter has an influence on `tensor`."""
        return tensor in self.graph.producers()

    def mask(self, node: Node, gradient: str) -> None:
        """Zeros where the activation was cut off or the integers saturated."""
        y, bounds = node.output, self.bounds(node)
        if bounds is None:
            return
        if self.kept(y):
            self.steps.append(pr.MaskByValue((gradient, y), (gradient,), *bounds))
        else:
            self.steps.append(pr.MaskByBits((gradient, _mask(y)), (gradient,)))

    def give(self, tensor: str, step: _Maker) -> None:
        """Add what `step` computes to the gradient of `tensor`."""
        shape, into = self.graph.tensors[tensor].shape, gradient_of(tensor)
        if tensor not in self.arrived:
            self.arrived[tensor] = _Arrived(self.gradient(into, shape))
            self.steps.append(step(into))
            return
        more = self.gradient(f"{into}:{len(self.steps)}", shape)
        self.steps.append(step(more))
        self.steps.append(pr.Accumulate((into, more), (into,)))

    def passed(self, node: Node, index: int, gradient: str, into: str) -> Step:
        """The step that takes the gradient of `node` to its operand `index`."""
        op, reads, writes = node.op, (gradient,), (into,)
        match op:
            case ops.AveragePool2D():
                window = Window(op.filter, op.stride, (1, 1), op.pads)
                return pr.AveragePoolGradient(reads, writes, window)
            case ops.Mean():
                return pr.MeanGradient(reads, writes, op.axes)
            case ops.Concatenation():
                before = [t for t in self.graph.operands(node)[:index] if t is not None]
                start = sum(t.shape[op.axis] for t in before)
                return pr.Slice(reads, writes, op.axis, start)
            case _:
                return pr.Copy(reads, writes)

    def backward_layer(self, node: Node, layer: Trained, gradient: _Arrived) -> None:
        if layer.bias is not None and layer.trains_bias:
            shared = _mask(node.output) in self.buffers and gradient.grid is not None
            share = (_mask(node.output),) if shared else ()
            reads = (gradient.name, *share, *self.parameter(layer.bias))
            self.steps.append(
                pr.UpdateBias(
                    reads,
                    self.parameter(layer.bias),
                    layer.bias_factors,
                    self.ordinals[layer.bias],
                    layer.bias_limit,
                    gradient.grid,
                    shared,
                )
            )
        passes_on = self.moves(layer.x_name)
        if not passes_on and not layer.channels:
            return
        g = self.pooled(node, layer, gradient)
        if passes_on:
            self.input_gradient(layer, g)
        if layer.channels:
            x = layer.saved if layer.saves else layer.x_name
            self.steps.append(
                pr.UpdateWeights(
                    (g, x, *self.parameter(layer.weights)),
                    self.parameter(layer.weights),
                    layer.weight_factors,
                    self.ordinals[layer.weights],
                    layer.weight_limit,
                    layer.layer,
                    layer.x_grid,
                    layer.y_grid,
                    layer.channels,
                    layer.x_zero_point,
                )
            )
        if passes_on and layer.y_grid is not None:
            self.spread(layer)

    def parameter(self, name: str) -> tuple[str, ...]:
        return (name, _momentum(name)) if self.options.remembers else (name,)

    def pooled(self, node: Node, layer: Trained, gradient: _Arrived) -> str:
        """The gradient on the layer's grid, if it is filtered."""
        if layer.y_grid is None:
            return gradient.name
        shape = (layer.layer.y[0], *layer.y_grid.shape, layer.layer.y[3])
        g = self.gradient(f"g:{node.output}", shape)
        if gradient.grid is None:
            self.steps.append(pr.Pool((gradient.name,), (g,), layer.y_grid, layer.factor))
            return g
        mask = _mask(node.output)
        reads = (gradient.name, *((mask,) if mask in self.buffers else ()))
        self.steps.append(pr.PoolShare(reads, (g,), layer.y_grid, layer.factor))
        return g

    def input_gradient(self, layer: Trained, g: str) -> None:
        def step(into: str) -> Step:
            return pr.InputGradient(
                (g, layer.weights),
                (into,),
                layer.layer,
                layer.y_grid,
                layer.weight_scales,
                layer.weights_zero_point,
            )

        if layer.y_grid is None:
            self.give(layer.x_name, step)
            return
        assert layer.grid_of_input is not None
        shape = (layer.layer.x[0], *layer.grid_of_input.shape, layer.layer.x[3])
        self.steps.append(step(self.gradient(f"dX:{layer.layer.node}", shape)))

    def spread(self, layer: Trained) -> None:
        pooled, grid = f"dX:{layer.layer.node}", layer.grid_of_input
        assert grid is not None
        if self.shared_grid(layer.x_name) is not None:
            self.arrived[layer.x_name] = _Arrived(pooled, grid)
        else:
            self.give(layer.x_name, lambda into: pr.Spread((pooled,), (into,), grid))


def _momentum(parameter: str) -> str:
    return f"momentum:{parameter}"


def _mask(tensor: str) -> str:
    return f"mask:{tensor}"
