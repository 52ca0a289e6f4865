"""Detection at two scales, the finer with what the coarser saw."""

from typing import Any

from keras import Model, layers

from tinyml.zoo.catalog import Spec
from tinyml.zoo.nets.blocks import LOGITS, conv, enlarged, image_input, separable, width

ANCHORS = 3
"""Boxes to each cell."""


def yolo_like(spec: Spec) -> Model:
    """Cells of 32 and of 16 pixels; [anchors, 5 + classes], all of it in 0 to 1.

    Each row has the box's centre, width and height, in what unit the training says, whether
    there is one, and the classes, each on its own as in YOLOv3.
    """
    inputs = image_input(spec)
    x = conv(inputs, width(16, spec.alpha), 3, 2, "relu6")
    for channels in (32, 64):
        x = separable(x, width(channels, spec.alpha), 2, "relu6")
    fine = separable(separable(x, width(96, spec.alpha), 2, "relu6"), width(96, spec.alpha))
    coarse = separable(separable(fine, width(128, spec.alpha), 2, "relu6"), width(128, spec.alpha))
    above = enlarged(conv(coarse, width(48, spec.alpha)))
    joined = separable(layers.Concatenate()([above, fine]), width(96, spec.alpha))
    rows = [_head(coarse, spec, "coarse"), _head(joined, spec, "fine")]
    return Model(inputs, layers.Activation("sigmoid")(layers.Concatenate(axis=1)(rows)))


def _head(x: Any, spec: Spec, name: str) -> Any:
    values = 5 + spec.classes
    x = layers.Conv2D(ANCHORS * values, 1, name=f"{LOGITS}_{name}")(x)
    return layers.Reshape((x.shape[1] * x.shape[2] * ANCHORS, values))(x)
