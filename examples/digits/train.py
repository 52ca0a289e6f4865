"""Trains the demo's network and writes `digits_int8.tflite` beside this file.

    pip install 'tinyml[train]'
    python examples/digits/train.py

A small depthwise-separable CNN is trained on the digits of `dataset.py`, with
images moved about by up to a pixel, and quantised to int8 after training. The
result is committed, so the demo itself needs no TensorFlow. Other package
versions give other weights of about the same accuracy.
"""

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from dataset import Samples, load
from keras import layers

OUTPUT = Path(__file__).resolve().with_name("digits_int8.tflite")
SEED = 7
EPOCHS = 100
BATCH = 32
LEARNING_RATE = 4e-3


def main() -> None:
    """Trains, quantises, measures on the held-out images, writes."""
    keras.utils.set_random_seed(SEED)
    training, test = load()
    model = train(training)
    content = quantize(model, training)
    OUTPUT.write_bytes(content)
    print(f"float32: {accuracy(model.predict(test.images, verbose=0), test):.2%}")
    print(f"int8:    {accuracy(interpret(content, test), test):.2%}  ({len(content)} bytes)")


def network(batch: int | None) -> keras.Model:
    """Convolution, two depthwise-separable blocks (one strided), mean, dense, softmax."""
    inputs = layers.Input((8, 8, 1), batch_size=batch, name="image")
    x = _bn_relu(layers.Conv2D(12, 3, padding="same", use_bias=False)(inputs))
    x = _separable(x, 24, stride=1)
    x = _separable(x, 48, stride=2)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Softmax()(layers.Dense(10)(x)), name="digits")


def _separable(x: keras.KerasTensor, filters: int, stride: int) -> keras.KerasTensor:
    x = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(x)
    x = layers.Conv2D(filters, 1, use_bias=False)(_bn_relu(x))
    return _bn_relu(x)


def _bn_relu(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def train(data: Samples) -> keras.Model:
    """The trained float network."""

    def shift(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        padded = tf.pad(image, [[1, 1], [1, 1], [0, 0]])
        return tf.image.random_crop(padded, (8, 8, 1), seed=SEED), label

    batches = tf.data.Dataset.from_tensor_slices((data.images, data.labels))
    batches = batches.shuffle(len(data.labels), seed=SEED).map(shift)
    batches = batches.batch(BATCH, drop_remainder=True)
    model = network(None)
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, EPOCHS * len(batches))
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    model.fit(batches, epochs=EPOCHS, verbose=2)
    return model


def quantize(model: keras.Model, data: Samples) -> bytes:
    """Full-integer post-training quantisation, calibrated on the training images."""

    def representative() -> Iterator[list[np.ndarray]]:
        for image in data.images:
            yield [image[None]]

    fixed = network(batch=1)
    fixed.set_weights(model.get_weights())
    converter = tf.lite.TFLiteConverter.from_keras_model(fixed)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return converter.convert()


def interpret(content: bytes, data: Samples) -> np.ndarray:
    """The quantised model's outputs, by TensorFlow's own interpreter."""
    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = source["quantization"]
    outputs = []
    for image in data.images:
        q = np.clip(np.round(image / scale) + zero_point, -128, 127).astype(np.int8)
        interpreter.set_tensor(source["index"], q[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(result["index"])[0])
    return np.stack(outputs)


def accuracy(outputs: np.ndarray, data: Samples) -> float:
    """The share of images whose largest output is their label."""
    return float(np.mean(outputs.argmax(axis=1) == data.labels))


if __name__ == "__main__":
    main()
