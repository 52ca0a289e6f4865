"""Whether a project already holds the model that a conversion would give."""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path

from tinyml import __version__
from tinyml.convert.conversion import ConvertOptions
from tinyml.convert.formats import format_of
from tinyml.emit import open_project
from tinyml.errors import TinymlError

CONVERTED = "converted"
"""The option of a manifest that has the fingerprint of its conversion."""


def fingerprint(model: Path, options: ConvertOptions) -> str:
    """SHA-256 over all that a conversion depends on: contents, options, versions of packages."""
    digest = hashlib.sha256()
    versions = {name: _version(name) for name in format_of(model).modules}
    chosen = [options.pixels, options.limit, options.int16x8, options.equalize]
    facts = [__version__, versions, *chosen]
    digest.update(json.dumps(facts, sort_keys=True).encode())
    for root in (model, options.data):
        for path in [] if root is None else _files(root):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(root or path)}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def reusable(project: Path, wanted: str) -> bytes | None:
    """The quantised model in a project's folder, if it came from that very conversion."""
    try:
        found = open_project(project)
        content = found.model_path.read_bytes()
    except (TinymlError, OSError):
        return None  # there is none, or it is not whole: then it is converted again
    same = hashlib.sha256(content).hexdigest() == found.manifest.source_sha256
    return content if same and found.manifest.options.get(CONVERTED) == wanted else None


def _files(root: Path) -> Iterator[Path]:
    if root.is_dir():
        yield from sorted(path for path in root.rglob("*") if path.is_file())
    else:
        yield root


def _version(module: str) -> str:
    distributions = importlib.metadata.packages_distributions().get(module, [])
    return " ".join(f"{name} {importlib.metadata.version(name)}" for name in sorted(distributions))
