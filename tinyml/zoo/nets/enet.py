"""ENet: segmentation with an early small map, dilated and asymmetric convolutions."""

from typing import Any

from keras import Model, layers

from tinyml.zoo.catalog import Spec
from tinyml.zoo.nets.blocks import LOGITS, enlarged, image_input, width

_MIDDLE = ((1, False), (2, False), (1, True), (4, False))
"""Of the blocks at an eighth of the size: dilation, and whether 5x5 is 5x1 and 1x5."""


def enet_like(spec: Spec) -> Model:
    """Down to an eighth, eight blocks there, up again; logits for each pixel.

    Maps are enlarged by nearest neighbours and transposed convolutions: unpooling by the indices
    of maxima has no int8 operator.
    """
    inputs = image_input(spec)
    first, second = width(64, spec.alpha), width(128, spec.alpha)
    x = _initial(inputs, width(16, spec.alpha))
    x = _block(_down(x, first), first)
    x = _down(x, second)
    for dilation, asymmetric in _MIDDLE * 2:
        x = _block(x, second, dilation, asymmetric)
    x = _block(_up(x, first), first)
    x = _block(_up(x, width(16, spec.alpha)), width(16, spec.alpha))
    logits = layers.Conv2DTranspose(spec.classes, 2, 2, name=LOGITS)(x)
    return Model(inputs, logits)


def _normalised(x: Any, activated: bool = True) -> Any:
    x = layers.BatchNormalization()(x)
    if not activated:
        return x
    return layers.PReLU(shared_axes=[1, 2], alpha_initializer="random_uniform")(x)


def _conv(x: Any, filters: int, kernel: Any = 1, strides: int = 1, dilation: int = 1) -> Any:
    return layers.Conv2D(
        *(filters, kernel, strides, "same"),
        dilation_rate=dilation,
        use_bias=False,
        kernel_initializer="he_normal",
    )(x)


def _initial(x: Any, filters: int) -> Any:
    """A convolution beside a pooling of the image."""
    made = _conv(x, filters - x.shape[-1], 3, 2)
    return _normalised(layers.Concatenate()([made, layers.MaxPooling2D(2)(x)]))


def _down(x: Any, filters: int) -> Any:
    inner = filters // 4
    y = _normalised(_conv(x, inner, 2, 2))
    y = _normalised(_conv(y, inner, 3))
    y = _normalised(_conv(y, filters), False)
    shortcut = _normalised(_conv(layers.MaxPooling2D(2)(x), filters), False)
    return _normalised(layers.Add()([y, shortcut]))


def _block(x: Any, filters: int, dilation: int = 1, asymmetric: bool = False) -> Any:
    inner = filters // 4
    y = _normalised(_conv(x, inner))
    if asymmetric:
        y = _conv(_conv(y, inner, (5, 1)), inner, (1, 5))
    else:
        y = _conv(y, inner, 3, 1, dilation)
    y = _normalised(_conv(_normalised(y), filters), False)
    return _normalised(layers.Add()([x, y]))


def _up(x: Any, filters: int) -> Any:
    inner = max(4, filters // 4)
    y = _normalised(_conv(x, inner))
    y = layers.Conv2DTranspose(inner, 3, 2, "same", use_bias=False)(y)
    y = _normalised(_conv(_normalised(y), filters), False)
    shortcut = enlarged(_normalised(_conv(x, filters), False))
    return _normalised(layers.Add()([y, shortcut]))
