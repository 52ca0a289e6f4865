"""The contents of a .tflite file as plain records, read only after verification.

Knows the file format (tables, indices, where constant data lies) and nothing of what
operators mean. The schema is that of the `tflite` package, whose accessors it uses.
"""

from dataclasses import dataclass, replace
from typing import Any

import tflite

from tinyml.errors import ModelError
from tinyml.importers.flatbuffer import Field, Scalar, Schema, Table, Tables, Union, Vector, verify

_VERSION = 3
_IDENTIFIER = b"TFL3"
_EXTERNAL_BUFFER_SLOT = 10
"""Tensor.external_buffer, younger than the schema package."""

_BYTE, _INT, _LONG = Scalar(1), Scalar(4), Scalar(8)
_STRING, _INTS, _LONGS = Vector(1), Vector(4), Vector(8)


def _fields(*fields: Scalar | Vector) -> dict[int, Field]:
    return dict(enumerate(fields))


_OPTIONS: Schema = {
    "AddOptions": _fields(_BYTE),
    "ArgMaxOptions": _fields(_BYTE),
    "BatchMatMulOptions": _fields(_BYTE, _BYTE, _BYTE),
    "CallOnceOptions": _fields(_INT),
    "ConcatenationOptions": _fields(_INT, _BYTE),
    "Conv2DOptions": _fields(_BYTE, _INT, _INT, _BYTE, _INT, _INT),
    "DepthToSpaceOptions": _fields(_INT),
    "DepthwiseConv2DOptions": _fields(_BYTE, _INT, _INT, _INT, _BYTE, _INT, _INT),
    "FullyConnectedOptions": _fields(_BYTE, _BYTE, _BYTE),
    "GatherOptions": _fields(_INT, _INT),
    "LeakyReluOptions": _fields(_INT),
    "MulOptions": _fields(_BYTE),
    "PackOptions": _fields(_INT, _INT),
    "Pool2DOptions": _fields(_BYTE, _INT, _INT, _INT, _INT, _BYTE),
    "ReducerOptions": _fields(_BYTE),
    "ReshapeOptions": _fields(_INTS),
    "ResizeBilinearOptions": {2: _BYTE, 3: _BYTE},
    "ResizeNearestNeighborOptions": _fields(_BYTE, _BYTE),
    "SVDFOptions": _fields(_INT, _BYTE),
    "SoftmaxOptions": _fields(_INT),
    "SpaceToDepthOptions": _fields(_INT),
    "SplitOptions": _fields(_INT),
    "SplitVOptions": _fields(_INT),
    "SqueezeOptions": _fields(_INTS),
    "StridedSliceOptions": _fields(_INT, _INT, _INT, _INT, _INT, _BYTE),
    "SubOptions": _fields(_BYTE),
    "TransposeConvOptions": _fields(_BYTE, _INT, _INT, _BYTE),
    "UnidirectionalSequenceLSTMOptions": _fields(_BYTE, _INT, _INT, _BYTE, _BYTE, _BYTE),
    "UnpackOptions": _fields(_INT, _INT),
    "VarHandleOptions": _fields(_STRING, _STRING),
}
"""The option tables that are read, with the sizes of their fields."""

_OPTION_NAMES = {
    code: name for name, code in vars(tflite.BuiltinOptions).items() if name in _OPTIONS
}

_SCHEMA: Schema = {
    "Model": {
        0: _INT,
        1: Tables("OperatorCode"),
        2: Tables("SubGraph"),
        4: Tables("Buffer"),
    },
    "OperatorCode": {0: _BYTE, 1: _STRING, 2: _INT, 3: _INT},
    "SubGraph": {0: Tables("Tensor"), 1: _INTS, 2: _INTS, 3: Tables("Operator"), 4: _STRING},
    "Tensor": {
        0: _INTS,
        1: _BYTE,
        2: _INT,
        3: _STRING,
        4: Table("QuantizationParameters"),
        5: _BYTE,
        6: Table("SparsityParameters"),
        7: _INTS,
    },
    "QuantizationParameters": {2: _INTS, 3: _LONGS, 4: _BYTE, 6: _INT},
    "SparsityParameters": {},
    "Operator": {0: _INT, 1: _INTS, 2: _INTS, 3: _BYTE, 4: Union(3, _OPTION_NAMES)},
    "Buffer": {0: Vector(1), 1: _LONG, 2: _LONG},
    **_OPTIONS,
}

_TYPE_NAMES = {code: name for name, code in vars(tflite.TensorType).items() if name.isupper()}
_OPERATOR_NAMES = {
    code: name for name, code in vars(tflite.BuiltinOperator).items() if name.isupper()
}


@dataclass(frozen=True, slots=True)
class FileQuant:
    """Quantisation parameters as they stand in the file."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int


@dataclass(frozen=True, slots=True)
class FileTensor:
    """A tensor; `data` is a view of the file's bytes, None when it has none."""

    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    """The shape with -1 for dynamic dimensions; empty when all are static."""
    type: str
    quant: FileQuant | None
    data: memoryview | None
    oddity: str
    """Why the tensor cannot be used whatever reads it; empty when nothing is odd."""
    is_variable: bool
    """Whether it keeps its value between runs."""


@dataclass(frozen=True, slots=True)
class FileOperator:
    """An operator; tensor indices, -1 for an absent operand."""

    kind: str
    """TFLite's name of a builtin operator, the name of a custom one."""
    is_custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options_type: str
    """The name of the options table, empty when there is none that is ever read."""
    options: Any
    """The accessor of that table."""


