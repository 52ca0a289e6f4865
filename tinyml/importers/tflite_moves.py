"""Resolvers of the operators that move elements; see `tflite_ops`."""

from math import prod

import tflite

from tinyml.importers.call import Call, RefusalError, Resolved
from tinyml.importers.strided_slice import Masks, resolve
from tinyml.ir import ops
from tinyml.ir.graph import DType


def _paddings(call: Call) -> tuple[tuple[int, int], ...]:
    rank, flat = len(call.tensor(0).shape), call.integers(1, "list of paddings")
    if len(flat) != 2 * rank:
        raise call.damaged(f"{len(flat)} paddings for {rank} dimensions")
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def pad(call: Call) -> Resolved:
    """PAD."""
    return ops.Pad(_paddings(call)), (0,)


def padv2(call: Call) -> Resolved:
    """PADV2: a constant value in the result's quantisation."""
    value = call.tensor(2)
    if not value.is_const:
        raise RefusalError(f"its value, tensor '{value.name}', is computed at run time")
    if value.size != 1 or value.dtype is not call.tensor(0).dtype:
        raise call.damaged(f"its value, tensor '{value.name}', is {value.dtype} {value.shape}")
    if value.dtype is not DType.INT8:
        raise RefusalError(f"tensor '{value.name}' is {value.dtype.value}, not int8")
    if value.quant != call.results[0].quant:
        raise RefusalError(f"tensor '{value.name}' and the result are quantised differently")
    return ops.Pad(_paddings(call), int(value.values.reshape(-1)[0])), (0,)


