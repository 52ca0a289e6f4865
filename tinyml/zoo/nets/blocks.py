"""What the networks are made of. Maps are [n, height, width, channels]."""

from typing import Any

from keras import Model, layers, ops

from tinyml.zoo.catalog import Spec

LOGITS = "logits"
"""How names of the layers begin that give a network's scores."""


def image_input(spec: Spec) -> Any:
    """A network's only input, of whatever kind."""
    return layers.Input(spec.shape, name="input")


def width(channels: int, alpha: float, divisor: int = 8) -> int:
    """`channels` times `alpha`, as a multiple of `divisor` that is not under 0.9 of that.

    The rule of Howard et al. for MobileNets.
    """
    wanted = channels * alpha
    rounded = max(divisor, int(wanted + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * wanted else rounded


def activate(x: Any, activation: str | None) -> Any:
    """None, "relu", "relu6", "hard_silu" (hard swish) or "hard_sigmoid"."""
    if activation is None:
        return x
    if activation == "relu6":
        return layers.ReLU(6)(x)
    return layers.ReLU()(x) if activation == "relu" else layers.Activation(activation)(x)


def conv(
    x: Any,
    filters: int,
    kernel: int | tuple[int, int] = 1,
    strides: int | tuple[int, int] = 1,
    activation: str | None = "relu",
    dilation: int = 1,
) -> Any:
    """Convolution, batch normalisation, activation."""
    x = layers.Conv2D(
        *(filters, kernel, strides, "same"),
        dilation_rate=dilation,
        use_bias=False,
        kernel_initializer="he_normal",
    )(x)
    return activate(layers.BatchNormalization()(x), activation)


def depthwise(
    x: Any,
    kernel: int | tuple[int, int] = 3,
    strides: int = 1,
    activation: str | None = "relu",
) -> Any:
    """Depthwise convolution, batch normalisation, activation."""
    x = layers.DepthwiseConv2D(
        *(kernel, strides, "same"), use_bias=False, depthwise_initializer="he_normal"
    )(x)
    return activate(layers.BatchNormalization()(x), activation)


def separable(x: Any, filters: int, strides: int = 1, activation: str = "relu") -> Any:
    """Depthwise 3x3, then 1x1."""
    return conv(depthwise(x, 3, strides, activation), filters, activation=activation)


def squeeze_excite(x: Any, channels: int) -> Any:
    """Scales of channels from their means, through so many `channels` (Hu et al. 2018)."""
    scale = layers.GlobalAveragePooling2D(keepdims=True)(x)
    scale = layers.Conv2D(channels, 1, activation="relu")(scale)
    scale = layers.Conv2D(x.shape[-1], 1, activation="hard_sigmoid")(scale)
    return layers.Multiply()([x, scale])


def enlarged(x: Any) -> Any:
    """Each pixel four times.

    Of Keras's UpSampling2D the converter makes TILE and TRANSPOSE, and behind a Resizing layer
    Keras exports batch normalisation as if it were still training.
    """
    _, height, across, _ = x.shape
    return ops.image.resize(x, (2 * height, 2 * across), interpolation="nearest")


def inverted_residual(
    x: Any,
    expanded: int,
    filters: int,
    kernel: int = 3,
    strides: int = 1,
    activation: str = "relu6",
    squeezed: int = 0,
) -> Any:
    """1x1 to `expanded` channels, depthwise, 1x1 without activation; a residual where it fits."""
    y = x if expanded == x.shape[-1] else conv(x, expanded, activation=activation)
    y = depthwise(y, kernel, strides, activation)
    if squeezed:
        y = squeeze_excite(y, squeezed)
    y = conv(y, filters, activation=None)
    return layers.Add()([x, y]) if strides == 1 and x.shape[-1] == filters else y


def classifier(inputs: Any, x: Any, classes: int) -> Model:
    """Means of channels, then probabilities of classes."""
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D()(x)
    return Model(inputs, layers.Softmax()(layers.Dense(classes, name=LOGITS)(x)))
