"""What each op takes and gives: operand counts, element types, constants, quantisation.

One rule per op, for the graph checker and for the importers, which list the
operators of a model that no rule covers. Shapes are the ops' own business.
"""

import math
from collections.abc import Callable, Sequence

from tinyml.ir import ops
from tinyml.ir.graph import DType, Tensor
from tinyml.ir.ops.real import InFloat32

Operands = Sequence[Tensor | None]
Results = Sequence[Tensor]
_Rule = Callable[[ops.Op, Operands, Results], str | None]


def completed(op: ops.Op, operands: Operands) -> Operands:
    """`operands` with None for optional ones that are left out at the end."""
    _, most = _COUNTS.get(type(op), (1, 1))
    absent = 0 if most == _MANY else most - len(operands)
    return (*operands, *(None for _ in range(absent)))


def misfit(op: ops.Op, operands: Operands, results: Results) -> str | None:
    """Why `op` cannot work on these tensors (naming one), None when it can."""
    if isinstance(op, InFloat32):
        return _first([_is(t, DType.FLOAT32) for t in (*_present(operands), *results)])
    low, high = _COUNTS.get(type(op), (1, 1))
    if not (low if high == _MANY else high) <= len(operands) <= high:
        expected = f"{low}" if low == high else f"{low} to {high}"
        return f"has {len(operands)} operands, needs {expected}"
    if any(operand is None for operand in operands[:low]):
        return f"operand {[operand is None for operand in operands].index(True)} is missing"
    if len(results) != op.results:
        return f"has {len(results)} results, computes {op.results}"
    return _RULES[type(op)](op, operands, results)


_MANY = 2**16
_COUNTS: dict[type[ops.Op], tuple[int, int]] = {
    ops.Conv2D: (2, 3),
    ops.DepthwiseConv2D: (2, 3),
    ops.FullyConnected: (2, 3),
    ops.TransposeConv: (2, 3),
    ops.BatchMatMul: (2, 2),
    ops.Concatenation: (1, _MANY),
    ops.Pack: (1, _MANY),
    ops.Gather: (2, 2),
    ops.AssignVariable: (2, 2),
    ops.Svdf: (3, 5),
    ops.Lstm: (15, 15),
    **dict.fromkeys(ops.PAIRED, (2, 2)),
}
"""Operands that must be there, and how many there are with the optional ones, where not 1."""


def takes(kind: type[ops.Op]) -> str:
    """What operators of `kind` take and give, in words."""
    return (_RULES[kind].__doc__ or "").strip().partition("\n")[0]


def _present(operands: Operands) -> list[Tensor]:
    return [operand for operand in operands if operand is not None]


def _is(tensor: Tensor, *dtypes: DType) -> str | None:
    if tensor.dtype in dtypes:
        return None
    wanted = " or ".join(dtype.value for dtype in dtypes)
    return f"tensor '{tensor.name}' is {tensor.dtype.value}, not {wanted}"


def _per_tensor(tensor: Tensor) -> str | None:
    if tensor.quant is None:
        return f"tensor '{tensor.name}' is not quantised"
    if len(tensor.quant.scales) != 1:
        return f"tensor '{tensor.name}' is quantised per channel"
    return None


def _quantized(tensor: Tensor, *dtypes: DType) -> str | None:
    """An integer tensor with one scale."""
    return _is(tensor, *dtypes) or _per_tensor(tensor)


def _first(reasons: Sequence[str | None]) -> str | None:
    return next((reason for reason in reasons if reason is not None), None)


def _same_quant(a: Tensor, b: Tensor) -> str | None:
    """Both unquantised, or both alike up to float32 noise (the bytes move unchanged)."""
    if a.quant == b.quant:
        return None
    if a.quant is None or b.quant is None:
        return f"only one of '{a.name}' and '{b.name}' is quantised"
    if (a.quant.zero_points, len(a.quant.scales)) == (b.quant.zero_points, len(b.quant.scales)):
        pairs = zip(a.quant.scales, b.quant.scales, strict=True)
        if all(math.isclose(x, y, rel_tol=1e-6) for x, y in pairs):
            return None
    return f"tensors '{a.name}' and '{b.name}' are quantised differently"


def _constant(tensor: Tensor, what: str) -> str | None:
    return None if tensor.is_const else f"{what} '{tensor.name}' are computed at run time"


