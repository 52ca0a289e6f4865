"""What a call of a kernel costs, in instructions: measured figures of `runtime_c/costs.toml`.

A kernel's cost is a sum of terms for the work that it does: multiply-accumulates, elements
written and read, rows, and the call itself. The coefficients were fitted to counts of every
kernel on many shapes in the emulator (`python -m benchmarks.costs` does it anew).
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from math import prod

from tinyml.ir.graph import Graph, Node
from tinyml.ir.ops import DepthwiseConv2D
from tinyml.kernels.call import Accumulation, Alias, KernelCall, RowLoop, WholeCall
from tinyml.resources import runtime_dir


@dataclass(frozen=True, slots=True)
class Work:
    """What one node does; its fields are the terms of a cost, named as in `costs.toml`."""

    macs: int
    """Multiply-accumulates, with those that fill up to whole words: of taps, or, in a depthwise
    convolution, of channels."""
    outputs: int
    """Bytes written."""
    inputs: int
    """Bytes read, those under several windows of rows as often."""
    pixels: int
    """Columns of all rows that are written."""
    rows: int
    """Kernel calls, or rows taken in."""
    calls: int = 1

    def terms(self) -> tuple[int, ...]:
        """The fields, in order."""
        return tuple(int(getattr(self, field.name)) for field in fields(self))


TERMS = tuple(field.name for field in fields(Work))


def work(call: KernelCall, graph: Graph, node: Node) -> Work:
    """The work of `node`, run by `call` on whole tensors."""
    macs = _padded_macs(graph, node)
    outputs = sum(tensor.nbytes for tensor in graph.results(node))
    inputs = sum(graph.tensors[name].nbytes for name in graph.activations(node))
    match call.loop:
        case RowLoop(batches=batches, out_height=height, inputs=accesses, span=span):
            read = sum(access.count * access.row_bytes for access in accesses)
            rows = batches * height
            return Work(macs, outputs, rows * read, rows * span.out_width, rows)
        case Accumulation(batches=batches, in_height=height):
            return Work(macs, outputs, inputs, 0, batches * height)
        case WholeCall():
            return Work(macs, outputs, inputs, 0, 1)
        case Alias():
            return Work(0, 0, 0, 0, 0, 0)


def _padded_macs(graph: Graph, node: Node) -> int:
    macs = graph.macs(node)
    if not macs:
        return 0
    shape = graph.results(node)[0].shape
    channels, elements = shape[-1], prod(shape)
    if isinstance(node.op, DepthwiseConv2D):
        return macs // channels * _whole_words(channels)
    return elements * _whole_words(macs // elements)


def _whole_words(count: int) -> int:
    return -(-count // 4) * 4


def predicted(kernel: str, core: str, done: Work) -> int | None:
    """Instructions on a core; None where the kernel has not been measured on it."""
    if not any(done.terms()):
        return 0
    cost = _table().get(kernel, {}).get(core)
    if cost is None:
        return None
    return round(sum(cost.get(name, 0) * n for name, n in zip(TERMS, done.terms(), strict=True)))


@cache
def _table() -> Mapping[str, Mapping[str, Mapping[str, float]]]:
    table: Mapping[str, Mapping[str, Mapping[str, float]]] = tomllib.loads(
        (runtime_dir() / "costs.toml").read_text(encoding="utf-8")
    )
    return table
