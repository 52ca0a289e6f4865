"""The one door to what Python reads but does not hold: templates, the C runtime, board data.

In a checkout (and an editable install) these are top-level folders beside the
package; in an installed wheel they lie inside it, in `tinyml/_data/`.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "_data"


def codegen_dir() -> Path:
    """The folder of Jinja templates."""
    return _folder("codegen")


def runtime_dir() -> Path:
    """The folder of the C runtime: `include/`, `src/`, `port/`, `link/`, `kernels.toml`."""
    return _folder("runtime_c")


def boards_dir() -> Path:
    """The folder of board and SoC descriptions."""
    return _folder("boards")


def _folder(name: str) -> Path:
    """The data folder `name`; FileNotFoundError when the installation is broken."""
    root = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent
    folder = root / name
    if not folder.is_dir():
        raise FileNotFoundError(f"tinyml is not installed completely: '{folder}' is missing")
    return folder