def _weighted(op: ops.Op, operands: Operands, results: Results) -> str | None:
    """int8 with constant int8 weights and constant int32 bias."""
    x, weights, *rest = _present(operands)
    (y,) = results
    # Types first: of a float model all of its layers should be refused for that reason.
    return (
        _first([_is(t, DType.INT8) for t in (x, weights, y)])
        or _first([_per_tensor(t) for t in (x, y)])
        or _constant(weights, "weights")
        or _weight_scales(op, weights)
        or _first([_bias(bias, weights, y) for bias in rest])
    )


def _weight_scales(op: ops.Op, weights: Tensor) -> str | None:
    if weights.quant is None:
        return f"weights '{weights.name}' are not quantised"
    per_channel = len(weights.quant.scales) > 1
    axis = 3 if isinstance(op, ops.DepthwiseConv2D) else 0
    if per_channel and weights.quant.axis != axis:
        return (
            f"weights '{weights.name}' are quantised along dimension {weights.quant.axis}, "
            f"not {axis}"
        )
    if any(weights.quant.zero_points) and (per_channel or not isinstance(op, ops.FullyConnected)):
        return f"weights '{weights.name}' are quantised asymmetrically (zero point not 0)"
    return None


def _bias(bias: Tensor, weights: Tensor, y: Tensor) -> str | None:
    if bias.shape != y.shape[-1:]:
        return f"bias '{bias.name}' is {bias.shape} for a result '{y.name}' of {y.shape}"
    if bias.quant is not None and len(bias.quant.scales) not in (1, len(weights.q.scales)):
        return (
            f"bias '{bias.name}' has {len(bias.quant.scales)} scales, "
            f"weights '{weights.name}' have {len(weights.q.scales)}"
        )
    return _is(bias, DType.INT32) or _constant(bias, "bias values")


def _int8(op: ops.Op, operands: Operands, results: Results) -> str | None:
    """int8 to int8, one scale each."""
    return _first([_quantized(t, DType.INT8) for t in (*_present(operands), *results)])


def _product(op: ops.Op, operands: Operands, results: Results) -> str | None:
    """int8 to int8; only the second operand may be constant."""
    left = _present(operands)[0]
    constant = f"the left operand '{left.name}' is constant" if left.is_const else None
    return _int8(op, operands, results) or constant


def _int8_alike(op: ops.Op, operands: Operands, results: Results) -> str | None:
    """int8 to int8, all quantised alike."""
    return _int8(op, operands, results) or _first(
        [_same_quant(operand, results[0]) for operand in _present(operands)]
    )


def _moved(op: ops.Op, operands: Operands, results: Results) -> str | None:
    """Any element type: bytes are moved."""
    (y, *_), tensors = results, [*_present(operands), *results]
    return _first([_is(t, y.dtype) or _same_quant(t, y) for t in tensors])


def _packed(op: ops.Op, operands: Operands, results: Results) -> str | None:
    """Bytes are moved of what is no boolean: TFLite Micro does not pack these."""
    reasons = [_is(t, *(d for d in DType if d is not DType.BOOL)) for t in results]
    return _first(reasons) or _moved(op, operands, results)


def _gather(op: ops.Op, operands: Operands, results: Results) -> str | None:
    """int32 indices that are computed, and int8 rows."""
    (indices, rows), (y,) = _present(operands), results
    constant = f"its indices '{indices.name}' are constant" if indices.is_const else None
    return (
        _is(indices, DType.INT32)
        or _first([_quantized(t, DType.INT8) for t in (rows, y)])
        or _same_quant(rows, y)
        or constant
    )


def _pad(op: ops.Op, operands: Operands, results: Results) -> str | None:
    """int8, or int16 padded with its zero point."""
    assert isinstance(op, ops.Pad)
    if op.value is not None and not -128 <= op.value <= 127:
        return f"pads with {op.value}, which is no int8"
    dtypes = (DType.INT8, DType.INT16) if op.value is None else (DType.INT8,)
    reasons = [_quantized(t, *dtypes) for t in (*_present(operands), *results)]
    return _first(reasons) or _moved(op, operands, results)


_REQUANTIZED = {
    (DType.INT8, DType.INT8),
    (DType.INT8, DType.UINT8),
    (DType.UINT8, DType.INT8),
    (DType.INT16, DType.INT8),
}


def _quantize(op: ops.Op, operands: Operands, results: Results) -> str | None:
    """float32 to int8 or int16, or between integers, as far as TFLite Micro does."""
    (x,), (y,) = _present(operands), results
    if x.dtype is DType.FLOAT32:
        return _quantized(y, DType.INT8, DType.INT16)
    if (x.dtype, y.dtype) not in _REQUANTIZED:
        return f"no conversion from '{x.name}' {x.dtype.value} to '{y.name}' {y.dtype.value}"
    return _per_tensor(x) or _per_tensor(y)


