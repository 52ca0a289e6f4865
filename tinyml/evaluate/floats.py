"""Runs a float .tflite file with LiteRT, in a process of its own."""

import importlib.util
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinyml.convert.job import RunJob
from tinyml.convert.process import run_worker
from tinyml.errors import MissingToolError
from tinyml.ir.graph import Array


def run_floats(content: bytes, inputs: Sequence[Array], tensors: Sequence[int]) -> dict[int, Array]:
    """Values [n, ...] of the tensors of these indices, for inputs [n, 1, ...] each."""
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise MissingToolError(
            "running a float model needs ai-edge-litert, not installed here",
            hint="pip install 'tinyml[tflite]'",
        )
    with tempfile.TemporaryDirectory(prefix="tinyml-") as folder:
        model, given, found = (Path(folder, n) for n in ("m.tflite", "in.npz", "out.npz"))
        model.write_bytes(content)
        arrays: dict[str, Any] = {str(i): array for i, array in enumerate(inputs)}
        np.savez(given, **arrays)
        run_worker(
            RunJob(str(model), str(given), str(found), tuple(tensors)),
            "the float model cannot be run",
        )
        with np.load(found) as archive:
            return {index: archive[str(index)] for index in tensors}
