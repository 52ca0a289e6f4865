"""SqueezeNet: fire modules, which squeeze channels and expand them through two kernels."""

from typing import Any

from keras import Model, layers

from tinyml.zoo.catalog import Spec
from tinyml.zoo.nets.blocks import LOGITS, conv, image_input, width

_FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
"""Channels squeezed to, and of each kernel."""
_POOLED = (0, 2, 4)
"""The fire modules behind a pooling."""


def squeezenet(spec: Spec) -> Model:
    """Version 1.1, with batch normalisation; classes are maps, and their means the logits."""
    inputs = image_input(spec)
    x = conv(inputs, width(64, spec.alpha), 3, 2)
    for index, (squeezed, expanded) in enumerate(_FIRES):
        if index in _POOLED:
            x = layers.MaxPooling2D(3, 2, padding="same")(x)
        x = _fire(x, width(squeezed, spec.alpha), width(expanded, spec.alpha))
    x = layers.Conv2D(spec.classes, 1, name=LOGITS)(layers.Dropout(0.2)(x))
    return Model(inputs, layers.Softmax()(layers.GlobalAveragePooling2D()(x)))


def _fire(x: Any, squeezed: int, expanded: int) -> Any:
    x = conv(x, squeezed)
    return layers.Concatenate()([conv(x, expanded, 1), conv(x, expanded, 3)])
