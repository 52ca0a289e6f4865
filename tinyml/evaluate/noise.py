"""What quantisation does to each layer: signal to noise against the float model.

Both models run on the same samples. SNR is 10 log10 of the summed squares of the float
tensor over those of the difference, over all samples and elements.
"""

from collections.abc import Mapping, Sequence
from math import log10

import numpy as np
import numpy.typing as npt

from tinyml import reference
from tinyml.evaluate.match import Match
from tinyml.ir.graph import Array, Graph, Node
from tinyml.quant.affine import quantised, real
from tinyml.reference.registry import kernel_for
from tinyml.results import LayerNoise


def layer_noise(
    graph: Graph,
    inputs: Sequence[Array],
    floats: Mapping[str, Array],
    matches: Mapping[str, Match],
) -> tuple[LayerNoise, ...]:
    """The noise of each node whose output is matched, in their order.

    `inputs` has for each input an array [n, 1, ...] of its type, `floats` for each matched
    tensor the float model's values [n, ...].
    """
    sums = {name: _Sums() for name in matches}
    own = {name: _Sums() for name in matches}
    for i in range(len(inputs[0])):
        feed = {name: array[i] for name, array in zip(graph.inputs, inputs, strict=True)}
        values = reference.run(graph, feed, keep=True)
        truth = {name: floats[name][i] for name in matches}
        ideal = feed | {name: quantised(v, graph.tensors[name]) for name, v in truth.items()}
        for node in graph.nodes:
            name = node.outputs[0]
            if name not in matches:
                continue
            sums[name].add(truth[name], real(values[name], graph.tensors[name]))
            if all(operand in ideal for operand in graph.activations(node)):
                alone = _alone(graph, node, ideal)
                own[name].add(truth[name], real(alone, graph.tensors[name]))
    return tuple(
        LayerNoise(
            name=node.name,
            op=node.op.kind,
            tensor=node.outputs[0],
            matched=matches[node.outputs[0]].by,
            snr_db=sums[node.outputs[0]].decibels,
            own_snr_db=own[node.outputs[0]].decibels,
        )
        for node in graph.nodes
        if node.outputs[0] in matches
    )


def _alone(graph: Graph, node: Node, values: Mapping[str, Array]) -> Array:
    """The first output of a node for these operands."""
    operands = tuple(
        None if name is None else graph.tensors[name].data if name not in values else values[name]
        for name in node.inputs
    )
    return kernel_for(graph, node)(graph, node, operands)[0]


class _Sums:
    """Squares of signal and noise, added up."""

    def __init__(self) -> None:
        self.signal = self.noise = 0.0

    def add(self, truth: Array, found: npt.NDArray[np.float64]) -> None:
        exact = truth.astype(np.float64)
        self.signal += float(np.sum(exact**2))
        self.noise += float(np.sum((exact - found) ** 2))

    @property
    def decibels(self) -> float | None:
        if not self.signal or not self.noise:
            return None
        return 10 * log10(self.signal / self.noise)