def reshape(call: Call) -> Resolved:
    """The new shape is an operand, an option, or just the result's shape."""
    x = call.tensor(0)
    if len(call.operands) > 1 and call.operands[1] is not None:
        shape = call.integers(1, "new shape")
    elif isinstance(call.options, tflite.ReshapeOptions) and call.options.NewShapeLength():
        shape = call.stated("NewShape")
    else:
        shape = call.results[0].shape
    if shape.count(-1) == 1:
        known = -prod(shape)
        if known > 0 and x.size % known == 0:
            shape = tuple(x.size // known if dim == -1 else dim for dim in shape)
    return ops.Reshape(shape), (0,)


def squeeze(call: Call) -> Resolved:
    """SQUEEZE: a RESHAPE."""
    shape = call.tensor(0).shape
    axes = {call.axis(axis, len(shape)) for axis in call.stated("SqueezeDims")}
    if any(shape[axis] != 1 for axis in axes):
        raise call.damaged(f"cannot squeeze dimensions {sorted(axes)} of {shape}")
    axes = axes or {i for i, dim in enumerate(shape) if dim == 1}
    return ops.Reshape(tuple(dim for i, dim in enumerate(shape) if i not in axes)), (0,)


def expand_dims(call: Call) -> Resolved:
    """EXPAND_DIMS: a RESHAPE."""
    shape = call.tensor(0).shape
    axis = call.axis(call.integer(1, "axis"), len(shape) + 1)
    return ops.Reshape((*shape[:axis], 1, *shape[axis:])), (0,)


def transpose(call: Call) -> Resolved:
    """TRANSPOSE."""
    rank, perm = len(call.tensor(0).shape), call.integers(1, "permutation")
    return ops.Transpose(tuple(call.axis(axis, rank) for axis in perm)), (0,)


def concatenation(call: Call) -> Resolved:
    """CONCATENATION."""
    if call.activation() is not ops.Activation.NONE:
        raise RefusalError("a fused activation is not supported here")
    axis = call.axis(call.options.Axis(), len(call.tensor(0).shape))
    return ops.Concatenation(axis), call.all_operands()


def split(call: Call) -> Resolved:
    """SPLIT."""
    axis = call.axis(call.integer(0, "axis"), len(call.tensor(1).shape))
    return ops.Split(axis, call.options.NumSplits()), (1,)


def strided_slice(call: Call) -> Resolved:
    """STRIDED_SLICE."""
    options, begin = call.options, call.integers(1, "list of begins")
    end, strides = call.integers(2, "list of ends"), call.integers(3, "list of strides")
    if options.Offset():
        end = tuple(first + length for first, length in zip(begin, end, strict=False))
    masks = Masks(
        begin=options.BeginMask(),
        end=options.EndMask(),
        ellipsis=options.EllipsisMask(),
        new_axis=options.NewAxisMask(),
        shrink=options.ShrinkAxisMask(),
    )
    try:
        return resolve(call.tensor(0).shape, begin, end, strides, masks), (0,)
    except ValueError as error:
        raise call.damaged(str(error)) from error


def slice_of(call: Call) -> Resolved:
    """SLICE: a size of -1 goes to the end."""
    shape, begin = call.tensor(0).shape, call.integers(1, "list of begins")
    sizes = call.integers(2, "list of sizes")
    if not len(shape) == len(begin) == len(sizes):
        raise call.damaged(f"begins at {begin} with sizes {sizes} in {len(shape)} dimensions")
    taken = tuple(
        n - at if size == -1 else size for n, at, size in zip(shape, begin, sizes, strict=True)
    )
    for n, at, size in zip(shape, begin, taken, strict=True):
        if at < 0 or size < 1 or at + size > n:
            raise call.damaged(f"takes {size} elements from {at} of {n}")
    return ops.StridedSlice(begin, taken, (1,) * len(shape), taken), (0,)


def reverse(call: Call) -> Resolved:
    """REVERSE_V2: a slice with steps of -1 along some dimensions."""
    shape = call.tensor(0).shape
    axes = {call.axis(axis, len(shape)) for axis in call.integers(1, "list of axes")}
    begin = tuple(n - 1 if i in axes else 0 for i, n in enumerate(shape))
    strides = tuple(-1 if i in axes else 1 for i in range(len(shape)))
    return ops.StridedSlice(begin, shape, strides, shape), (0,)


def split_v(call: Call) -> Resolved:
    """SPLIT_V: one size may be -1, what is left."""
    x, sizes = call.tensor(0), call.integers(1, "list of sizes")
    axis = call.axis(call.integer(2, "axis"), len(x.shape))
    if sizes.count(-1) == 1:
        rest = x.shape[axis] - sum(sizes) - 1
        sizes = tuple(rest if size == -1 else size for size in sizes)
    return ops.SplitV(axis, sizes), (0,)


def pack(call: Call) -> Resolved:
    """PACK."""
    axis = call.axis(call.options.Axis(), len(call.tensor(0).shape) + 1)
    return ops.Pack(axis), call.all_operands()


def unpack(call: Call) -> Resolved:
    """UNPACK."""
    axis = call.axis(call.options.Axis(), len(call.tensor(0).shape))
    return ops.Unpack(axis, call.options.Num()), (0,)


def broadcast_to(call: Call) -> Resolved:
    """BROADCAST_TO."""
    return ops.BroadcastTo(call.integers(1, "shape")), (0,)


def space_to_depth(call: Call) -> Resolved:
    """SPACE_TO_DEPTH."""
    return ops.SpaceToDepth(call.options.BlockSize()), (0,)


def depth_to_space(call: Call) -> Resolved:
    """DEPTH_TO_SPACE."""
    return ops.DepthToSpace(call.options.BlockSize()), (0,)


def gather(call: Call) -> Resolved:
    """GATHER along the first dimension; the indices come first."""
    axis = call.axis(call.options.Axis(), len(call.tensor(0).shape))
    if axis or call.options.BatchDims():
        raise RefusalError("only the first dimension can be gathered from")
    return ops.Gather(), (1, 0)


def embedding_lookup(call: Call) -> Resolved:
    """EMBEDDING_LOOKUP: GATHER of rows."""
    return ops.Gather(), (0, 1)
