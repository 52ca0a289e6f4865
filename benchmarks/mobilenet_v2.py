"""Builds an int8 MobileNetV2 without anybody's weights, for measuring memory and time.

    pip install 'tinyml[train]'
    python benchmarks/mobilenet_v2.py build/mobilenet_v2_224.tflite
    python benchmarks/mobilenet_v2.py build/mobilenet_v2_144.tflite --size 144 --alpha 0.35

The network is Keras Applications' (Sandler et al., "MobileNetV2: Inverted Residuals and
Linear Bottlenecks", CVPR 2018), `alpha` its width. What planning and counting depend on,
shapes and operators, are those of the real one. Weights are drawn with a seed and made
sensible on random images: batch normalisations get the statistics of these images, and the
classifier is scaled such that the logits vary from image to image, so that neither maps
nor outputs are constant. The same images calibrate the quantisation. The same package
versions on the same kind of machine give the same bytes.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

SEED = 5
IMAGES = 16
LOGITS_SPREAD = 3.0
"""Standard deviation of the logits: a softmax that neither saturates nor is flat."""


def main() -> None:
    """Builds, calibrates, quantises, writes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="the .tflite file to write")
    parser.add_argument("--size", type=int, default=224, help="rows and columns of the image")
    parser.add_argument("--alpha", type=float, default=1.0, help="width of the network")
    parser.add_argument("--classes", type=int, default=1000, help="outputs")
    options = parser.parse_args()

    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    images = random_images(options.size)
    model = network(options.size, options.alpha, options.classes, batch=IMAGES)
    normalize(model, images)
    single = network(options.size, options.alpha, options.classes, batch=1)
    single.set_weights(model.get_weights())
    content = quantize(single, images)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(content)
    print(f"{options.out}: {len(content):,} bytes")


def random_images(size: int) -> np.ndarray:
    """Noise, [IMAGES, size, size, 3] from -1 to 1: what `tinyml verify` draws as well."""
    drawn = np.random.default_rng(SEED).uniform(-1, 1, (IMAGES, size, size, 3))
    return drawn.astype(np.float32)


def network(size: int, alpha: float, classes: int, batch: int) -> keras.Model:
    """MobileNetV2 with random weights."""
    image = keras.Input((size, size, 3), batch_size=batch, name="image")
    return keras.applications.MobileNetV2(
        input_tensor=image, alpha=alpha, classes=classes, weights=None
    )


def normalize(model: keras.Model, images: np.ndarray) -> None:
    """Statistics of `images` for all batch normalisations, and for the classifier's inputs."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # the moving averages become those of one batch
    model(images, training=True)

    classifier = model.layers[-1]
    kernel, _ = classifier.get_weights()
    features = keras.Model(model.input, classifier.input)(images, training=False).numpy()
    logits = features @ kernel
    scale = LOGITS_SPREAD / logits.std(axis=0).mean()
    classifier.set_weights([kernel * scale, -logits.mean(axis=0) * scale])


def quantize(model: keras.Model, images: np.ndarray) -> bytes:
    """Full-integer post-training quantisation."""

    def representative() -> Iterator[list[np.ndarray]]:
        for image in images:
            yield [image[None]]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return converter.convert()


if __name__ == "__main__":
    main()
