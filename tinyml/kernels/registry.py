"""The table of kernels, `runtime_c/kernels.toml`, as Python reads it."""

import tomllib
from dataclasses import dataclass
from functools import cache

from tinyml.ir.graph import DType
from tinyml.resources import runtime_dir


@dataclass(frozen=True, slots=True)
class Service:
    """Operators (TFLite's names) that a kernel computes for some element types."""

    ops: tuple[str, ...]
    types: tuple[str, ...]
    """"input -> output", or "any" for one type of any size."""

    def covers(self, kind: str, source: DType, result: DType) -> bool:
        """Whether operator `kind` from `source` to `result` elements is among them."""
        if kind not in self.ops:
            return False
        if "any" in self.types and source is result:
            return True
        return f"{source.value} -> {result.value}" in self.types


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel of the runtime; the fields are those of `kernels.toml`."""

    name: str
    serves: tuple[Service, ...]
    isa: str
    style: str
    source: str
    struct: str
    scratch: str = ""
    requires: str = ""


@cache
def kernels() -> tuple[Kernel, ...]:
    """All kernels, in the order of the table."""
    table = tomllib.loads((runtime_dir() / "kernels.toml").read_text(encoding="utf-8"))
    found = []
    for entry in table["kernel"]:
        serves = tuple(Service(tuple(s["ops"]), tuple(s["types"])) for s in entry.pop("serves"))
        found.append(Kernel(serves=serves, **entry))
    return tuple(found)


def find(
    kind: str, source: DType, result: DType, isa: tuple[str, ...], features: tuple[str, ...] = ()
) -> tuple[Kernel, ...]:
    """The kernels for an operator, the preferred first; none where there is none.

    They are those of the first instruction set in `isa` that has one, called in the style of the
    preferred one. `features` are what the operator has that some kernels require.
    """
    for name in isa:
        found = [
            kernel
            for kernel in kernels()
            if kernel.isa == name
            and kernel.requires in ("", *features)
            and any(service.covers(kind, source, result) for service in kernel.serves)
        ]
        if found:
            return tuple(kernel for kernel in found if kernel.style == found[0].style)
    return ()


def by_name(name: str) -> Kernel:
    """The kernel called `name`; KeyError when there is none."""
    for kernel in kernels():
        if kernel.name == name:
            return kernel
    raise KeyError(name)
