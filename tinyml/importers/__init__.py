"""Model files -> Graph."""

from collections.abc import Callable
from pathlib import Path

from tinyml.errors import ModelError
from tinyml.importers import tflite
from tinyml.ir.graph import Graph

_READERS: dict[str, Callable[[bytes, str], Graph]] = {".tflite": tflite.read}


def load(path: Path) -> Graph:
    """The graph in a model file, by the file's suffix; it has passed the graph checker.

    Raises ModelError for a file that cannot be read or is damaged, and
    UnsupportedError for a model that cannot be deployed.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(sorted(_READERS))
        raise ModelError(
            f"'{path}' is no model file by its name",
            hint=f"known are {known}; tinyml convert makes one of Keras, ONNX and PyTorch models",
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read '{path}': {error.strerror}") from error
    return reader(data, path.stem)
