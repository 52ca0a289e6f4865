"""Serialises a graph as a .tflite file: the inverse of `tinyml.importers.tflite`, for tests.

What the IR holds as attributes goes back into constant operands (paddings,
axes, permutations, sizes), explicit pads into SAME or VALID.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import flatbuffers
import numpy as np
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tinyml.ir import ops
from tinyml.ir.graph import Array, DType, Graph, Node, Quant, Shape, Tensor

_ALIGNMENT = 16
"""What the schema's force_align asks of constant data; the object API leaves it out."""

_TYPES = {
    DType.INT8: schema.TensorType.INT8,
    DType.UINT8: schema.TensorType.UINT8,
    DType.INT16: schema.TensorType.INT16,
    DType.INT32: schema.TensorType.INT32,
    DType.INT64: schema.TensorType.INT64,
    DType.FLOAT32: schema.TensorType.FLOAT32,
    DType.BOOL: schema.TensorType.BOOL,
}


def write(graph: Graph, *, description: str = "written by tinyml's tests") -> bytes:
    """The .tflite file of `graph`.

    Tensor and node order are kept. Raises ValueError for what the format cannot
    say: pads that are neither zero nor SAME's.
    """
    writer = _Writer(graph)
    nodes = [writer.node(node) for node in graph.nodes]
    return writer.file([*writer.variables(), *nodes], description)


def write_operator(
    kind: str,
    operands: Sequence[Tensor | None],
    results: Sequence[Tensor],
    options: Any = None,
    *,
    custom: bool = False,
) -> bytes:
    """The .tflite file of a single operator, whatever it is and whether or not it makes sense.

    `options` is an object of the schema (schema_py_generated). Operands without data
    are the graph's inputs.
    """
    present = [tensor for tensor in operands if tensor is not None]
    graph = Graph(
        name="operator",
        tensors={tensor.name: tensor for tensor in (*present, *results)},
        nodes=(),
        inputs=tuple(dict.fromkeys(t.name for t in present if not t.is_const)),
        outputs=tuple(tensor.name for tensor in results),
    )
    writer = _Writer(graph)
    names = tuple(None if tensor is None else tensor.name for tensor in operands)
    written = _Written(_code("CUSTOM" if custom else kind), 1, names, options)
    operator = writer.operator(written, graph.outputs, kind if custom else None)
    return writer.file([operator], "one operator")


def edited(data: bytes, change: Callable[[Any], None]) -> bytes:
    """The file with what `change` does to its schema_py_generated.ModelT."""
    model = schema.ModelT.InitFromPackedBuf(data)
    change(model)
    return _packed(model)


def _packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@dataclass(frozen=True, slots=True)
class _Const:
    """An operand that the IR keeps as an attribute."""

    data: Array
    quant: Quant | None = None


