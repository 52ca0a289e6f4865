"""Random weights such that no map is constant and the scores depend on the input.

Runs in the worker only: importing this module loads Keras.
"""

from typing import Any

import numpy as np
from keras import Model, layers

from tinyml.zoo.nets.blocks import LOGITS

SPREAD = 2.0
"""Standard deviation of each score over the samples."""


def settle(model: Model, samples: Any, seed: int) -> None:
    """Batch normalisation has the statistics of `samples` [n, ...]; each score varies by SPREAD.

    Gains and offsets are drawn: those of a trained network differ from channel to channel, too.
    """
    rng = np.random.default_rng(seed)
    norms = [each for each in model.layers if isinstance(each, layers.BatchNormalization)]
    for norm in norms:
        channels = norm.gamma.shape
        norm.gamma.assign(rng.uniform(0.5, 1.5, channels))
        norm.beta.assign(rng.normal(0, 0.3, channels))
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0  # the statistics are then those of the last batch
    model(samples, training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    heads = [each for each in model.layers if each.name.startswith(LOGITS)]
    scores = Model(model.inputs, [head.output for head in heads])(samples, training=False)
    for head, found in zip(heads, scores if isinstance(scores, list) else [scores], strict=True):
        _spread(head, np.asarray(found, np.float64))


def _spread(head: Any, scores: Any) -> None:
    """Scales the head's weights: each score [..., channel] has mean 0 and deviation SPREAD."""
    axes = tuple(range(scores.ndim - 1))
    factor = SPREAD / np.maximum(scores.std(axes), 1e-6)
    kernel, bias = head.get_weights()
    # The channels of the result are the last but one of a transposed convolution.
    last = not isinstance(head, layers.Conv2DTranspose)
    head.set_weights(
        [kernel * (factor if last else factor[:, None]), (bias - scores.mean(axes)) * factor]
    )
