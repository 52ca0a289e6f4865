"""ShuffleNet V2: half of the channels pass by, then both halves are shuffled."""

from typing import Any

from keras import Model, layers

from tinyml.zoo.catalog import Spec
from tinyml.zoo.nets.blocks import classifier, conv, depthwise, image_input, width

_STAGES = ((96, 4), (192, 8), (384, 4))
"""Channels at a width of 1, and blocks: those of 0.5 are 48, 96, 192 as in the paper."""
_LAST = 1024


def shufflenet_v2(spec: Spec) -> Model:
    """Sixteen blocks in three stages."""
    inputs = image_input(spec)
    x = conv(inputs, width(24, min(1.0, 2 * spec.alpha)), 3, 2)
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    for channels, blocks in _STAGES:
        filters = width(channels, spec.alpha)
        x = _down(x, filters)
        for _ in range(blocks - 1):
            x = _block(x)
    return classifier(inputs, conv(x, width(_LAST, spec.alpha)), spec.classes)


def _down(x: Any, filters: int) -> Any:
    """Both halves are computed of all channels, at half the size."""
    half = filters // 2
    left = conv(depthwise(x, 3, 2, None), half)
    right = conv(depthwise(conv(x, half), 3, 2, None), half)
    return _shuffled(layers.Concatenate()([left, right]))


def _block(x: Any) -> Any:
    half = x.shape[-1] // 2
    right = conv(depthwise(conv(x[..., half:], half), 3, 1, None), half)
    return _shuffled(layers.Concatenate()([x[..., :half], right]))


def _shuffled(x: Any) -> Any:
    """Channels of the two halves in turn."""
    height, across, channels = x.shape[1:]
    x = layers.Reshape((height, across, 2, channels // 2))(x)
    return layers.Reshape((height, across, channels))(layers.Permute((1, 2, 4, 3))(x))
