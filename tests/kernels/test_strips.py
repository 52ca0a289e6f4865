"""Kernels called for vertical strips: pieces of a row, with a halo, give the whole row's bytes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.kernels.cases import cases
from tests.kernels.test_kernels import PROFILE
from tests.support.kernel_client import KernelClient
from tests.support.kernel_server import Request
from tests.support.strategies import Case
from tinyml.errors import UnsupportedError
from tinyml.ir import ops
from tinyml.kernels import bind
from tinyml.kernels.call import ConstArray, KernelCall, RowAccess, RowLoop, Span
from tinyml.reference import run


@dataclass(frozen=True)
class Columns:
    """Input columns [begin, end) that a strip reads; its first window starts at `origin`."""

    begin: int
    end: int
    origin: int


def window(case: Case, x0: int, x1: int) -> Columns:
    """For the output columns [x0, x1) of a sliding window (1 wide where the op has none)."""
    (node,) = case.graph.nodes
    op, width = node.op, case.graph.operands(node)[0].shape[2]
    stride, taps, pad = 1, 1, 0
    if isinstance(op, ops.Conv2D | ops.DepthwiseConv2D):
        weights = case.graph.operands(node)[1]
        stride, taps = op.stride[1], (weights.shape[2] - 1) * op.dilation[1] + 1
        pad = op.pads.left
    elif isinstance(op, ops.AveragePool2D | ops.MaxPool2D):
        stride, taps, pad = op.stride[1], op.filter[1], op.pads.left
    elif isinstance(op, ops.Pad):
        pad = op.paddings[2][0]
    else:  # an operand that is narrower repeats its only column
        width = case.graph.results(node)[0].shape[2]
    origin = x0 * stride - pad
    last = (x1 - 1) * stride - pad + taps
    begin = min(max(origin, 0), width)
    return Columns(begin, max(begin, min(last, width)), origin)


def tabulated(call: KernelCall, tables: tuple[str, ...]) -> Callable[[Case, int, int], Columns]:
    """For resizes: from the tables that say which columns each output column reads."""

    def columns(case: Case, x0: int, x1: int) -> Columns:
        read = np.concatenate([f.data[x0:x1] for n, f in call.struct.fields if n in tables])
        return Columns(int(read.min()), int(read.max()) + 1, 0)

    return columns


def narrowed(access: RowAccess, in_width: int, columns: Columns) -> RowAccess:
    """The rows of an input that holds only those columns (or repeats its only one)."""
    if access.row_bytes == 0 or in_width == 1:
        return access
    pixel = access.row_bytes // in_width
    row = (columns.end - columns.begin) * pixel
    constant = access.constant
    if constant is not None:
        rows = constant.data.reshape(-1, in_width, pixel // constant.data.itemsize)
        part = np.ascontiguousarray(rows[:, columns.begin : columns.end])
        constant = ConstArray(constant.ctype, part.reshape(-1))
    batch = access.batch_bytes and access.height * row
    return replace(access, row_bytes=row, batch_bytes=batch, constant=constant)


def strip(call: KernelCall, widths: list[int], columns: Columns, x0: int, x1: int) -> KernelCall:
    """`call` for the output columns [x0, x1), reading only `columns` of the input."""
    loop, struct = call.loop, call.struct
    assert isinstance(loop, RowLoop) and struct is not None
    by_column = {"columns", "left", "right", "x_weights"}
    fields = tuple(
        (n, ConstArray(v.ctype, v.data[x0:x1]) if n in by_column else v) for n, v in struct.fields
    )
    resize = any(n in by_column for n, _ in fields)
    return replace(
        call,
        struct=replace(struct, fields=fields),
        loop=replace(
            loop,
            out_row_bytes=loop.out_row_bytes // loop.span.out_width * (x1 - x0),
            inputs=tuple(narrowed(a, w, columns) for a, w in zip(loop.inputs, widths, strict=True)),
            span=Span(
                columns.end - columns.begin,
                x1 - x0,
                columns.begin if resize else columns.begin - columns.origin,
            ),
        ),
    )


KINDS = (
    *("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"),
    *("ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM", "PRELU"),
    *("TANH", "QUANTIZE", "DEQUANTIZE", "PAD", "CONCATENATION"),
    *("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_equal_whole_rows(client: KernelClient, kind: str) -> None:
    compared = 0

    @settings(PROFILE, max_examples=60)
    @given(cases(kind), st.lists(st.floats(0, 1), min_size=1, max_size=3))
    def property(case: Case, cuts: list[float]) -> None:
        nonlocal compared
        (node,) = case.graph.nodes
        (y,) = case.graph.results(node)
        tensors = [t for t in case.graph.operands(node) if t is not None]
        assume(len(y.shape) == 4 and y.shape[2] > 1 and all(len(t.shape) == 4 for t in tensors[:1]))
        try:
            call = bind(case.graph, node, flatten=False)
        except UnsupportedError:
            assume(False)
        loop = call.loop
        # Strips need rows of pixels, so nothing that is concatenated along another dimension.
        assume(isinstance(loop, RowLoop) and loop.span.out_width == y.shape[2])
        assume(not isinstance(node.op, ops.Concatenation) or node.op.axis == 3)
        maps = [t for t in tensors if not isinstance(node.op, ops.Conv2D | ops.DepthwiseConv2D)]
        maps = maps or tensors[:1]
        widths = [t.shape[-2] if len(t.shape) > 1 else 1 for t in maps]
        columns_of = window
        if kind == "RESIZE_NEAREST_NEIGHBOR":
            columns_of = tabulated(call, ("columns",))
        elif kind == "RESIZE_BILINEAR":
            columns_of = tabulated(call, ("left", "right"))
        edges = sorted({0, y.shape[2], *(round(c * y.shape[2]) for c in cuts)})
        pieces = []
        for x0, x1 in pairwise(edges):
            columns = columns_of(case, x0, x1)
            inputs = []
            for tensor, width in zip(maps, widths, strict=True):
                if tensor.is_const:
                    continue
                data = case.inputs[tensor.name]
                if width > 1 and loop.span.in_width > 1:
                    data = data[..., columns.begin : columns.end, :]
                inputs.append(data.tobytes())
            piece = strip(call, widths, columns, x0, x1)
            if len(maps) == 2 and node.inputs[0] == node.inputs[1]:
                inputs *= 2
            (result,) = client.run(Request(piece, tuple(inputs), (0,)))
            shape = (*y.shape[:2], x1 - x0, y.shape[3])
            pieces.append(np.frombuffer(result, y.dtype.numpy).reshape(shape))
        (expected,) = run(case.graph, case.inputs).values()
        assert np.concatenate(pieces, axis=2).tobytes() == expected.tobytes(), (call, edges)
        compared += len(pieces) > 1

    property()
    assert compared >= 10, f"only {compared} rows were cut"
