"""A vision transformer for small images: patches are tokens that attend to each other."""

from typing import Any

import keras
from keras import Model, layers

from tinyml.zoo.catalog import Spec
from tinyml.zoo.nets.blocks import LOGITS, image_input, width

PATCH, DEPTH, HEADS = 4, 3, 2


def tiny_vit(spec: Spec) -> Model:
    """Three blocks of two heads, 32 channels each at a width of 1.

    Where a token lies shows in a depthwise convolution (Chu et al. 2021), which needs no table
    of positions; the activation is x * sigmoid(x), for TFLite Micro has no int8 GELU.
    """
    inputs, dim = image_input(spec), width(64, spec.alpha)
    x = layers.Conv2D(dim, PATCH, PATCH)(inputs)
    x = layers.Add()([x, layers.DepthwiseConv2D(3, padding="same")(x)])
    tokens = x.shape[1] * x.shape[2]
    x = layers.Reshape((tokens, dim))(x)
    for _ in range(DEPTH):
        x = layers.Add()([x, _attention(_normalised(x), tokens, dim)])
        y = layers.Dense(2 * dim, activation="silu")(_normalised(x))
        x = layers.Add()([x, layers.Dense(dim)(y)])
    x = layers.GlobalAveragePooling1D()(_normalised(x))
    return Model(inputs, layers.Softmax()(layers.Dense(spec.classes, name=LOGITS)(x)))


def _normalised(x: Any) -> Any:
    """Layer normalisation of [n, tokens, dim].

    Gain and offset are left to the dense layer that follows. Keras's own layer has a NEG, which
    TFLite Micro does not compute in int8.
    """
    around = x - keras.ops.mean(x, -1, keepdims=True)
    variance = keras.ops.mean(keras.ops.square(around), -1, keepdims=True)
    return around * keras.ops.rsqrt(variance + 1e-3)


def _attention(x: Any, tokens: int, dim: int) -> Any:
    """Each token's mix of all tokens' values, for each head its own: [n, tokens, dim]."""
    each = dim // HEADS

    def heads(order: tuple[int, int, int]) -> Any:
        split = layers.Reshape((tokens, HEADS, each))(layers.Dense(dim)(x))
        return layers.Permute(order)(split)

    queries, keys, values = heads((2, 1, 3)), heads((2, 3, 1)), heads((2, 1, 3))
    scores = layers.Rescaling(each**-0.5)(keras.ops.matmul(queries, keys))
    mixed = keras.ops.matmul(layers.Softmax()(scores), values)
    joined = layers.Reshape((tokens, dim))(layers.Permute((2, 1, 3))(mixed))
    return layers.Dense(dim)(joined)
