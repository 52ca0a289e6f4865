"""Residual networks for small images."""

from typing import Any

from keras import Model, layers

from tinyml.zoo.catalog import Spec
from tinyml.zoo.nets.blocks import activate, classifier, conv, image_input, width


def resnet8(spec: Spec) -> Model:
    """One block to a stage."""
    return _resnet(spec, 1)


def resnet20(spec: Spec) -> Model:
    """Three blocks to a stage."""
    return _resnet(spec, 3)


def _resnet(spec: Spec, blocks: int) -> Model:
    inputs = image_input(spec)
    x = conv(inputs, width(16, spec.alpha), 3)
    for stage, channels in enumerate((16, 32, 64)):
        for index in range(blocks):
            x = _block(x, width(channels, spec.alpha), 2 if stage and not index else 1)
    return classifier(inputs, x, spec.classes)


def _block(x: Any, filters: int, strides: int) -> Any:
    y = conv(conv(x, filters, 3, strides), filters, 3, activation=None)
    shortcut = x if x.shape == y.shape else conv(x, filters, 1, strides, None)
    return activate(layers.Add()([y, shortcut]), "relu")