@dataclass(frozen=True, slots=True)
class FileGraph:
    """A subgraph of a file; every index in it is in range."""

    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    others: tuple["FileGraph", ...] = ()
    """Of the first subgraph: those after it."""


def read_file(data: bytes) -> FileGraph:
    """Verifies and reads a .tflite file, its first subgraph with the others; ModelError when it is
    damaged."""
    verify(data, _IDENTIFIER, _SCHEMA, "Model")
    model = tflite.Model.GetRootAs(data, 0)
    if model.Version() != _VERSION:
        raise ModelError(f"schema version {model.Version()}, expected {_VERSION}")
    if not model.SubgraphsLength():
        raise ModelError("the file has no subgraph")
    buffers = _Buffers(data, model)
    codes = [_code(model.OperatorCodes(i)) for i in range(model.OperatorCodesLength())]
    first, *others = (
        _subgraph(model.Subgraphs(i), buffers, codes) for i in range(model.SubgraphsLength())
    )
    return replace(first, others=tuple(others))


def _subgraph(subgraph: Any, buffers: "_Buffers", codes: list[tuple[str, bool]]) -> FileGraph:
    tensors = tuple(_tensor(subgraph.Tensors(i), buffers) for i in range(subgraph.TensorsLength()))
    count = len(tensors)
    return FileGraph(
        tensors=tensors,
        operators=tuple(
            _operator(subgraph.Operators(i), codes, count)
            for i in range(subgraph.OperatorsLength())
        ),
        inputs=_indices(subgraph, "Inputs", 0, count),
        outputs=_indices(subgraph, "Outputs", 0, count),
    )


def _values(table: Any, field: str) -> list[Any]:
    """The numbers of a vector field; empty when it is absent."""
    if not getattr(table, f"{field}Length")():
        return []
    found: list[Any] = getattr(table, f"{field}AsNumpy")().tolist()
    return found


def _indices(table: Any, field: str, lowest: int, count: int) -> tuple[int, ...]:
    """Tensor indices from `lowest` to below `count`."""
    found = tuple(_values(table, field))
    if any(not lowest <= index < count for index in found):
        raise ModelError(f"a tensor index among {found} is not in {lowest}..{count - 1}")
    return found


def _text(raw: bytes | None) -> str:
    return "" if raw is None else raw.decode(errors="replace")


class _Buffers:
    """Constant data by buffer index."""

    def __init__(self, data: bytes, model: Any) -> None:
        self.data = memoryview(data)
        self.model = model
        self.count = model.BuffersLength()

    def __getitem__(self, index: int) -> memoryview | None:
        if index >= self.count:
            raise ModelError(f"buffer {index} of {self.count} does not exist")
        buffer = self.model.Buffers(index)
        if buffer.Offset() > 1:  # stored behind the flatbuffer: files above 2 GB may
            end = buffer.Offset() + buffer.Size()
            if end > len(self.data):
                raise ModelError(f"buffer {index} ends behind the file")
            return self.data[buffer.Offset() : end] if buffer.Size() else None
        return memoryview(buffer.DataAsNumpy()) if buffer.DataLength() else None


def _tensor(tensor: Any, buffers: _Buffers) -> FileTensor:
    quant, oddity = tensor.Quantization(), ""
    if tensor.Sparsity() is not None:
        oddity = "is sparse"
    elif quant is not None and quant.DetailsType():
        oddity = "has a custom quantisation"
    elif tensor._tab.Offset(4 + 2 * _EXTERNAL_BUFFER_SLOT):
        oddity = "is stored in another file"
    return FileTensor(
        name=_text(tensor.Name()),
        shape=tuple(_values(tensor, "Shape")),
        signature=tuple(_values(tensor, "ShapeSignature")),
        type=_TYPE_NAMES.get(tensor.Type(), f"type {tensor.Type()}"),
        quant=_quant(quant),
        data=buffers[tensor.Buffer()],
        oddity=oddity,
        is_variable=bool(tensor.IsVariable()),
    )


def _quant(quant: Any) -> FileQuant | None:
    """None without scales: a file may hold ranges (min, max) only."""
    if quant is None or not quant.ScaleLength():
        return None
    scales = tuple(_values(quant, "Scale"))
    zero_points = tuple(_values(quant, "ZeroPoint")) or (0,) * len(scales)
    return FileQuant(scales, zero_points, quant.QuantizedDimension())


def _code(code: Any) -> tuple[str, bool]:
    """(name, whether it is custom). Codes above 127 stand in the younger of two fields."""
    builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    if builtin == tflite.BuiltinOperator.CUSTOM:
        return _text(code.CustomCode()) or "CUSTOM", True
    return _OPERATOR_NAMES.get(builtin, f"operator {builtin}"), False


def _operator(operator: Any, codes: list[tuple[str, bool]], tensors: int) -> FileOperator:
    if operator.OpcodeIndex() >= len(codes):
        raise ModelError(f"operator code {operator.OpcodeIndex()} of {len(codes)} does not exist")
    kind, is_custom = codes[operator.OpcodeIndex()]
    options_type, options, table = "", None, operator.BuiltinOptions()
    if table is not None and operator.BuiltinOptionsType() in _OPTION_NAMES:
        options_type = _OPTION_NAMES[operator.BuiltinOptionsType()]
        options = getattr(tflite, options_type)()
        options.Init(table.Bytes, table.Pos)
    return FileOperator(
        kind=kind,
        is_custom=is_custom,
        inputs=_indices(operator, "Inputs", -1, tensors),
        outputs=_indices(operator, "Outputs", 0, tensors),
        options_type=options_type,
        options=options,
    )
