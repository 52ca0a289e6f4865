"""MobileOne: branches that are trained side by side and deployed as one convolution each."""

from typing import Any

import numpy as np
from keras import Model, layers

from tinyml.zoo.catalog import Spec
from tinyml.zoo.nets.blocks import LOGITS, classifier, image_input, width

_STAGES = ((48, 2), (128, 8), (256, 10), (1024, 1))
"""Channels and blocks; the first of each stage halves the map."""


def branched(spec: Spec) -> Model:
    """What is trained: for each layer a convolution, one of 1x1 and the identity, normalised."""
    return _network(spec, _branches)


def fused(trained: Model, spec: Spec) -> Model:
    """The same function with one convolution in place of the branches."""
    plain = _network(spec, _single)
    for layer in plain.layers:
        if layer.weights:
            layer.set_weights(
                trained.get_layer(LOGITS).get_weights()
                if layer.name == LOGITS
                else _merged(trained, layer)
            )
    return plain


def _network(spec: Spec, layer: Any) -> Model:
    inputs = image_input(spec)
    x = layers.ReLU()(layer(inputs, "stem", width(48, spec.alpha), 3, 2))
    for stage, (channels, blocks) in enumerate(_STAGES):
        for index in range(blocks):
            name, strides = f"block_{stage}_{index}", 1 if index else 2
            x = layers.ReLU()(layer(x, f"{name}_depthwise", 0, 3, strides))
            x = layers.ReLU()(layer(x, f"{name}_pointwise", width(channels, spec.alpha), 1, 1))
    return classifier(inputs, x, spec.classes)


def _convolution(x: Any, name: str, filters: int, kernel: int, strides: int, bias: bool) -> Any:
    """A depthwise one where `filters` is 0; padded alike on all sides, so that centres meet."""
    padding = "same"
    if strides > 1 and kernel > 1:
        x, padding = layers.ZeroPadding2D(kernel // 2)(x), "valid"
    if filters:
        made = layers.Conv2D(
            *(filters, kernel, strides, padding),
            use_bias=bias,
            kernel_initializer="he_normal",
            name=name,
        )
    else:
        made = layers.DepthwiseConv2D(
            *(kernel, strides, padding),
            use_bias=bias,
            depthwise_initializer="he_normal",
            name=name,
        )
    return made(x)


def _single(x: Any, name: str, filters: int, kernel: int, strides: int) -> Any:
    return _convolution(x, name, filters, kernel, strides, True)


def _branches(x: Any, name: str, filters: int, kernel: int, strides: int) -> Any:
    found = []
    for size in _sizes(kernel):
        y = _convolution(x, f"{name}_{size}", filters, size, strides, False)
        found.append(layers.BatchNormalization(name=f"{name}_{size}_norm")(y))
    if _skips(x.shape[-1], filters, strides):
        found.append(layers.BatchNormalization(name=f"{name}_skip_norm")(x))
    return layers.Add()(found) if len(found) > 1 else found[0]


def _sizes(kernel: int) -> tuple[int, ...]:
    return (kernel, 1) if kernel > 1 else (1,)


def _skips(channels: int, filters: int, strides: int) -> bool:
    return strides == 1 and filters in (0, channels)


def _merged(trained: Model, layer: Any) -> list[Any]:
    """Weights [k, k, in, out] (depthwise [k, k, in, 1]) and bias of `layer`.

    The sum of what its branches in `trained` multiply with, smaller kernels in the centre.
    """
    own, bias = (np.zeros(each.shape, np.float64) for each in layer.get_weights())
    depthwise, centre = isinstance(layer, layers.DepthwiseConv2D), own.shape[0] // 2
    names = [f"{layer.name}_{size}" for size in _sizes(own.shape[0])]
    parts = [(trained.get_layer(name).get_weights()[0], f"{name}_norm") for name in names]
    if _skips(own.shape[2], 0 if depthwise else own.shape[3], layer.strides[0]):
        identity = np.ones(own.shape[2:]) if depthwise else np.eye(own.shape[2])
        parts.append((identity[None, None], f"{layer.name}_skip_norm"))
    for weights, name in parts:
        norm = trained.get_layer(name)
        gamma, beta, mean, variance = (np.asarray(each, np.float64) for each in norm.get_weights())
        factor = gamma / np.sqrt(variance + norm.epsilon)
        first = centre - weights.shape[0] // 2
        rows = slice(first, first + weights.shape[0])
        own[rows, rows] += weights * (factor[:, None] if depthwise else factor)
        bias += beta - mean * factor
    return [own, bias]