@dataclass(frozen=True, slots=True)
class _Written:
    """An operator in the file's terms."""

    code: int
    version: int
    operands: tuple[str | _Const | None, ...]
    options: Any = None


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A buffer whose data lies on `_ALIGNMENT` bytes."""

    def Pack(self, builder: Any) -> Any:  # noqa: N802
        data = None
        if self.data is not None:
            builder.StartVector(1, len(self.data), _ALIGNMENT)
            builder.head -= len(self.data)
            builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


class _Writer:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.buffers = [_AlignedBuffer()]
        self.tensors: list[Any] = []
        self.codes: list[Any] = []
        self.others: list[Any] = []
        """Subgraphs after the first."""
        changed = {state.after for state in graph.states}
        kept = {name: tensor for name, tensor in graph.tensors.items() if name not in changed}
        self.index = {name: self.add(tensor) for name, tensor in kept.items()}
        self.resources = {  # handle by the name of the state
            before: self.resource(f"handle of {before}")
            for node in graph.nodes
            if isinstance(node.op, ops.AssignVariable)
            for before in (node.inputs[1] or "",)
        }
        for state in graph.states:
            self.tensors[self.index[state.before]].isVariable = state.before not in self.resources

    def add(self, tensor: Tensor) -> int:
        """Appends a tensor (and its data); its index."""
        written = schema.TensorT()
        written.name = tensor.name
        written.shape = list(tensor.shape)
        written.type = _TYPES[tensor.dtype]
        written.hasRank = True
        if tensor.data is not None:
            written.buffer = len(self.buffers)
            raw = np.ascontiguousarray(tensor.data, tensor.dtype.numpy).tobytes()
            self.buffers.append(_AlignedBuffer(data=raw))
        if tensor.quant is not None:
            quant = schema.QuantizationParametersT()
            quant.scale = np.array(tensor.quant.scales, np.float32)
            quant.zeroPoint = np.array(tensor.quant.zero_points, np.int64)
            quant.quantizedDimension = tensor.quant.axis
            written.quantization = quant
        self.tensors.append(written)
        return len(self.tensors) - 1

    def resource(self, name: str) -> int:
        """Appends the tensor of a handle; its index."""
        written = schema.TensorT()
        written.name, written.type, written.shape = name, schema.TensorType.RESOURCE, []
        self.tensors.append(written)
        return len(self.tensors) - 1

    def variables(self) -> list[Any]:
        """What comes before all else where there are resources: a call of the subgraph that sets
        them, and a read of each."""
        if not self.resources:
            return []
        once = _Writer(replace(self.graph, tensors={}, nodes=(), states=()))
        once.buffers, once.codes = self.buffers, self.codes
        first: list[Any] = []
        then: list[Any] = []
        for state in self.graph.states:
            if state.before not in self.resources:
                continue
            name, options = state.before, schema.VarHandleOptionsT("", state.before)
            value = Tensor(f"initial {name}", *_like(self.graph.tensors[name], state.initial))
            for writer in (once, self):
                handle = once.resource(name) if writer is once else self.resources[name]
                made = writer.operator(_Written(_code("VAR_HANDLE"), 1, (), options), ())
                made.outputs = [handle]
                (first if writer is once else then).append(made)
            assigned = once.operator(_Written(_code("ASSIGN_VARIABLE"), 1, ()), ())
            assigned.inputs = [first[-1].outputs[0], once.add(value)]
            first.append(assigned)
            read = self.operator(_Written(_code("READ_VARIABLE"), 1, ()), (name,))
            read.inputs = [self.resources[name]]
            then.append(read)
        subgraph = schema.SubGraphT(name="once", tensors=once.tensors, operators=first)
        self.others.append(subgraph)
        call = self.operator(_Written(_code("CALL_ONCE"), 1, (), schema.CallOnceOptionsT(1)), ())
        return [call, *then]

    def operand(self, operand: str | _Const | None) -> int:
        if operand is None:
            return -1
        if isinstance(operand, str):
            return self.index[operand]
        dtype = DType(operand.data.dtype.name)
        name = f"const_{len(self.tensors)}"
        return self.add(Tensor(name, operand.data.shape, dtype, operand.quant, operand.data))

    def node(self, node: Node) -> Any:
        results = node.outputs[: len(node.outputs) - len(node.op.updates)]
        if not isinstance(node.op, ops.AssignVariable):
            return self.operator(_WRITERS[type(node.op)](self.graph, node), results)
        value, state = node.inputs
        made = self.operator(_Written(_code(node.op.kind), 1, (value,)), results)
        made.inputs = [self.resources[state or ""], *made.inputs]
        return made

    def operator(self, written: _Written, results: Sequence[str], custom: str | None = None) -> Any:
        code = schema.OperatorCodeT()
        code.customCode = custom
        code.builtinCode, code.version = written.code, written.version
        code.deprecatedBuiltinCode = min(written.code, 127)
        known = [(c.builtinCode, c.version) for c in self.codes]
        if (written.code, written.version) not in known:
            self.codes.append(code)
            known.append((written.code, written.version))
        operator = schema.OperatorT()
        operator.opcodeIndex = known.index((written.code, written.version))
        operator.inputs = [self.operand(x) for x in written.operands]
        operator.outputs = [self.index[name] for name in results]
        if written.options is not None:
            options = type(written.options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = written.options
        return operator

    def file(self, operators: list[Any], description: str) -> bytes:
        subgraph = schema.SubGraphT()
        subgraph.operators = operators
        subgraph.tensors = self.tensors
        subgraph.inputs = [self.index[name] for name in self.graph.inputs]
        subgraph.outputs = [self.index[name] for name in self.graph.outputs]
        subgraph.name = self.graph.name
        model = schema.ModelT()
        model.version = 3
        model.operatorCodes = self.codes
        model.subgraphs = [subgraph, *self.others]
        model.buffers = self.buffers
        model.description = description
        return _packed(model)


def _like(tensor: Tensor, data: Array) -> tuple[Any, ...]:
    """The fields of a constant of the type of `tensor`, after its name."""
    return tensor.shape, tensor.dtype, tensor.quant, data


_Op = Any
"""An op whose attributes are read by name; its writer is registered for types that have them."""
_WRITERS: dict[type[ops.Op], Callable[[Graph, Node], _Written]] = {}


def _writes(
    *kinds: type[ops.Op],
) -> Callable[[Callable[[Graph, Node], _Written]], Callable[[Graph, Node], _Written]]:
    def register(writer: Callable[[Graph, Node], _Written]) -> Callable[[Graph, Node], _Written]:
        _WRITERS.update(dict.fromkeys(kinds, writer))
        return writer

    return register


def _code(name: str) -> int:
    return int(getattr(schema.BuiltinOperator, name))


def _ints(*values: int) -> _Const:
    return _Const(np.array(values, np.int32))


def _scalar(value: int) -> _Const:
    return _Const(np.array(value, np.int32))


def _fused(activation: ops.Activation) -> int:
    return int(getattr(schema.ActivationFunctionType, activation.value))


def _same(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """SAME's pads before and after: the odd one comes last."""
    total = max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return total // 2, total - total // 2


