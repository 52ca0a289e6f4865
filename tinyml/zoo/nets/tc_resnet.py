"""TC-ResNet: MFCCs are channels, and convolutions run along time only."""

from keras import Model, layers

from tinyml.zoo.catalog import Spec
from tinyml.zoo.nets.blocks import activate, classifier, conv, image_input, width


def tc_resnet8(spec: Spec) -> Model:
    """Three residual blocks with kernels of nine frames."""
    inputs = image_input(spec)
    x = conv(inputs, width(16, spec.alpha), (3, 1), activation=None)
    for channels in (24, 32, 48):
        filters = width(channels, spec.alpha)
        y = conv(x, filters, (9, 1), (2, 1))
        y = conv(y, filters, (9, 1), activation=None)
        shortcut = conv(x, filters, 1, (2, 1))
        x = activate(layers.Add()([y, shortcut]), "relu")
    return classifier(inputs, layers.Dropout(0.5)(x), spec.classes)
