"""Writes docs/ops.md from the tables of the importer, the graph checker and the kernels.

Run it after an operator or a kernel was added: `python scripts/ops_page.py`.
"""

from pathlib import Path

from tinyml.importers.tflite import OPERATORS
from tinyml.ir import ops
from tinyml.ir.operands import takes
from tinyml.kernels.registry import kernels

PAGE = Path(__file__).parent.parent / "docs" / "ops.md"

BECOMES = {
    "EMBEDDING_LOOKUP": "GATHER",
    "EXPAND_DIMS": "RESHAPE",
    "PADV2": "PAD",
    "REVERSE_V2": "STRIDED_SLICE",
    "SLICE": "STRIDED_SLICE",
    "SQUEEZE": "RESHAPE",
}
"""Operators that are another one with other attributes."""

AT_IMPORT = {
    "CALL_ONCE": "Runs a subgraph that assigns variables, for what they begin with",
    "READ_VARIABLE": "The value that was assigned last, or the state",
    "VAR_HANDLE": "A variable by its name",
}
"""Operators that no node is made of."""

_FLOAT = "TFLite Micro computes it in float32 only"
_SHAPE = "computes shapes or constants; those that converters write are folded at import"
_TODO = "not done yet"

MISSING = {
    "ADD_N": _TODO,
    "BATCH_TO_SPACE_ND": _TODO,
    "BROADCAST_ARGS": _SHAPE,
    "CAST": _TODO,
    "CEIL": _FLOAT,
    "COS": _FLOAT,
    "CUMSUM": _TODO,
    "DIV": _TODO,
    "DYNAMIC_UPDATE_SLICE": _TODO,
    "EXP": _FLOAT,
    "FILL": _SHAPE,
    "FLOOR": _FLOAT,
    "FLOOR_DIV": _FLOAT,
    "FLOOR_MOD": _FLOAT,
    "GATHER_ND": _TODO,
    "IF": "has a choice of subgraphs",
    "L2_NORMALIZATION": _TODO,
    "L2_POOL_2D": _FLOAT,
    "LOG": _FLOAT,
    "LOG_SOFTMAX": _TODO,
    "MIRROR_PAD": _TODO,
    "NEG": _FLOAT,
    "REDUCE_ALL": _TODO,
    "ROUND": _FLOAT,
    "SELECT_V2": _TODO,
    "SHAPE": _SHAPE,
    "SIN": _FLOAT,
    "SPACE_TO_BATCH_ND": _TODO,
    "SQRT": _FLOAT,
    "SQUARE": _FLOAT,
    "SUM": "its int8 form rounds in float32 at run time",
    "WHILE": "has a loop over subgraphs",
    "ZEROS_LIKE": _TODO,
}
"""Built-in operators of TFLite Micro that are refused, and why."""


def _classes() -> dict[str, type[ops.Op]]:
    found = (value for value in vars(ops).values() if isinstance(value, type))
    return {c.kind: c for c in found if issubclass(c, ops.Op) and hasattr(c, "kind")}


def _types(kind: str) -> str:
    """Element types of the first operand and of the result, of all kernels."""
    services = [s for kernel in kernels() for s in kernel.serves if kind in s.ops]
    found = dict.fromkeys(t for service in services for t in service.types)
    return ", ".join(found) or "any, nothing runs"


def _kernels(kind: str) -> str:
    """The kernels by instruction set, in the order of the table."""
    by_isa: dict[str, list[str]] = {}
    for kernel in kernels():
        if any(kind in service.ops for service in kernel.serves):
            by_isa.setdefault(kernel.isa, []).append(f"`{kernel.name}`")
    isas = sorted(by_isa, key=lambda isa: (isa != "portable", isa))
    return "; ".join(f"{isa}: {', '.join(by_isa[isa])}" for isa in isas) or "none"


def _row(name: str) -> str:
    if name in AT_IMPORT:
        return f"| {name} | {AT_IMPORT[name]} | any element type | any, nothing runs | none |"
    kind = BECOMES.get(name, name)
    op = _classes()[kind]
    summary = (op.__doc__ or "").strip().partition("\n")[0].rstrip(".")
    what = f"{kind} with other attributes" if name in BECOMES else summary
    cells = (name, what, takes(op).rstrip("."), _types(kind), _kernels(kind))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def page() -> str:
    """The page's text."""
    rows = "\n".join(_row(name) for name in OPERATORS)
    missing = "\n".join(f"| {name} | {why} |" for name, why in sorted(MISSING.items()))
    return f"""# Operators

Written by `python scripts/ops_page.py` from the tables of the importer, the graph checker and the
kernels; a test holds it against them. Every operator computes what TFLite Micro computes, bit for
bit.

{len(OPERATORS)} operators. Types are those of the first operand and of the result that some kernel
takes; `bool` is a byte that is 0 or 1. Kernels that need an instruction set serve where their
`requires` in `runtime_c/kernels.toml` holds, the portable ones anywhere.

| operator | computes | takes | types | kernels |
|---|---|---|---|---|
{rows}

## Not there

{len(MISSING)} more built-in operators of TFLite Micro are refused at import, with their name
and the names of their tensors, before a line of C is written; so are custom operators (those of
its signal library among them).

| operator | why |
|---|---|
{missing}
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
