"""The networks of the zoo by name: what each is for, how large it is, where it comes from.

Plain data: to list it takes no Keras.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum

from tinyml.errors import ModelError


class Task(Enum):
    """What a network's output is, and so what it learns from."""

    CLASSIFY = "classify"
    """[classes], probabilities; learns from labels."""
    RECONSTRUCT = "reconstruct"
    """Its input; learns from inputs alone."""
    SEGMENT = "segment"
    """[size, size, classes], logits; learns from `targets`, a map of class numbers."""
    DETECT = "detect"
    """[anchors, 5 + classes]: a box, whether there is one, and of what class."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a network is built for."""

    shape: tuple[int, ...]
    """Of its input, without the batch."""
    classes: int
    alpha: float
    """Width: channels are those of the original times this."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A network of the zoo."""

    name: str
    family: str
    task: Task
    builder: str
    """MODULE.FUNCTION in `tinyml.zoo.nets`: from a Spec to a Keras model."""
    shape: tuple[int | None, ...]
    """Of its input, without the batch; None stands for the size."""
    size: int
    """The default."""
    classes: int | None
    """The default; None for a network without classes."""
    alpha: float | None
    """The default; None for a network of one width."""
    step: int
    """A size is a multiple of this."""
    source: str
    fuser: str = ""
    """MODULE.FUNCTION: from a trained model and its Spec to the one that is deployed, where those
    differ."""

    def spec(
        self,
        size: int | None = None,
        classes: int | None = None,
        alpha: float | None = None,
        shape: tuple[int, ...] | None = None,
    ) -> Spec:
        """With what is given in place of the defaults; `shape` is that of samples.

        Raises ModelError for what this network cannot be.
        """
        if alpha is not None and (self.alpha is None or not 0 < alpha <= 4):
            raise ModelError(
                f"'{self.name}' has one width" if self.alpha is None else f"--alpha {alpha}",
                hint="leave out --alpha" if self.alpha is None else "above 0, at most 4",
            )
        if classes is not None and (self.classes is None or classes < 2):
            raise ModelError(
                f"'{self.name}' has no classes" if self.classes is None else "one class is none",
                hint="leave out --classes" if self.classes is None else "--classes 2",
            )
        if shape is None:
            wanted = size or self.size
            shape = tuple(wanted if each is None else each for each in self.shape)
        sizes = [got for got, own in zip(shape, self.shape, strict=False) if own is None]
        if len(shape) != len(self.shape) or any(each < 1 or each % self.step for each in sizes):
            raise ModelError(
                f"'{self.name}' takes {self.input_text()}, not {list(shape)}",
                hint=f"--size {max(1, (sizes or [1])[0] // self.step) * self.step}",
            )
        return Spec(shape, classes or self.classes or 0, alpha or self.alpha or 1.0)

    def input_text(self) -> str:
        """The input's shape as people write it."""
        dims = ", ".join("S" if each is None else str(each) for each in self.shape)
        return f"[{dims}], S a multiple of {self.step}" if self.step > 1 else f"[{dims}]"


_RGB = (None, None, 3)

