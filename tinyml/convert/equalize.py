"""Weights that lose less in int8: cross-layer equalisation and bias correction.

Nagel, van Baalen, Blankevoort, Welling 2019, Data-Free Quantization Through Weight Equalization
and Bias Correction. Runs in the worker only: importing this module loads Keras.

Equalisation: where y = f2(relu(f1(x))), channel i of f1 may be divided by s and the weights that
multiply it in f2 multiplied by s. With s = sqrt(r1 / r2), r1 and r2 the largest weight on each
side, both ranges are sqrt(r1 * r2). A ReLU6 between them becomes a ReLU, as in the paper: its
bound would have to be one to a channel.

Bias correction: what rounding its weights adds to a layer's result in the mean, here the mean over
the samples, is subtracted. Weights are int8 per channel, symmetric, as the converter has them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import Model, activations, layers

from tinyml.ir.graph import Array

ROUNDS = 20
"""How often all pairs are gone through; the paper goes on until nothing changes."""
SAMPLES = 64
"""Inputs that means are taken over."""
LIMIT = 127
"""The largest int8 weight: the converter leaves out -128."""
_WEIGHTED = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)
_PASSED = (
    layers.BatchNormalization,
    layers.Dropout,
    layers.ZeroPadding2D,
    layers.MaxPooling2D,
    layers.AveragePooling2D,
    layers.GlobalAveragePooling2D,
)
"""Layers that work on each channel alone and, but for the first, keep factors above 0."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two layers with weights; nothing else sees what lies between them."""

    first: Any
    norm: Any
    """The batch normalisation of `first`, or None."""
    relus: tuple[Any, ...]
    """The layers whose bound at 6 goes; `first` among them where it has its own activation."""
    second: Any


def equalised(model: Model, samples: Sequence[Array]) -> Model:
    """The model, changed in place; `samples` are its inputs, [n, 1, ...] each."""
    pairs = list(_pairs(model))
    for pair in pairs:
        for relu in pair.relus:
            _unbound(relu)
    for _ in range(ROUNDS):
        for pair in pairs:
            _equalise(pair)
    _correct(model, [array[:SAMPLES, 0] for array in samples])
    return model


def _pairs(model: Model) -> Iterator[Pair]:
    for layer in model.layers:
        if not isinstance(layer, _WEIGHTED) or not _is_relu(layer.activation, linear=True):
            continue
        norm, relus, at = None, [layer], layer
        while True:
            at = _follower(at, model)
            if at is None:
                break
            if isinstance(at, _WEIGHTED):
                yield Pair(layer, norm, tuple(relus), at)
                break
            if isinstance(at, layers.BatchNormalization):
                linear = len(relus) == 1 and layer.activation is activations.linear
                if norm is not None or not linear or not (at.scale and at.center):
                    break
                norm = at
            elif _is_relu_layer(at):
                relus.append(at)
            elif not isinstance(at, _PASSED):
                break


def _follower(layer: Any, model: Model) -> Any:
    """The only layer that takes the result of `layer`, and takes nothing else; or None."""
    followers = [node.operation for node in layer._outbound_nodes]
    shown = any(layer.output is output for output in model.outputs)
    alone = len(followers) == 1 and not shown and len(followers[0]._inbound_nodes) == 1
    return followers[0] if alone else None


def _is_relu(function: Any, linear: bool = False) -> bool:
    known = {activations.relu, activations.relu6}
    return function in known or (linear and function is activations.linear)


def _is_relu_layer(layer: Any) -> bool:
    if isinstance(layer, layers.ReLU):
        return not layer.negative_slope and not layer.threshold
    return isinstance(layer, layers.Activation) and _is_relu(layer.activation)


def _unbound(layer: Any) -> None:
    if isinstance(layer, layers.ReLU):
        layer.max_value = None
    elif layer.activation is activations.relu6:
        layer.activation = activations.relu


def _outward(layer: Any, kernel: Array) -> Array:
    """The weights [..., channel] by the channel of the result that they make."""
    if isinstance(layer, layers.DepthwiseConv2D):
        return kernel.reshape(*kernel.shape[:2], -1)
    return kernel


def _inward(layer: Any, kernel: Array) -> Array:
    """The weights [..., channel] by the channel of the operand that they multiply."""
    return kernel.swapaxes(-1, -2)


def _equalise(pair: Pair) -> None:
    kernel, *bias = pair.first.get_weights()
    after, *kept = pair.second.get_weights()
    gain = np.ones(_outward(pair.first, kernel).shape[-1])
    if pair.norm is not None:
        gamma, beta, mean, variance = pair.norm.get_weights()
        gain = np.abs(gamma) / np.sqrt(variance + pair.norm.epsilon)
    made, read = _outward(pair.first, kernel), _inward(pair.second, after)
    if made.shape[-1] != read.shape[-1]:
        return
    first = np.abs(made).reshape(-1, made.shape[-1]).max(0) * gain
    second = np.abs(read).reshape(-1, read.shape[-1]).max(0)
    factor = np.ones_like(first)
    np.sqrt(first / np.maximum(second, 1e-12), out=factor, where=(first > 1e-9) & (second > 1e-9))
    if pair.norm is not None:
        pair.norm.set_weights([gamma / factor, beta / factor, mean, variance])
    else:
        scaled = (made / factor).reshape(kernel.shape)
        pair.first.set_weights([scaled, *(each / factor for each in bias)])
    pair.second.set_weights([_inward(pair.second, read * factor), *kept])


def _correct(model: Model, samples: Sequence[Array]) -> None:
    """Subtracts each layer's mean error, from its bias or from what is normalised."""
    for layer in model.layers:
        if not isinstance(layer, _WEIGHTED):
            continue
        norm = _norm_behind(layer, model)
        if norm is None and not layer.use_bias:
            continue
        weights, activation = layer.get_weights(), layer.activation
        error = _rounded(layer, weights[0]) - weights[0]
        operand = Model(model.inputs, layer.input)(list(samples), training=False)
        layer.set_weights([error, *(np.zeros_like(each) for each in weights[1:])])
        layer.activation = activations.linear
        found = np.asarray(layer(operand), np.float64)
        shift = found.reshape(-1, found.shape[-1]).mean(0)
        layer.activation = activation
        if norm is None:
            layer.set_weights([weights[0], weights[1] - shift])
        else:
            layer.set_weights(weights)
            norm.moving_mean.assign(norm.moving_mean + shift)


def _norm_behind(layer: Any, model: Model) -> Any:
    follower = _follower(layer, model)
    linear = layer.activation is activations.linear
    return follower if linear and isinstance(follower, layers.BatchNormalization) else None


def _rounded(layer: Any, kernel: Array) -> Array:
    """What the int8 weights stand for; a factor of each channel makes no difference to that."""
    made = _outward(layer, kernel)
    largest = np.abs(made).reshape(-1, made.shape[-1]).max(0)
    scale = np.maximum(largest, 1e-12) / LIMIT
    rounded: Array = (np.round(made / scale) * scale).astype(kernel.dtype)
    return rounded.reshape(kernel.shape)
