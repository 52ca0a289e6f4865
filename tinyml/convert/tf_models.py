"""Keras, SavedModel and ONNX models through TensorFlow's own converter and quantiser.

All become a SavedModel first. Runs in the worker only: importing this module loads TensorFlow.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tinyml.convert.job import Exported, Recipe
from tinyml.data import Dataset, fit, plain_name
from tinyml.errors import ModelError
from tinyml.importers.tflite import read_inputs
from tinyml.ir.graph import DType, Tensor

_SIGNATURE = "serving_default"


def from_keras(model: Path, scratch: Path, equalising: Dataset | None = None) -> Exported:
    """A .keras or .h5 file, with a batch of 1; weights equalised where there are samples for it."""
    import keras

    network = keras.saving.load_model(model, compile=False)
    if not getattr(network, "inputs", None):
        raise ModelError(
            f"'{model}' does not say what its inputs are",
            hint="call the model once, or begin it with keras.Input, before it is saved",
        )
    if equalising is not None:
        from tinyml.convert.equalize import equalised

        inputs = [
            Tensor(each.name, (1, *each.shape[1:]), DType(str(each.dtype)))
            for each in network.inputs
        ]
        network = equalised(network, fit(equalising, inputs))
    specs = [tf.TensorSpec([1, *x.shape[1:]], x.dtype, name=x.name) for x in network.inputs]

    def serve(*arrays: Any) -> Any:
        # Said to every layer: of its own accord Keras takes what follows a Resizing layer, or
        # another that prepares data, for training.
        packed = keras.tree.pack_sequence_as(network.input, arrays)
        return network(arrays[0] if len(arrays) == 1 else packed, training=False)

    archive = keras.export.ExportArchive()
    archive.track(network)
    archive.add_endpoint(_SIGNATURE, serve, specs)
    archive.write_out(scratch, verbose=False)
    return from_saved_model(scratch, scratch)


def from_onnx(model: Path, scratch: Path) -> Exported:
    """An .onnx file, with a batch of 1 and channels last."""
    import onnx2tf

    # onnx2tf wants to download this to try models with; any values do.
    sample = np.random.default_rng(0).random((20, 128, 128, 3), np.float32)
    np.save("calibration_image_sample_data_20x128x128x3_float32.npy", sample)
    onnx2tf.convert(
        input_onnx_file_path=str(model),
        output_folder_path=str(scratch),
        batch_size=1,
        output_signaturedefs=True,
        not_use_onnxsim=True,
        non_verbose=True,
    )
    return from_saved_model(scratch, scratch)


def from_saved_model(model: Path, scratch: Path) -> Exported:
    """A SavedModel folder: its serving signature, or the only one there is."""
    del scratch
    signatures = list(tf.saved_model.load(str(model)).signatures)
    if _SIGNATURE not in signatures and len(signatures) != 1:
        raise ModelError(
            f"'{model}' has the signatures {signatures}", hint=f"export it with '{_SIGNATURE}'"
        )
    key = _SIGNATURE if _SIGNATURE in signatures else signatures[0]
    converter = tf.lite.TFLiteConverter.from_saved_model(str(model), signature_keys=[key])
    content = bytes(converter.convert())

    def quantise(recipe: Recipe) -> bytes:
        return _quantised(model, key, content, recipe)

    return Exported(content, quantise)


def _quantised(model: Path, key: str, content: bytes, recipe: Recipe) -> bytes:
    names = [plain_name(tensor.name) for tensor in read_inputs(content, model.stem)]

    def representative() -> Iterator[dict[str, Any]]:
        for sample in zip(*recipe.samples, strict=True):
            yield dict(zip(names, sample, strict=True))

    converter = tf.lite.TFLiteConverter.from_saved_model(str(model), signature_keys=[key])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    sets = tf.lite.OpsSet
    converter.target_spec.supported_ops = [
        sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        if recipe.int16x8
        else sets.TFLITE_BUILTINS_INT8
    ]
    edge = tf.int16 if recipe.int16x8 else tf.int8
    converter.inference_input_type = converter.inference_output_type = edge
    return bytes(converter.convert())