ENTRIES = (
    Entry(
        "ds-cnn",
        "audio",
        Task.CLASSIFY,
        "ds_cnn.ds_cnn",
        (None, 10, 1),
        49,
        12,
        1.0,
        1,
        "MLPerf Tiny, keyword spotting; Zhang et al. 2017, Hello Edge",
    ),
    Entry(
        "tc-resnet8",
        "audio",
        Task.CLASSIFY,
        "tc_resnet.tc_resnet8",
        (None, 1, 40),
        98,
        12,
        1.0,
        1,
        "Choi et al. 2019, Temporal Convolution for Real-time Keyword Spotting",
    ),
    Entry(
        "autoencoder",
        "dense",
        Task.RECONSTRUCT,
        "autoencoder.autoencoder",
        (None,),
        640,
        None,
        1.0,
        1,
        "MLPerf Tiny, anomaly detection; Koizumi et al. 2019, ToyADMOS",
    ),
    Entry(
        "vww",
        "conv",
        Task.CLASSIFY,
        "mobilenet_v1.mobilenet_v1",
        _RGB,
        96,
        2,
        0.25,
        1,
        "MLPerf Tiny, visual wake words: mobilenet-v1 at 96x96, a quarter as wide",
    ),
    Entry(
        "resnet-8",
        "residual",
        Task.CLASSIFY,
        "resnet.resnet8",
        _RGB,
        32,
        10,
        1.0,
        1,
        "MLPerf Tiny, image classification; He et al. 2016",
    ),
    Entry(
        "resnet-20",
        "residual",
        Task.CLASSIFY,
        "resnet.resnet20",
        _RGB,
        32,
        10,
        1.0,
        1,
        "He et al. 2016, Deep Residual Learning",
    ),
    Entry(
        "mobilenet-v1",
        "conv",
        Task.CLASSIFY,
        "mobilenet_v1.mobilenet_v1",
        _RGB,
        128,
        1000,
        0.25,
        1,
        "Howard et al. 2017, MobileNets",
    ),
    Entry(
        "mobilenet-v2",
        "inverted residual",
        Task.CLASSIFY,
        "mobilenet_v2.mobilenet_v2",
        _RGB,
        96,
        1000,
        0.35,
        1,
        "Sandler et al. 2018, MobileNetV2",
    ),
    Entry(
        "mobilenet-v3-small",
        "squeeze-excite",
        Task.CLASSIFY,
        "mobilenet_v3.mobilenet_v3_small",
        _RGB,
        96,
        1000,
        0.5,
        1,
        "Howard et al. 2019, Searching for MobileNetV3",
    ),
    Entry(
        "mcunet-like",
        "inverted residual",
        Task.CLASSIFY,
        "mobilenet_v2.mcunet_like",
        _RGB,
        80,
        2,
        1.0,
        1,
        "after Lin et al. 2020, MCUNet: kernels of 3, 5 and 7, widths of its order",
    ),
    Entry(
        "mobileone",
        "reparameterised",
        Task.CLASSIFY,
        "mobileone.branched",
        _RGB,
        64,
        10,
        0.25,
        1,
        "Vasu et al. 2023, MobileOne: the depths and widths of S0, the branches of S1",
        fuser="mobileone.fused",
    ),
    Entry(
        "ghostnet",
        "ghost modules",
        Task.CLASSIFY,
        "ghostnet.ghostnet",
        _RGB,
        64,
        10,
        0.5,
        1,
        "Han et al. 2020, GhostNet",
    ),
    Entry(
        "squeezenet",
        "fire modules",
        Task.CLASSIFY,
        "squeezenet.squeezenet",
        _RGB,
        64,
        10,
        0.5,
        1,
        "Iandola et al. 2016, SqueezeNet 1.1",
    ),
    Entry(
        "shufflenet-v2",
        "channel shuffle",
        Task.CLASSIFY,
        "shufflenet.shufflenet_v2",
        _RGB,
        64,
        10,
        0.5,
        32,
        "Ma et al. 2018, ShuffleNet V2",
    ),
    Entry(
        "tiny-vit",
        "attention",
        Task.CLASSIFY,
        "vit.tiny_vit",
        _RGB,
        32,
        10,
        1.0,
        4,
        "after Dosovitskiy et al. 2021 (ViT); positions as in Chu et al. 2021, x * sigmoid",
    ),
    Entry(
        "enet-like",
        "segmentation",
        Task.SEGMENT,
        "enet.enet_like",
        _RGB,
        64,
        5,
        1.0,
        8,
        "after Paszke et al. 2016, ENet: no unpooling by indices",
    ),
    Entry(
        "yolo-like",
        "detection",
        Task.DETECT,
        "yolo.yolo_like",
        _RGB,
        96,
        3,
        1.0,
        32,
        "after Redmon and Farhadi 2018, YOLOv3: two scales, separable convolutions",
    ),
)


def find(name: str) -> Entry:
    """The network of that name; ModelError, with what is near, when there is none."""
    by_name = {entry.name: entry for entry in ENTRIES}
    if name in by_name:
        return by_name[name]
    near = get_close_matches(name, by_name, 1)
    raise ModelError(
        f"the zoo has no '{name}'",
        hint=f"tinyml zoo build {near[0]}" if near else "tinyml zoo list",
    )
