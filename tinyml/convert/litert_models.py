"""PyTorch and float .tflite models through the AI Edge Quantizer.

Runs in the worker only: importing this module loads the quantiser.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import calibrator, quantizer, recipe, recipe_manager

from tinyml.convert.job import Exported, Recipe
from tinyml.data import plain_name
from tinyml.errors import ModelError
from tinyml.importers.tflite import read_inputs


def from_torch(model: Path, scratch: Path) -> Exported:
    """A .pt2 file (`torch.export.save`), with a batch of 1 and channels last."""
    import litert_torch
    import torch

    program = torch.export.load(model)
    arguments, keywords = program.example_inputs
    if keywords or not all(isinstance(each, torch.Tensor) for each in arguments):
        raise ModelError(
            f"'{model}' takes more than tensors by position", hint="export it with such inputs"
        )
    module = program.module()
    singles = tuple(each[:1] for each in arguments)
    try:
        with torch.no_grad():
            results = module(*singles)
    except Exception as error:
        shapes = ", ".join(str(list(each.shape)) for each in arguments)
        raise ModelError(
            f"'{model}' does not run with a batch of 1 ({error}); it was exported with {shapes}",
            hint="torch.export.export(model, (sample,)) with a sample [1, ...]",
        ) from error
    results = results if isinstance(results, list | tuple) else (results,)
    maps = [i for i, each in enumerate(singles) if each.ndim == 4]
    wrapped: Any = module
    if maps:
        wrapped = litert_torch.to_channel_last_io(
            module, args=maps, outputs=[i for i, each in enumerate(results) if each.ndim == 4]
        )
    turned = tuple(
        each.permute(0, 2, 3, 1).contiguous() if each.ndim == 4 else each for each in singles
    )
    converted = scratch / "float.tflite"
    litert_torch.convert(wrapped, turned).export(str(converted))
    return from_tflite(converted, scratch)


def from_tflite(model: Path, scratch: Path) -> Exported:
    """A float .tflite file."""
    del scratch
    content = model.read_bytes()
    return Exported(content, lambda how: _quantised(content, model.stem, how))


def _quantised(content: bytes, name: str, how: Recipe) -> bytes:
    inputs = read_inputs(content, name)
    signatures = Interpreter(model_content=content).get_signature_list()
    if not signatures:
        raise ModelError(
            f"model '{name}' has no signature, which the quantiser needs",
            hint="export it again with a younger converter",
        )
    key, signature = next(iter(signatures.items()))
    names = _in_order([tensor.name for tensor in inputs], signature["inputs"])
    samples = [dict(zip(names, sample, strict=True)) for sample in zip(*how.samples, strict=True)]
    wanted = recipe.static_wi8_ai16() if how.int16x8 else recipe.static_wi8_ai8()
    manager = recipe_manager.RecipeManager()
    manager.load_quantization_recipe(wanted)
    ranges = calibrator.Calibrator(content, num_threads=1, qsv_update_func=_widest)
    ranges.calibrate({key: samples}, manager)
    work = quantizer.Quantizer(content, wanted)
    result = work.quantize(
        ranges.get_model_qsvs(), enable_progress_bar=False, enable_progress_report=False
    )
    return bytes(result.quantized_model)


def _widest(known: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The range that holds both.

    The quantiser's own rule is a moving average, which saturates what is rare: on the digits
    network it costs 6 to 24 dB in the layers before the softmax.
    """
    return {
        **known,
        "min": np.minimum(known["min"], found["min"]),
        "max": np.maximum(known["max"], found["max"]),
    }


def _in_order(tensors: Sequence[str], names: Sequence[str]) -> list[str]:
    """The signature's names of its inputs in the order of the tensors."""
    if len(names) == 1:
        return list(names)
    plain = [plain_name(tensor) for tensor in tensors]
    if sorted(plain) != sorted(names):
        raise ModelError(
            f"the inputs {plain} and those of the signature, {sorted(names)}, are not told apart"
        )
    return plain
