"""Model files of other frameworks, by their name: what reads them, and what that needs."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from tinyml.errors import MissingToolError, ModelError


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of model file."""

    name: str
    suffixes: tuple[str, ...]
    """Of its files; none for a folder."""
    extra: str
    """The extra of this package that installs `modules`."""
    modules: tuple[str, ...]
    """What is imported to convert it."""


KERAS = Format("Keras", (".keras", ".h5", ".hdf5"), "tensorflow", ("tensorflow", "keras"))
SAVED_MODEL = Format("SavedModel", (), "tensorflow", ("tensorflow",))
ONNX = Format("ONNX", (".onnx",), "onnx", ("tensorflow", "onnx", "onnx2tf"))
TORCH = Format("PyTorch", (".pt2",), "torch", ("torch", "litert_torch", "ai_edge_quantizer"))
TFLITE = Format("TensorFlow Lite", (".tflite",), "tflite", ("ai_edge_quantizer",))

FORMATS = (KERAS, SAVED_MODEL, ONNX, TORCH, TFLITE)
_SAVED_MODEL_FILE = "saved_model.pb"
_TORCH_HINT = "torch.export.save(torch.export.export(model.eval(), (sample,)), 'model.pt2')"


def format_of(model: Path) -> Format:
    """The format of a model by its name; ModelError when there is none."""
    if not model.exists():
        raise ModelError(f"cannot read '{model}': No such file or directory")
    if model.is_dir():
        if (model / _SAVED_MODEL_FILE).is_file():
            return SAVED_MODEL
        raise ModelError(f"folder '{model}' is no SavedModel: it has no {_SAVED_MODEL_FILE}")
    suffix = model.suffix.lower()
    if suffix in (".pt", ".pth"):
        raise ModelError(
            f"'{model}' has weights of a PyTorch model, not what it computes", hint=_TORCH_HINT
        )
    for each in FORMATS:
        if suffix in each.suffixes:
            return each
    known = ", ".join(suffix for each in FORMATS for suffix in each.suffixes)
    raise ModelError(
        f"'{model}' is no model file by its name", hint=f"known are {known} and SavedModel folders"
    )


def require(format_: Format) -> None:
    """MissingToolError unless the packages that convert this format are installed."""
    missing = [name for name in format_.modules if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingToolError(
            f"{format_.name} models need {' and '.join(missing)}, not installed here",
            hint=f"pip install 'tinyml[{format_.extra}]'",
        )
