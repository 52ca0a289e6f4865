"""Kernels called for vertical strips: pieces of a row, with a halo, give the whole row's bytes."""

from dataclasses import replace
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


def tables_cut(call: KernelCall, tables: tuple[str, ...], x0: int, x1: int) -> KernelCall:
    """`call` with columns of its input, for resizes: their tables say which an output reads."""
    loop, struct = call.loop, call.struct
    assert isinstance(loop, RowLoop) and struct is not None
    (access,) = loop.inputs
    read = np.concatenate([f.data[x0:x1] for n, f in struct.fields if n in tables])
    begin, end = int(read.min()), int(read.max()) + 1
    cut = {*tables, "x_weights"}
    fields = tuple(
        (n, ConstArray(v.ctype, v.data[x0:x1]) if n in cut else v) for n, v in struct.fields
    )
    span = Span(end - begin, x1 - x0, begin)
    narrow = narrowed(access, access.row_bytes // loop.span.in_width, begin, end)
    out = loop.out_row_bytes // loop.span.out_width * (x1 - x0)
    loop = replace(loop, out_row_bytes=out, inputs=(narrow,), span=span)
    return replace(call, struct=replace(struct, fields=fields), loop=loop)


def narrowed(access: RowAccess, pixel: int, begin: int, end: int) -> RowAccess:
    """The rows of an input of which only the columns [begin, end) are there."""
    row = (end - begin) * pixel
    constant = access.constant
    if constant is not None:
        rows = constant.data.view(np.uint8).reshape(-1, access.row_bytes // pixel, pixel)
        part = np.ascontiguousarray(rows[:, begin:end]).reshape(-1).view(constant.data.dtype)
        constant = ConstArray(constant.ctype, part)
    batch = access.batch_bytes and access.height * row
    return replace(access, row_bytes=row, batch_bytes=batch, constant=constant)


def strip(call: KernelCall, x0: int, x1: int) -> KernelCall:
    """`call` for the output columns [x0, x1), as `ColumnAccess` says."""
    loop = call.loop
    assert isinstance(loop, RowLoop) and loop.cuts_columns
    inputs = []
    for access in loop.inputs:
        columns = access.columns
        assert columns is not None
        assert columns.width * columns.pixel_bytes == access.row_bytes
        inputs.append(narrowed(access, columns.pixel_bytes, *columns.read(x0, x1)))
    out = loop.pixel_bytes * (x1 - x0)
    loop = replace(loop, out_row_bytes=out, inputs=tuple(inputs), span=loop.part(x0, x1))
    return replace(call, loop=loop)


RESIZES = {"RESIZE_NEAREST_NEIGHBOR": ("columns",), "RESIZE_BILINEAR": ("left", "right")}

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
        names = case.graph.activations(node)
        edges = sorted({0, y.shape[2], *(round(c * y.shape[2]) for c in cuts)})
        pieces = []
        for x0, x1 in pairwise(edges):
            if kind in RESIZES:
                assert not loop.cuts_columns
                piece = tables_cut(call, RESIZES[kind], x0, x1)
                ranges = [(piece.loop.span.pad_left, piece.loop.span.in_width)]
                ranges = [(begin, begin + width) for begin, width in ranges]
            else:
                piece = strip(call, x0, x1)
                accesses = [access for access in loop.inputs if access.constant is None]
                ranges = [access.columns.read(x0, x1) for access in accesses]
            inputs = []
            for name, (begin, end) in zip(names, ranges, strict=True):
                data = case.inputs[name]
                data = data.reshape((1,) * (4 - data.ndim) + data.shape)
                inputs.append(data[:, :, begin:end, :].tobytes())
            (result,) = client.run(Request(piece, tuple(inputs), (0,)))
            shape = (*y.shape[:2], x1 - x0, y.shape[3])
            pieces.append(np.frombuffer(result, y.dtype.numpy).reshape(shape))
        (expected,) = run(case.graph, case.inputs).values()
        assert np.concatenate(pieces, axis=2).tobytes() == expected.tobytes(), (call, edges)
        compared += len(pieces) > 1

    property()
    assert compared >= 10, f"only {compared} rows were cut"
