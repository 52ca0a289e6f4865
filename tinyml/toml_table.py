"""TOML whose every key is asked for: what is left over is a mistake, and told with its place."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from tinyml.errors import BoardError

_T = TypeVar("_T")


def read_toml(path: Path) -> dict[str, Any]:
    """The values in the file; BoardError where it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BoardError(f"{path}: {error}") from error


class Table:
    """A TOML table whose keys are taken one by one; what is left at the end is a mistake."""

    def __init__(self, path: Path, prefix: str, values: Mapping[str, Any]) -> None:
        self.path = path
        self.prefix = prefix
        self.values = dict(values)

    def error(self, key: str, cause: str) -> BoardError:
        """What to raise about `key`: its file and place, and the cause."""
        return BoardError(f"{self.path}: {self.prefix}{key}: {cause}")

    def take(self, key: str, kind: type[_T], default: _T | None = None) -> _T:
        """The value of `key`, of the type `kind`; it must be there if there is no default."""
        value = self.values.pop(key, default)
        if value is None:
            raise self.error(key, "is missing")
        # bool is an int to Python, never to a board.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.error(key, f"must be {kind.__name__}, not {value!r}")
        return value

    def positive(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        """A whole number of at least `least`."""
        value = self.take(key, int, default)
        if value < least:
            raise self.error(key, f"must be at least {least}, not {value}")
        return value

    def strings(self, key: str, default: list[str] | None = None) -> tuple[str, ...]:
        """A list of strings."""
        value = self.take(key, list, default)
        if not all(isinstance(item, str) for item in value):
            raise self.error(key, "must be a list of strings")
        return tuple(value)

    def one_of(self, key: str, choices: tuple[str, ...]) -> str:
        """A string that is one of `choices`."""
        value = self.take(key, str)
        if value not in choices:
            raise self.error(key, f"must be one of {', '.join(choices)}, not {value!r}")
        return value

    def table(self, key: str, *, optional: bool = False) -> "Table":
        """A table within this one; one that is `optional` may be missing, and is then empty."""
        values = self.take(key, dict, {} if optional else None)
        return Table(self.path, f"{self.prefix}{key}.", values)

    def done(self) -> None:
        """Nothing may be left: BoardError for the first key that nobody took."""
        for key in self.values:
            raise self.error(key, "is not a key of a board")
