"""A training step as data: the buffers it needs and the steps that it is made of.

The order of `steps` is the order of execution: the forward pass of the head, with what it
saves, then the loss, then the backward pass, in which every parameter is updated as soon as
its gradient is complete, so that no two gradients of parameters ever live together.
`reference` executes a program; a planner gives its buffers places; a generator prints it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from math import prod
from typing import ClassVar

import numpy as np

from tinyml.ir.graph import Shape
from tinyml.train.gradient_filter import Window
from tinyml.train.grid import Grid


class Precision(Enum):
    """What parameters and activations of the head are; gradients are always float32."""

    INT8 = "int8"
    FLOAT32 = "float32"


class LossKind(Enum):
    """What training makes small."""

    CROSS_ENTROPY = "cross-entropy"
    """-ln softmax(logits)[label]; the target is a label, int32."""
    MEAN_SQUARED_ERROR = "mse"
    """The mean of (output - target)^2; the target is float32 of the output's shape."""


class Element(Enum):
    """What a buffer is made of; the value is NumPy's name. Bits are packed, lowest bit first."""

    BIT = "bool"
    INT8 = "int8"
    UINT8 = "uint8"
    INT32 = "int32"
    FLOAT32 = "float32"


class Role(Enum):
    """What a buffer is for. Those of PARAMETER and STATE outlive a training step."""

    ACTIVATION = "activation"
    SAVED = "saved"
    GRADIENT = "gradient"
    TARGET = "target"
    PARAMETER = "parameter"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Buffer:
    """An array, dense, in NHWC, OHWI and [out, in] order."""

    name: str
    shape: Shape
    element: Element
    role: Role

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        size = prod(self.shape)
        if self.element is Element.BIT:
            return -(-size // 8)
        return size * int(np.dtype(self.element.value).itemsize)

    @property
    def lasting(self) -> bool:
        """Whether it holds its value from one training step to the next."""
        return self.role in (Role.PARAMETER, Role.STATE)


class LayerKind(Enum):
    """Layers with weights."""

    CONV = "conv"
    DEPTHWISE = "depthwise"
    DENSE = "dense"


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer with weights, as its gradients see it."""

    node: str
    kind: LayerKind
    x: Shape
    """[N, H, W, C]; [rows, in] of a dense layer."""
    y: Shape
    """[N, H, W, O]; [rows, out] of a dense layer."""
    window: Window
    multiplier: int
    """Outputs to a channel of a depthwise layer; 0 if every output sees all channels."""

    def products(self, places: int, taps: int, channels: int) -> int:
        """Multiply-accumulates of a gradient over `places`, for `channels` of the input."""
        outputs = self.multiplier or self.y[-1]
        return self.x[0] * places * taps * channels * outputs


@dataclass(frozen=True, slots=True)
class Step:
    """One operation. Each kind says what stands where in `reads` and `writes`."""

    name: ClassVar[str]
    reads: tuple[str, ...]
    writes: tuple[str, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates, where it is made of them; 0 for the rest."""
        return 0


@dataclass(frozen=True, slots=True)
class Infer(Step):
    """The forward pass of a node of the head: what the node reads -> its outputs."""

    name: ClassVar[str] = "infer"
    node: str


@dataclass(frozen=True, slots=True)
class SavePooled(Step):
    """(x,) -> (saved,): of the first `channels`, what the weights' gradient needs.

    float32: sums over the patches of `grid`. int8: their means over the pixels on the map,
    rounded halves away from zero as AVERAGE_POOL_2D does, the zero point for a patch without
    any; so a patch of one pixel is kept exactly. No grid: the channels themselves.
    """

    name: ClassVar[str] = "save_pooled"
    grid: Grid | None
    channels: int


@dataclass(frozen=True, slots=True)
class SaveMask(Step):
    """(y,) -> (mask,): one bit per element, low < y < high."""

    name: ClassVar[str] = "save_mask"
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SaveShare(Step):
    """(y,) -> (share,): for every patch of `grid` and channel how many pixels low < y < high."""

    name: ClassVar[str] = "save_share"
    grid: Grid
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Loss(Step):
    """(logits, target) -> (gradient, loss); int8 logits are scale * (q - zero_point)."""

    name: ClassVar[str] = "loss"
    kind: LossKind
    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class MaskByBits(Step):
    """(gradient, mask) -> (gradient,), in place: 0 where the bit is 0."""

    name: ClassVar[str] = "mask_by_bits"


@dataclass(frozen=True, slots=True)
class MaskByValue(Step):
    """(gradient, y) -> (gradient,), in place: 0 where not low < y < high."""

    name: ClassVar[str] = "mask_by_value"
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Pool(Step):
    """(gradient,) -> (g,): the mean over every patch of `grid`, times `factor`."""

    name: ClassVar[str] = "pool"
    grid: Grid
    factor: float


@dataclass(frozen=True, slots=True)
class PoolShare(Step):
    """(dX, active?) -> (g,): as `Pool` of dX spread and masked, without spreading it.

    `active` says of every patch how many of its pixels pass gradients: in a byte (`SaveShare`),
    or as the bits of the map (`SaveMask`), to be counted, whichever takes less memory.
    g = dX * (count * float32(factor / pixels)); without `active`, dX * float32(factor).
    """

    name: ClassVar[str] = "pool_share"
    grid: Grid
    factor: float


@dataclass(frozen=True, slots=True)
class Spread(Step):
    """(dX,) -> (dx,): every pixel of the map gets the value of its patch, 0 if it has none."""

    name: ClassVar[str] = "spread"
    grid: Grid


@dataclass(frozen=True, slots=True)
class InputGradient(Step):
    """(gradient or g, weights) -> (dx or dX,): through the weights, before their update.

    `grid` is that of the output if the layer is filtered. The gradient of channel o is first
    multiplied by `scales[o]` (none for float32), weights are int8 less `weights_zero_point`.
    """

    name: ClassVar[str] = "input_gradient"
    layer: Layer
    grid: Grid | None
    scales: tuple[float, ...]
    weights_zero_point: int

    @property
    def macs(self) -> int:
        """As `UpdateWeights`, for all channels."""
        return _gradient_macs(self.layer, self.grid, self.layer.x[-1])


@dataclass(frozen=True, slots=True)
class Update(Step):
    """What updates of a parameter share.

    With the gradient's sum s of an element of channel o: d = s * factors[o] (quantisation-aware
    scaling; d = s for float32). If there is a momentum buffer, v = decay * v + d, where decay is
    the momentum for the first sample of a batch and 1 for the others, else v = d. With the last
    sample of a batch, p = p - (rate / batch) * v, which `rounding` rounds for integers, within
    `limit` (0 for float32).
    """

    factors: tuple[float, ...]
    ordinal: int
    """The parameter's number, for its random numbers."""
    limit: int


@dataclass(frozen=True, slots=True)
class UpdateBias(Update):
    """(gradient, bias, momentum?) -> (bias, momentum?).

    With a `grid` the gradient is dX, a value for every patch, and counts once for every pixel of
    the patch, if `shared` for every active one: reads[1] is `active` then (see `PoolShare`).
    """

    name: ClassVar[str] = "update_bias"
    grid: Grid | None
    shared: bool


@dataclass(frozen=True, slots=True)
class UpdateWeights(Update):
    """(gradient or g, x or saved, weights, momentum?) -> (weights, momentum?).

    Row by row of output channels, so that no more than a row of gradients need be there. With
    grids the layer is filtered: what was saved are patches of `x_grid`, and the gradient is
    the same for every tap; the momentum then has one value per pair of channels.
    """

    name: ClassVar[str] = "update_weights"
    layer: Layer
    x_grid: Grid | None
    y_grid: Grid | None
    channels: int
    """How many of the input's channels have weights that learn."""
    x_zero_point: int

    @property
    def macs(self) -> int:
        """2 products per weight and place for both gradients together when exact."""
        return _gradient_macs(self.layer, self.y_grid, self.channels)

    @property
    def row_bytes(self) -> int:
        """Bytes of the gradients of one output channel."""
        taps = 1 if self.y_grid else prod(self.layer.window.kernel)
        return 4 * taps * (1 if self.layer.multiplier else self.channels)


@dataclass(frozen=True, slots=True)
class Copy(Step):
    """(gradient,) -> (gradient,): the same elements, maybe under another shape."""

    name: ClassVar[str] = "copy"


@dataclass(frozen=True, slots=True)
class Accumulate(Step):
    """(gradient, another) -> (gradient,), in place: their sum."""

    name: ClassVar[str] = "accumulate"


@dataclass(frozen=True, slots=True)
class AveragePoolGradient(Step):
    """(gradient,) -> (dx,): every output's gradient times 1 / its pixels, to each of them."""

    name: ClassVar[str] = "average_pool_gradient"
    window: Window


@dataclass(frozen=True, slots=True)
class MeanGradient(Step):
    """(gradient,) -> (dx,): the gradient times 1 / count, along `axes`."""

    name: ClassVar[str] = "mean_gradient"
    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slice(Step):
    """(gradient,) -> (part,): from `start` along `axis`; what a CONCATENATION put there."""

    name: ClassVar[str] = "slice"
    axis: int
    start: int


@dataclass(frozen=True, slots=True)
class Program:
    """Everything a training step does."""

    precision: Precision
    momentum: float
    """0 for plain stochastic gradient descent."""
    batch: int
    """Samples to an update of the parameters."""
    buffers: Mapping[str, Buffer]
    steps: tuple[Step, ...]

    @property
    def loss_at(self) -> int:
        """The index of the loss among the steps: forward before, backward after."""
        return next(i for i, step in enumerate(self.steps) if isinstance(step, Loss))

    @property
    def backward(self) -> tuple[Step, ...]:
        """The steps after the loss."""
        return self.steps[self.loss_at + 1 :]

    @property
    def loss(self) -> Loss:
        """The step that computes the loss."""
        step = self.steps[self.loss_at]
        assert isinstance(step, Loss)
        return step

    def lifetimes(self) -> dict[str, tuple[int, int]]:
        """Of every buffer that does not last: its first and last step.

        What no step writes (the backbone's tensors, the target) is there from the start.
        """
        first: dict[str, int] = {}
        last: dict[str, int] = {}
        for i, step in enumerate(self.steps):
            for name in step.reads:
                first.setdefault(name, 0)
                last[name] = i
            for name in step.writes:
                first.setdefault(name, i)
                last[name] = i
        return {name: (first[name], last[name]) for name in first if not self.buffers[name].lasting}

    def saved(self) -> tuple[str, ...]:
        """The buffers that the forward pass leaves for the backward pass, gradients apart."""
        at = self.loss_at
        return tuple(
            name
            for name, (first, last) in self.lifetimes().items()
            if first < at < last and self.buffers[name].role is not Role.GRADIENT
        )


def _gradient_macs(layer: Layer, grid: Grid | None, channels: int) -> int:
    """Of one of the two gradients: p * p places and no taps when filtered."""
    if grid is not None:
        return layer.products(prod(grid.shape), 1, channels)
    places = prod(layer.y[1:3]) if layer.kind is not LayerKind.DENSE else 1
    return layer.products(places, prod(layer.window.kernel), channels)
