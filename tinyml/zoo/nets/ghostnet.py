"""GhostNet: half of the channels are computed, the others are made of them cheaply."""

from typing import Any

from keras import Model, layers

from tinyml.zoo.catalog import Spec
from tinyml.zoo.nets.blocks import (
    classifier,
    conv,
    depthwise,
    image_input,
    squeeze_excite,
    width,
)

_BLOCKS = (
    (3, 16, 16, False, 1),
    (3, 48, 24, False, 2),
    (3, 72, 24, False, 1),
    (5, 72, 40, True, 2),
    (5, 120, 40, True, 1),
    (3, 240, 80, False, 2),
    (3, 200, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 480, 112, True, 1),
    (3, 672, 112, True, 1),
    (5, 672, 160, True, 2),
    (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
    (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
)
"""Kernel, expanded channels, channels, squeeze-and-excite, stride."""


def ghostnet(spec: Spec) -> Model:
    """Sixteen ghost bottlenecks."""
    inputs = image_input(spec)
    x = conv(inputs, width(16, spec.alpha), 3, 2)
    for kernel, expanded, channels, squeezes, strides in _BLOCKS:
        inner, filters = width(expanded, spec.alpha), width(channels, spec.alpha)
        x = _bottleneck(x, inner, filters, kernel, strides, squeezes)
    x = conv(x, width(960, spec.alpha))
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(width(1280, spec.alpha), activation="relu")(x)
    return classifier(inputs, layers.Dropout(0.2)(x), spec.classes)


def _ghost(x: Any, filters: int, activation: str | None) -> Any:
    """`filters` channels, an even number: a 1x1 convolution, and a depthwise one of its result."""
    made = conv(x, filters // 2, activation=activation)
    return layers.Concatenate()([made, depthwise(made, 3, 1, activation)])


def _bottleneck(x: Any, inner: int, filters: int, kernel: int, strides: int, squeezes: bool) -> Any:
    y = _ghost(x, inner, "relu")
    if strides > 1:
        y = depthwise(y, kernel, strides, None)
    if squeezes:
        y = squeeze_excite(y, width(inner, 0.25))
    y = _ghost(y, filters, None)
    if x.shape != y.shape:
        x = conv(depthwise(x, kernel, strides, None), filters, activation=None)
    return layers.Add()([x, y])
