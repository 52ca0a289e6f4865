"""What a user may ask of training."""

import re
from dataclasses import dataclass, field

from tinyml.errors import PlanError
from tinyml.train.program import LossKind, Precision

LARGEST_RADIUS = 15
"""A share of active pixels, at most radius^2, is kept in a byte."""


@dataclass(frozen=True, slots=True)
class LayerUpdate:
    """What of a layer learns."""

    bias: bool = True
    share: float = 1.0
    """Of the input's channels (a depthwise layer's own), the first ones; 0 for none."""


FULL = LayerUpdate()
BIAS = LayerUpdate(share=0.0)


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How the chosen layers are trained; PlanError for what cannot be."""

    precision: Precision = Precision.INT8
    loss: LossKind = LossKind.CROSS_ENTROPY
    momentum: float = 0.0
    """0 for plain stochastic gradient descent."""
    batch: int = 1
    """Samples to an update. More than one, like momentum, takes 4 bytes per gradient."""
    radius: int = 1
    """Of the gradient filter, for every convolution of the head; 1 is exact."""
    radii: tuple[tuple[str, int], ...] = ()
    """Layers with a radius of their own."""
    update: LayerUpdate = FULL
    updates: tuple[tuple[str, LayerUpdate], ...] = field(default=())
    """Layers with an update of their own."""
    normalise_stride: bool = False
    """Divide filtered gradients of a layer of stride s by s^2, by which they are too large on
    constant data; off as in the authors' code."""

    def __post_init__(self) -> None:
        for radius in (self.radius, *(r for _, r in self.radii)):
            if not 1 <= radius <= LARGEST_RADIUS:
                raise PlanError(
                    f"--filter {radius}: a radius is 1 (exact) to {LARGEST_RADIUS}", hint="try 2"
                )
        if not 0.0 <= self.momentum < 1.0:
            raise PlanError(f"momentum {self.momentum:g} is not in [0, 1)", hint="try 0.9")
        if self.batch < 1:
            raise PlanError(f"a batch of {self.batch} samples", hint="1 or more")
        for update in (self.update, *(u for _, u in self.updates)):
            if not 0.0 <= update.share <= 1.0:
                raise PlanError(
                    f"--update channels={update.share:g} is no share", hint="between 0 and 1"
                )

    @property
    def remembers(self) -> bool:
        """Whether gradients are kept from one sample to the next."""
        return self.momentum > 0 or self.batch > 1

    def radius_of(self, layer: str) -> int:
        """The radius for a layer."""
        return dict(self.radii).get(layer, self.radius)

    def update_of(self, layer: str) -> LayerUpdate:
        """What of a layer learns."""
        return dict(self.updates).get(layer, self.update)


def parse_update(text: str) -> LayerUpdate:
    """What `--update` says: full, bias or channels=SHARE."""
    if text == "full":
        return FULL
    if text == "bias":
        return BIAS
    found = re.fullmatch(r"channels=(0?\.\d+|[01](?:\.\d*)?)", text)
    if found is None:
        raise PlanError(
            f"--update {text} is not known", hint="one of full, bias and channels=SHARE (0 to 1)"
        )
    return LayerUpdate(share=float(found[1]))


def parse_filter(text: str) -> tuple[int, tuple[tuple[str, int], ...]]:
    """What `--filter` says, R or R,LAYER=R,...: the radius of all and those of some."""
    first, *rest = text.split(",")
    radii = [part.rpartition("=") for part in rest]
    if not first.isdecimal() or not all(name and r.isdecimal() for name, _, r in radii):
        raise PlanError(f"--filter {text} is not known", hint="R, or R,LAYER=R,..., such as 2")
    return int(first), tuple((name, int(r)) for name, _, r in radii)
