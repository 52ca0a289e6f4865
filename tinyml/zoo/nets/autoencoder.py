"""The deep autoencoder of dense layers: what it cannot rebuild is no normal sound."""

from keras import Model, layers

from tinyml.zoo.catalog import Spec
from tinyml.zoo.nets.blocks import LOGITS, image_input, width

HIDDEN, CODE = 128, 8


def autoencoder(spec: Spec) -> Model:
    """Four layers in front of a code of eight numbers, four behind it."""
    inputs = image_input(spec)
    x, hidden = inputs, width(HIDDEN, spec.alpha)
    for units in (*[hidden] * 4, CODE, *[hidden] * 4):
        x = layers.Dense(units, use_bias=False, kernel_initializer="he_normal")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    return Model(inputs, layers.Dense(spec.shape[0], name=LOGITS)(x))
