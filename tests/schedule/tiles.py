"""Patches run tile by tile in NumPy, with nothing but the schedule and the ops' definitions.

Rings are arrays whose pixels know which pixel of the map they hold, so a pixel that is
missing, or overwritten too early, is found where it is read. What a step computes comes
from the reference, given the part of the input that the step may see.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from random import Random

import numpy as np

from tests.support.builder import GraphBuilder
from tinyml.ir import ops
from tinyml.ir.graph import Array, Graph, Node
from tinyml.ir.ops import Pads
from tinyml.reference import run
from tinyml.schedule.schedule import FEED, Segment

Window = tuple[list[int], list[int], Pads]
"""Rows and columns of an input that are there, and how many are missing on each side."""


class Held:
    """The pixels of a tensor that are in memory: all of it, or a ring."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, rows: int, columns: int) -> None:
        self.width, self.rows = shape[2], rows
        self.data = np.zeros((rows, columns, shape[3]), dtype)
        self.pixel = np.full((rows, columns), -1)

    def write(self, row: int, columns: range, data: Array, first: int) -> None:
        where = (row % self.rows, slice(columns.start - first, columns.stop - first))
        self.data[where] = data
        self.pixel[where] = row * self.width + np.array(columns)

    def read(self, row: int, columns: list[int], first: int) -> Array:
        where = (row % self.rows, np.array(columns, np.int64) - first)
        assert (where[1] >= 0).all()
        assert (self.pixel[where] == row * self.width + np.array(columns)).all()
        return self.data[where]


def run_patch(graph: Graph, segment: Segment, values: Mapping[str, Array]) -> dict[str, Array]:
    """What the segment leaves in memory; `values` are the tensors from outside it."""
    node_of = {node.name: node for node in graph.nodes}
    nodes = [node_of[name] for name in segment.nodes]
    names = [*(node.output for node in nodes), *graph.inputs[:1]]
    rings = {ring.tensor: ring for ring in segment.rings}
    held: dict[str, Held] = {}
    for name in {*names, *values}:
        shape, dtype = graph.tensors[name].shape, graph.tensors[name].dtype.numpy
        ring = rings.get(name)
        size = (ring.rows, ring.columns) if ring else shape[1:3]
        held[name] = Held(shape, dtype, *size)
        if name in values and ring is None:
            for row in range(shape[1]):
                held[name].write(row, range(shape[2]), values[name][0, row], 0)
    begin = 0
    for band in segment.bands:
        program = segment.program[begin : begin + band.steps]
        begin += band.steps
        for strip in segment.strips:
            parts = dict(zip(names, strip.columns, strict=False))
            firsts = {name: parts[name][0] if name in rings else 0 for name in parts}
            rows = list(band.first_rows)
            for entry in program:
                name, row = names[entry], rows[entry]
                columns = range(*parts[name])
                if entry == FEED:
                    data = values[name][0, row, columns.start : columns.stop]
                else:
                    data = _step(graph, nodes[entry], row, columns, held, firsts)
                held[name].write(row, columns, data, firsts[name])
                rows[entry] += 1
    assert begin == len(segment.program)
    found = {}
    for name in names[: len(nodes)]:
        if name not in rings:
            assert (held[name].pixel >= 0).all(), f"tiles leave parts of {name} out"
            found[name] = held[name].data[None]
    return found


def _step(
    graph: Graph,
    node: Node,
    row: int,
    columns: range,
    held: Mapping[str, Held],
    firsts: Mapping[str, int],
) -> Array:
    """One row of a tile, by the reference, from what the step may see of its inputs."""
    tensors, inputs, op = {}, {}, node.op
    for tensor in (*graph.operands(node), *graph.results(node)):
        if tensor is not None:
            tensors[tensor.name] = tensor
    for name in dict.fromkeys(graph.activations(node)):
        shape = graph.tensors[name].shape
        rows, there, pads = _window(graph, node, shape, row, columns)
        data = np.zeros((1, len(rows), len(there), shape[3]), graph.tensors[name].dtype.numpy)
        for i, y in enumerate(rows):
            if y >= 0:
                data[0, i] = held[name].read(y, there, firsts.get(name, 0))
        inputs[name] = data
        tensors[name] = replace(tensors[name], shape=data.shape)
        if isinstance(op, ops.Pad):
            op = replace(
                op,
                paddings=((0, 0), (pads.top, pads.bottom), (pads.left, pads.right), op.paddings[3]),
            )
        elif pads != Pads() or hasattr(op, "pads"):
            op = replace(op, pads=pads)
    for tensor in (t for t in graph.operands(node) if t is not None and t.is_const):
        if isinstance(op, ops.Mul | ops.Add | ops.Concatenation):
            rows, there, _ = _window(graph, node, tensor.shape, row, columns)
            part = tensor.data[:, rows][:, :, there]
            tensors[tensor.name] = replace(tensor, shape=part.shape, data=part)
    result = graph.tensors[node.output]
    shape = (1, 1, len(columns), result.shape[3])
    tensors[node.output] = replace(result, shape=shape)
    if 0 in (size for data in inputs.values() for size in data.shape):
        assert isinstance(op, ops.Pad)
        value = op.value if op.value is not None else result.q.zero_point
        return np.full(shape[1:], value, result.dtype.numpy)[0]
    one = Graph("step", tensors, (replace(node, op=op),), tuple(inputs), (node.output,))
    return run(one, inputs)[node.output][0, 0]