def _padding(x: Shape, kernel: Shape, stride: Shape, dilation: Shape, pads: ops.Pads) -> int:
    if pads == ops.Pads():
        return int(schema.Padding.VALID)
    rows = _same(x[1], kernel[0], stride[0], dilation[0])
    columns = _same(x[2], kernel[1], stride[1], dilation[1])
    if pads != ops.Pads(*rows, *columns):
        raise ValueError(f"{pads} is neither VALID nor SAME")
    return int(schema.Padding.SAME)


def _window(options: Any, op: _Op, x: Shape, kernel: Shape, dilation: Shape = (1, 1)) -> Any:
    """Fills in what the options of convolutions and pools share."""
    options.padding = _padding(x, kernel, op.stride, dilation, op.pads)
    options.strideH, options.strideW = op.stride
    options.fusedActivationFunction = _fused(op.activation)
    return options


@_writes(ops.Conv2D, ops.DepthwiseConv2D)
def _convolution(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    x, w = (graph.tensors[name].shape for name in node.inputs[:2])
    depthwise = isinstance(op, ops.DepthwiseConv2D)
    options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
    if depthwise:
        options.depthMultiplier = op.multiplier
    options.dilationHFactor, options.dilationWFactor = op.dilation
    _window(options, op, x, w[1:3], op.dilation)
    return _Written(_code(op.kind), 3, node.inputs, options)


@_writes(ops.TransposeConv)
def _transpose_conv(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    (y,) = graph.results(node)
    x, w, *bias = node.inputs
    kernel = graph.tensors[w or ""].shape[1:3]
    options = schema.TransposeConvOptionsT()
    options.padding = _padding(y.shape, kernel, op.stride, (1, 1), op.pads)
    options.strideH, options.strideW = op.stride
    present = tuple(name for name in bias if name is not None)
    return _Written(_code(op.kind), 3, (_ints(*y.shape), w, x, *present), options)


@_writes(ops.BatchMatMul)
def _batch_matmul(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    return _Written(_code(op.kind), 2, node.inputs, schema.BatchMatMulOptionsT(op.adj_x, op.adj_y))


@_writes(ops.FullyConnected)
def _fully_connected(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = _fused(op.activation)
    options.keepNumDims = op.keep_dims
    return _Written(_code(op.kind), 5 if op.keep_dims else 4, node.inputs, options)


@_writes(ops.AveragePool2D, ops.MaxPool2D)
def _pool(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    options = schema.Pool2DOptionsT()
    options.filterHeight, options.filterWidth = op.filter
    _window(options, op, graph.tensors[node.inputs[0]].shape, op.filter)
    return _Written(_code(op.kind), 2, node.inputs, options)


@_writes(ops.Add, ops.Sub, ops.Mul)
def _arithmetic(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    options = getattr(schema, f"{op.kind.capitalize()}OptionsT")()
    options.fusedActivationFunction = _fused(op.activation)
    return _Written(_code(op.kind), 2, node.inputs, options)


@_writes(ops.Minimum, ops.Maximum)
def _extremum(graph: Graph, node: Node) -> _Written:
    return _Written(_code(node.op.kind), 2, node.inputs, schema.MaximumMinimumOptionsT())


@_writes(ops.Prelu, ops.Relu, ops.Relu6, ops.Logistic, ops.Tanh, ops.Elu, ops.Rsqrt)
def _without_options(graph: Graph, node: Node) -> _Written:
    version = 2 if isinstance(node.op, ops.Relu | ops.Relu6 | ops.Logistic | ops.Tanh) else 1
    return _Written(_code(node.op.kind), version, node.inputs)


@_writes(ops.Abs, ops.SquaredDifference, ops.LogicalAnd, ops.LogicalOr, ops.LogicalNot)
@_writes(*ops.COMPARISONS)
def _with_empty_options(graph: Graph, node: Node) -> _Written:
    options = getattr(schema, f"{type(node.op).__name__}OptionsT")()
    return _Written(_code(node.op.kind), 1, node.inputs, options)


@_writes(ops.LeakyRelu)
def _leaky_relu(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    return _Written(_code(op.kind), 2, node.inputs, schema.LeakyReluOptionsT(op.alpha))


@_writes(ops.Softmax)
def _softmax(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    return _Written(_code(op.kind), 2, node.inputs, schema.SoftmaxOptionsT(op.beta))


@_writes(ops.HardSwish)
def _hard_swish(graph: Graph, node: Node) -> _Written:
    return _Written(_code(node.op.kind), 1, node.inputs, schema.HardSwishOptionsT())


@_writes(ops.Quantize)
def _quantize(graph: Graph, node: Node) -> _Written:
    return _Written(_code(node.op.kind), 1, node.inputs, schema.QuantizeOptionsT())


@_writes(ops.Dequantize)
def _dequantize(graph: Graph, node: Node) -> _Written:
    return _Written(_code(node.op.kind), 2, node.inputs, schema.DequantizeOptionsT())


@_writes(ops.Mean, ops.ReduceMax, ops.ReduceMin)
def _mean(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    options = schema.ReducerOptionsT(op.keep_dims)
    return _Written(_code(op.kind), 2, (*node.inputs, _ints(*op.axes)), options)


@_writes(ops.Pad)
def _pad(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    paddings = _Const(np.array(op.paddings, np.int32).reshape(-1, 2))
    if op.value is None:
        return _Written(_code("PAD"), 2, (*node.inputs, paddings), schema.PadOptionsT())
    (output,) = graph.results(node)
    value = _Const(np.array(op.value, output.dtype.numpy), output.quant)
    return _Written(_code("PADV2"), 2, (*node.inputs, paddings, value), schema.PadV2OptionsT())


@_writes(ops.Reshape)
def _reshape(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    options = schema.ReshapeOptionsT(list(op.shape))
    return _Written(_code(op.kind), 1, (*node.inputs, _ints(*op.shape)), options)


@_writes(ops.Transpose)
def _transpose(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    return _Written(_code(op.kind), 2, (*node.inputs, _ints(*op.perm)), schema.TransposeOptionsT())


@_writes(ops.Concatenation)
def _concatenation(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    return _Written(_code(op.kind), 2, node.inputs, schema.ConcatenationOptionsT(op.axis))


@_writes(ops.Split)
def _split(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    operands = (_scalar(op.axis), *node.inputs)
    return _Written(_code(op.kind), 2, operands, schema.SplitOptionsT(op.count))


@_writes(ops.SplitV)
def _split_v(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    operands = (*node.inputs, _ints(*op.sizes), _scalar(op.axis))
    return _Written(_code(op.kind), 2, operands, schema.SplitVOptionsT(len(op.sizes)))


@_writes(ops.Pack)
def _pack(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    options = schema.PackOptionsT(len(node.inputs), op.axis)
    return _Written(_code(op.kind), 2, node.inputs, options)


@_writes(ops.Unpack)
def _unpack(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    return _Written(_code(op.kind), 2, node.inputs, schema.UnpackOptionsT(op.count, op.axis))


@_writes(ops.BroadcastTo)
def _broadcast_to(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    operands = (*node.inputs, _ints(*op.shape))
    return _Written(_code(op.kind), 3, operands, schema.BroadcastToOptionsT())


@_writes(ops.SpaceToDepth, ops.DepthToSpace)
def _blocks(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    options = getattr(schema, f"{type(op).__name__}OptionsT")(op.block)
    return _Written(_code(op.kind), 2, node.inputs, options)


@_writes(ops.Gather)
def _gather(graph: Graph, node: Node) -> _Written:
    """Of rows of a constant matrix EMBEDDING_LOOKUP, of others GATHER."""
    indices, rows = node.inputs
    table = graph.tensors[rows or ""]
    if table.is_const and len(table.shape) == 2 and len(graph.tensors[indices or ""].shape) == 1:
        return _Written(_code("EMBEDDING_LOOKUP"), 1, node.inputs)
    return _Written(_code("GATHER"), 2, (rows, indices), schema.GatherOptionsT())


@_writes(ops.StridedSlice)
def _strided_slice(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    begin: list[int] = []
    end: list[int] = []
    strides: list[int] = []
    options = schema.StridedSliceOptionsT()
    wanted = list(op.shape)
    for start, size, stride in zip(op.begin, op.sizes, op.strides, strict=True):
        while wanted and wanted[0] != size and wanted[0] == 1:
            options.newAxisMask |= 1 << len(begin)
            begin, end, strides = [*begin, 0], [*end, 1], [*strides, 1]
            del wanted[0]
        if wanted and wanted[0] == size:
            del wanted[0]
        elif size == 1:
            options.shrinkAxisMask |= 1 << len(begin)
            stride = 1
        else:
            raise ValueError(f"{op.shape} is no shrunk {op.sizes}")
        last = start + size * stride
        if last < 0:  # a negative index would count from the end
            options.endMask |= 1 << len(begin)
        begin, end, strides = [*begin, start], [*end, max(last, 0)], [*strides, stride]
    for _ in wanted:
        options.newAxisMask |= 1 << len(begin)
        begin, end, strides = [*begin, 0], [*end, 1], [*strides, 1]
    operands = (*node.inputs, _ints(*begin), _ints(*end), _ints(*strides))
    return _Written(_code(op.kind), 2, operands, options)


@_writes(ops.ResizeNearestNeighbor, ops.ResizeBilinear)
def _resize(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    options = getattr(schema, f"{type(op).__name__}OptionsT")()
    options.alignCorners, options.halfPixelCenters = op.align_corners, op.half_pixel_centers
    return _Written(_code(op.kind), 3, (*node.inputs, _ints(*op.size)), options)


@_writes(ops.Svdf)
def _svdf(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    return _Written(_code(op.kind), 3, node.inputs, schema.SVDFOptionsT(op.rank))


@_writes(ops.Lstm)
def _lstm(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    options = schema.UnidirectionalSequenceLSTMOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.TANH
    options.cellClip, options.timeMajor = op.cell_clip, op.time_major
    x, *rest = node.inputs
    weights, biases, states = rest[:8], rest[8:12], rest[12:]
    absent = (None,) * 4
    operands = (x, *weights, *absent[:3], *biases, *absent[:2], *states, *absent)
    return _Written(_code(op.kind), 3, operands, options)


@_writes(ops.ArgMax, ops.ArgMin)
def _arg_max(graph: Graph, node: Node) -> _Written:
    op: _Op = node.op
    options = getattr(schema, f"{type(op).__name__}OptionsT")(schema.TensorType.INT32)
    return _Written(_code(op.kind), 2, (*node.inputs, _scalar(op.axis)), options)
