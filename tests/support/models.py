"""The real models that tests and benchmarks read, where they are there."""

from pathlib import Path

import pytest

MODELS = Path(__file__).resolve().parents[3] / "shared" / "models"

NAMES = (
    "ad01_int8",
    "hello_world_int8",
    "kws_ref_model",
    "mcunet_person_detection_128x160_int8",
    "mcunet_vww_80_int8",
    "mcunetv2_large_224_int8",
    "micro_speech_quantized",
    "person_detect",
    "resnet8_cifar10_int8",
    "vww_96_int8",
)


def model_path(name: str) -> Path:
    """The path of a shared model; skips the test when it is not there."""
    path = MODELS / f"{name}.tflite"
    if not path.is_file():
        pytest.skip(f"shared model {name}.tflite is not there")
    return path