def _window(graph: Graph, node: Node, shape: tuple[int, ...], row: int, columns: range) -> Window:
    """What of an input of this shape a part of an output row is made from.

    Rows between those that a dilated window reads count as -1: they may be gone.
    """
    op, (_, height, width, _) = node.op, shape
    stride, taps, dilation, before = (1, 1), (1, 1), (1, 1), (0, 0)
    if isinstance(op, ops.Conv2D | ops.DepthwiseConv2D):
        weights = graph.operands(node)[1]
        assert weights is not None
        stride, taps, dilation = op.stride, weights.shape[1:3], op.dilation
        before = (op.pads.top, op.pads.left)
    elif isinstance(op, ops.AveragePool2D | ops.MaxPool2D):
        stride, taps, before = op.stride, op.filter, (op.pads.top, op.pads.left)
    elif isinstance(op, ops.Pad):
        before = (op.paddings[1][0], op.paddings[2][0])
    else:
        _, out_height, out_width, _ = graph.tensors[node.output].shape
        rows = [row if height == out_height else 0]
        return rows, list(columns) if width == out_width else [0], Pads()
    top = row * stride[0] - before[0]
    bottom = top + (taps[0] - 1) * dilation[0] + 1
    left = columns.start * stride[1] - before[1]
    right = (columns.stop - 1) * stride[1] - before[1] + (taps[1] - 1) * dilation[1] + 1
    rows = [
        y if (y - top) % dilation[0] == 0 else -1 for y in range(max(top, 0), min(bottom, height))
    ]
    there = list(range(max(left, 0), min(right, width)))
    if not rows or not there:
        rows, there = ([], []) if isinstance(op, ops.Pad) else (rows, there)
    return (
        rows,
        there,
        Pads(max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0)),
    )


def random_tiles(rng: Random, nodes: int) -> Graph:
    """A network of maps all of whose ops can run in tiles: windows of all kinds, and branches."""
    b = GraphBuilder(seed=rng.randrange(2**32))
    names = [b.input((1, rng.randint(3, 16), rng.randint(3, 16), rng.randint(1, 3)))]
    for _ in range(nodes):
        x = names[-1] if rng.random() < 0.75 else rng.choice(names)
        _, height, width, channels = b.tensors[x].shape
        same = [n for n in names if b.tensors[n].shape == b.tensors[x].shape]
        flat = [n for n in names if b.tensors[n].shape[:3] == b.tensors[x].shape[:3]]
        kind = rng.random()
        if kind < 0.1:
            names.append(b.node(ops.Add(), (x, rng.choice(same)), b.quant()))
        elif kind < 0.2 and channels < 8:
            parts = [x, rng.choice(flat)]
            quant = b.tensors[x].quant
            parts = [p if b.tensors[p].quant == quant else _as(b, p, x) for p in parts]
            names.append(b.node(ops.Concatenation(axis=3), parts))
        elif kind < 0.3:
            shape = rng.choice(((1, 1, 1, channels), (1, 1, width, 1), (1, height, 1, channels)))
            names.append(b.node(ops.Mul(), (x, b.random_const(shape)), b.quant()))
        elif kind < 0.35:
            names.append(b.node(ops.Tanh(), (x,), b.quant()))
        elif kind < 0.45:
            paddings = tuple((rng.randint(0, 2), rng.randint(0, 2)) for _ in range(2))
            names.append(b.node(ops.Pad(((0, 0), *paddings, (0, 0))), (x,)))
        else:
            names.append(_windowed(b, rng, x))
    read = {name for node in b.nodes for name in node.inputs}
    written = [node.output for node in b.nodes]
    outputs = [n for n in written if n not in read or rng.random() < 0.1]
    return b.graph(*outputs)


def _as(b: GraphBuilder, x: str, like: str) -> str:
    return b.node(ops.Quantize(), (x,), b.tensors[like].quant)


def _windowed(b: GraphBuilder, rng: Random, x: str) -> str:
    sizes = b.tensors[x].shape[1:3]
    taps = tuple(rng.randint(1, min(4, size)) for size in sizes)
    dilation = tuple(
        2 if 2 * n - 1 <= size and rng.random() < 0.2 else 1
        for n, size in zip(taps, sizes, strict=True)
    )
    kind = rng.random()
    if kind < 0.3:
        dilation = (1, 1)
    extent = [(n - 1) * d + 1 for n, d in zip(taps, dilation, strict=True)]
    pads = Pads(*(rng.choice((0, (e - 1) // 2, e // 2, e - 1)) for e in extent for _ in range(2)))
    # No stride leads past what there is, and no dilated window may miss it.
    if 2 in dilation:
        pads = Pads()
    stride = (rng.choice((1, 1, 2, 3)), rng.choice((1, 1, 2, 3)))
    if kind < 0.3:
        op = rng.choice((ops.MaxPool2D, ops.AveragePool2D))
        return b.node(op(stride=stride, pads=pads, filter=taps), (x,))
    if kind < 0.6:
        return b.depthwise(x, 1, taps, stride=stride, pads=pads, dilation=dilation)
    return b.conv(x, rng.randint(1, 4), taps, stride=stride, pads=pads, dilation=dilation)


def prefixes(graph: Graph) -> Iterator[list[str]]:
    """The first nodes, fewest last."""
    names = [node.name for node in graph.nodes]
    return (names[:count] for count in range(len(names), 0, -1))
