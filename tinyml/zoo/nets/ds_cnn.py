"""DS-CNN: keyword spotting on maps of 49 frames of 10 MFCCs."""

from keras import Model, layers

from tinyml.zoo.catalog import Spec
from tinyml.zoo.nets.blocks import classifier, conv, image_input, separable, width


def ds_cnn(spec: Spec) -> Model:
    """A 10x4 convolution, then four separable ones."""
    inputs, channels = image_input(spec), width(64, spec.alpha)
    x = layers.Dropout(0.2)(conv(inputs, channels, (10, 4), (2, 2)))
    for _ in range(4):
        x = separable(x, channels)
    return classifier(inputs, layers.Dropout(0.4)(x), spec.classes)