def _dequantize(op: ops.Op, operands: Operands, results: Results) -> str | None:
    """Integer to float32."""
    (x,), (y,) = _present(operands), results
    return _quantized(x, DType.INT8, DType.UINT8, DType.INT16) or _is(y, DType.FLOAT32)


def _comparison(op: ops.Op, operands: Operands, results: Results) -> str | None:
    """int8 to bool."""
    reasons = [_quantized(t, DType.INT8) for t in _present(operands)]
    return _first([*reasons, _is(results[0], DType.BOOL)])


def _logical(op: ops.Op, operands: Operands, results: Results) -> str | None:
    """bool to bool."""
    return _first([_is(t, DType.BOOL) for t in (*_present(operands), *results)])


def _assigned(op: ops.Op, operands: Operands, results: Results) -> str | None:
    """Any element type, one for value and variable: bytes are moved."""
    return _first([_is(t, results[0].dtype) for t in _present(operands)])


def _svdf(op: ops.Op, operands: Operands, results: Results) -> str | None:
    """int8 with constant weights; those over time, and the state, are of int16 or int8."""
    x, feature, time, bias, state = operands
    if x is None or feature is None or time is None or state is None:
        return "has no state"
    y, after = results
    return (
        _first([_quantized(t, DType.INT8) for t in (x, feature, y)])
        or _quantized(state, DType.INT16, DType.INT8)
        or _quantized(time, state.dtype)
        or _is(after, state.dtype)
        or _constant(feature, "weights")
        or _constant(time, "weights")
        or _first([_symmetric(t) for t in (feature, time)])
        or (None if bias is None else _bias(bias, time, y))
    )


def _lstm(op: ops.Op, operands: Operands, results: Results) -> str | None:
    """int8 with constant int8 weights and int32 biases, and cells of int16."""
    tensors = _present(operands)
    weights, biases, (hidden, cell) = tensors[1:9], tensors[9:13], tensors[13:]
    return (
        _first([_quantized(t, DType.INT8) for t in (tensors[0], *weights, hidden, results[0])])
        or _quantized(cell, DType.INT16)
        or _first([_constant(t, "weights") or _symmetric(t) for t in weights])
        or _first([_is(t, DType.INT32) or _constant(t, "bias values") for t in biases])
        or _is(results[1], hidden.dtype)
        or _is(results[2], cell.dtype)
    )


def _symmetric(weights: Tensor) -> str | None:
    if any(weights.q.zero_points):
        return f"weights '{weights.name}' are quantised asymmetrically (zero point not 0)"
    return None


def _arg_max(op: ops.Op, operands: Operands, results: Results) -> str | None:
    """int8 to int32."""
    (x,), (y,) = _present(operands), results
    return _is(x, DType.INT8) or _is(y, DType.INT32)


_RULES: dict[type[ops.Op], _Rule] = {
    **dict.fromkeys((ops.Conv2D, ops.DepthwiseConv2D, ops.FullyConnected), _weighted),
    ops.TransposeConv: _weighted,
    ops.BatchMatMul: _product,
    **dict.fromkeys((ops.Add, ops.Sub, ops.Mul, ops.Prelu, ops.SquaredDifference), _int8),
    **dict.fromkeys((*ops.TABULATED, ops.Mean, ops.Softmax), _int8),
    **dict.fromkeys(ops.COMPARISONS, _comparison),
    **dict.fromkeys((ops.LogicalNot, ops.LogicalAnd, ops.LogicalOr), _logical),
    **dict.fromkeys((ops.Minimum, ops.Maximum, ops.ReduceMax, ops.ReduceMin), _int8_alike),
    **dict.fromkeys((ops.AveragePool2D, ops.MaxPool2D), _int8_alike),
    **dict.fromkeys((ops.ResizeNearestNeighbor, ops.ResizeBilinear), _int8_alike),
    **dict.fromkeys((ops.Reshape, ops.Transpose, ops.Concatenation), _moved),
    **dict.fromkeys((ops.Split, ops.SplitV, ops.StridedSlice), _moved),
    **dict.fromkeys((ops.Pack, ops.Unpack), _packed),
    **dict.fromkeys((ops.BroadcastTo, ops.SpaceToDepth, ops.DepthToSpace), _moved),
    ops.Gather: _gather,
    ops.Pad: _pad,
    ops.Quantize: _quantize,
    ops.Dequantize: _dequantize,
    ops.ArgMax: _arg_max,
    ops.ArgMin: _arg_max,
    ops.AssignVariable: _assigned,
    ops.Svdf: _svdf,
    ops.Lstm: _lstm,
}
