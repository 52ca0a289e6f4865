"""MobileNetV1: depthwise and 1x1 convolutions in turn."""

from keras import Model

from tinyml.zoo.catalog import Spec
from tinyml.zoo.nets.blocks import classifier, conv, image_input, separable, width

_STAGES = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)
"""Channels, stride."""


def mobilenet_v1(spec: Spec) -> Model:
    """Thirteen separable convolutions."""
    inputs = image_input(spec)
    x = conv(inputs, width(32, spec.alpha), 3, 2, "relu6")
    for channels, strides in _STAGES:
        x = separable(x, width(channels, spec.alpha), strides, "relu6")
    return classifier(inputs, x, spec.classes)
