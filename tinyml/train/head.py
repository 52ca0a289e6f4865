"""A new classifier: the same network for another number of classes."""

from dataclasses import replace
from math import sqrt
from statistics import median

import numpy as np

from tinyml.errors import UnsupportedError
from tinyml.fill import mix
from tinyml.ir import ops
from tinyml.ir.check import check
from tinyml.ir.graph import DType, Graph, Node, Quant, Shape, Tensor
from tinyml.train.tail import weighted_layers

LARGEST_WEIGHT = 127


def with_classes(graph: Graph, classes: int, seed: int = 0) -> Graph:
    """`graph` with its classifier, the last layer with weights, replaced by a fresh one.

    The biases are zero; the weights are uniform within 1 / sqrt(inputs), as float networks
    begin, in one scale for all channels: the median of the old ones, so that what the layer
    could learn before it can learn again, but at least what makes the range fit. The scales
    of activations stay. UnsupportedError where anything but RESHAPE and SOFTMAX follows.
    """
    classifier = weighted_layers(graph)[-1]
    x, weights, *_ = graph.operands(classifier)
    assert x is not None and weights is not None
    if isinstance(classifier.op, ops.DepthwiseConv2D) or (classes < 2):
        why = f"{classes} classes" if classes < 2 else "it is depthwise"
        raise _refusal(classifier, why, "a classifier is dense or 1x1, with 2 classes or more")
    old = weights.shape[0]
    inputs = weights.size // old
    bound = 1.0 / sqrt(inputs)
    scale = float(np.float32(max(median(weights.q.scales), bound / LARGEST_WEIGHT)))
    shape = (classes, *weights.shape[1:])
    fresh = Tensor(
        f"{weights.name}:{classes}",
        shape,
        weights.dtype,
        Quant((scale,), (0,)),
        _random_weights(shape, bound / scale, seed),
    )
    bias = Tensor(
        f"{classifier.name}:bias:{classes}",
        (classes,),
        DType.INT32,
        Quant((float(np.float32(x.q.scale * scale)),), (0,)),
        _frozen(np.zeros(classes, np.int32)),
    )
    tensors = {**graph.tensors, fresh.name: fresh, bias.name: bias}
    nodes = []
    for node in graph.nodes:
        if node.name == classifier.name:
            node = replace(node, inputs=(node.inputs[0], fresh.name, bias.name))
        elif any(n in _after(graph, classifier) for n in node.inputs):
            node = _resized(node, old, classes)
        for name in node.outputs:
            if name in _after(graph, classifier):
                (became,) = node.op.infer(
                    tuple(None if n is None else tensors[n].shape for n in node.inputs)
                )
                tensors[name] = replace(tensors[name], shape=became)
        nodes.append(node)
    changed = graph.rebuilt(tuple(nodes), tensors)
    check(changed)
    return changed


def _after(graph: Graph, node: Node) -> set[str]:
    """The outputs of `node` and of everything that depends on it."""
    found = set(node.outputs)
    for each in graph.nodes:
        if any(name in found for name in each.inputs):
            found.update(each.outputs)
    return found


def _resized(node: Node, old: int, classes: int) -> Node:
    op = node.op
    if isinstance(op, ops.Softmax):
        return node
    if isinstance(op, ops.Reshape) and op.shape[-1] == old:
        return replace(node, op=replace(op, shape=(*op.shape[:-1], classes)))
    raise _refusal(node, "it follows the classifier", "only RESHAPE and SOFTMAX may")


def _random_weights(shape: Shape, reach: float, seed: int) -> np.ndarray:
    words = mix(np.arange(int(np.prod(shape)), dtype=np.uint32) + np.uint32(seed))
    uniform = words.astype(np.float64) / 2**31 - 1.0
    return _frozen(np.round(uniform * min(reach, LARGEST_WEIGHT)).astype(np.int8).reshape(shape))


def _frozen(data: np.ndarray) -> np.ndarray:
    data.setflags(write=False)
    return data


def _refusal(node: Node, why: str, hint: str) -> UnsupportedError:
    return UnsupportedError(
        f"no new head: {node.op.kind} '{node.name}', tensor '{node.outputs[0]}': {why}", hint=hint
    )
