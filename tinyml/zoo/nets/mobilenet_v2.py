"""MobileNetV2, and a network of the same blocks as architecture search puts them together."""

from keras import Model

from tinyml.zoo.catalog import Spec
from tinyml.zoo.nets.blocks import (
    classifier,
    conv,
    depthwise,
    image_input,
    inverted_residual,
    width,
)

_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, blocks, stride of the first of them."""

_SEARCHED = (
    (7, 3, 16, 2),
    (3, 5, 16, 1),
    (5, 4, 16, 1),
    (7, 5, 24, 2),
    (5, 5, 24, 1),
    (5, 6, 40, 2),
    (7, 4, 40, 1),
    (3, 5, 48, 1),
    (5, 4, 48, 1),
    (7, 6, 96, 2),
    (3, 4, 96, 1),
    (3, 5, 160, 1),
)
"""Kernel, expansion, channels, stride."""


def mobilenet_v2(spec: Spec) -> Model:
    """Seventeen inverted residuals; the last convolution is never narrower than 1280."""
    inputs = image_input(spec)
    x = conv(inputs, width(32, spec.alpha), 3, 2, "relu6")
    for expansion, channels, blocks, first in _STAGES:
        for index in range(blocks):
            filters, strides = width(channels, spec.alpha), 1 if index else first
            x = inverted_residual(x, x.shape[-1] * expansion, filters, 3, strides)
    x = conv(x, width(1280, max(1.0, spec.alpha)), activation="relu6")
    return classifier(inputs, x, spec.classes)


def mcunet_like(spec: Spec) -> Model:
    """Inverted residuals of several kernels and expansions, without a wide last convolution."""
    inputs = image_input(spec)
    x = conv(inputs, width(16, spec.alpha), 3, 2, "relu6")
    x = conv(depthwise(x, activation="relu6"), width(8, spec.alpha), activation=None)
    for kernel, expansion, channels, strides in _SEARCHED:
        filters = width(channels, spec.alpha)
        x = inverted_residual(x, x.shape[-1] * expansion, filters, kernel, strides)
    return classifier(inputs, x, spec.classes)
