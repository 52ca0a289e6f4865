"""Every error a user can meet: what happened, where, and what to try.

The command line maps each class to an exit status (see `exit_status`), so a
script can tell a failed check from bad input and from a missing tool.
"""

from dataclasses import dataclass
from typing import ClassVar


class TinymlError(Exception):
    """Base of all errors that are the user's to act on.

    `what` is one line that names the cause and the place (file, op, tensor);
    `hint` is the next step to take.
    """

    exit_status: ClassVar[int] = 2

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what} ({self.hint})" if self.hint else self.what


class ModelError(TinymlError):
    """The model file is damaged, or says something a model cannot mean."""


@dataclass(frozen=True, slots=True)
class UnsupportedOp:
    """One operator of a model that cannot be deployed."""

    op: str
    """TFLite's name of the operator."""
    tensors: tuple[str, ...]
    """Names of its outputs."""
    reason: str


class UnsupportedError(TinymlError):
    """The model is sound but uses something this version cannot deploy.

    `items` lists the operators, all of them at once, where operators are the cause.
    """

    def __init__(self, what: str, *, hint: str = "", items: tuple[UnsupportedOp, ...] = ()) -> None:
        super().__init__(what, hint=hint)
        self.items = items


class GraphError(TinymlError):
    """A graph breaks a rule of the IR: a bug in an importer or a pass."""


class BoardError(TinymlError):
    """An unknown board, or board data that breaks the schema."""


class PlanError(TinymlError):
    """No plan fits the memory that is there."""


class BuildError(TinymlError):
    """The compiler or the linker refused the generated project."""


class MissingToolError(TinymlError):
    """A program or package is not installed; the hint is the command that installs it."""

    exit_status: ClassVar[int] = 3


class LinkError(TinymlError):
    """The target does not answer, or not in the protocol."""


class CheckFailedError(TinymlError):
    """A check ran and failed: the target differs from the reference."""

    exit_status: ClassVar[int] = 1


class ConvertError(TinymlError):
    """A foreign converter failed; `log` has the last lines of what it printed."""

    def __init__(self, what: str, *, hint: str = "", log: tuple[str, ...] = ()) -> None:
        super().__init__(what, hint=hint)
        self.log = log
