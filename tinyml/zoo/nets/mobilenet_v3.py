"""MobileNetV3: inverted residuals with squeeze-and-excite and hard swish."""

from keras import Model, layers

from tinyml.zoo.catalog import Spec
from tinyml.zoo.nets.blocks import (
    activate,
    classifier,
    conv,
    image_input,
    inverted_residual,
    width,
)

_SMALL = (
    (3, 16, 16, True, "relu", 2),
    (3, 72, 24, False, "relu", 2),
    (3, 88, 24, False, "relu", 1),
    (5, 96, 40, True, "hard_silu", 2),
    (5, 240, 40, True, "hard_silu", 1),
    (5, 240, 40, True, "hard_silu", 1),
    (5, 120, 48, True, "hard_silu", 1),
    (5, 144, 48, True, "hard_silu", 1),
    (5, 288, 96, True, "hard_silu", 2),
    (5, 576, 96, True, "hard_silu", 1),
    (5, 576, 96, True, "hard_silu", 1),
)
"""Kernel, expanded channels, channels, squeeze-and-excite, activation, stride."""


def mobilenet_v3_small(spec: Spec) -> Model:
    """The smaller of the two networks of the paper."""
    inputs = image_input(spec)
    x = conv(inputs, width(16, spec.alpha), 3, 2, "hard_silu")
    for kernel, expanded, channels, squeezes, activation, strides in _SMALL:
        inner, filters = width(expanded, spec.alpha), width(channels, spec.alpha)
        squeezed = width(inner, 0.25) if squeezes else 0
        x = inverted_residual(x, inner, filters, kernel, strides, activation, squeezed)
    x = conv(x, width(576, spec.alpha), activation="hard_silu")
    x = layers.GlobalAveragePooling2D()(x)
    x = activate(layers.Dense(width(1024, spec.alpha))(x), "hard_silu")
    return classifier(inputs, layers.Dropout(0.2)(x), spec.classes)
