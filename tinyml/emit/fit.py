"""Refuses a model that a board cannot hold, before anything is compiled.

What is counted is a lower bound (constants and arena exactly, code at the
least that any firmware has), so nothing that fits is refused here; what turns
out too large only when it is linked is refused by the linker.
"""

from collections import Counter

from tinyml.board import Board, Region
from tinyml.emit.rooms import LEAST_CODE_BYTES, VECTOR_BYTES, static_bytes
from tinyml.emit.view import ModelView
from tinyml.errors import PlanError
from tinyml.planning import Plan

LONGEST_ARRAY = 2**15 - 1
"""Bytes of an array where pointers have 16 bits, as they have to those of program memory."""

MORE = "more "
"""What precedes a section's name where its second region is meant."""


def needs(plan: Plan, view: ModelView, board: Board) -> dict[str, int]:
    """Bytes that each section of the firmware takes at least, and its part in a second region."""
    structs = sum(4 * len(op.struct.fields) for op in view.ops if op.struct is not None)
    first, second = plan.memory.banks
    more = {"arena": second, "constants": view.more_const_bytes}
    learns = 0 if view.training is None else view.training.lasting_bytes
    return {
        "vectors": VECTOR_BYTES,
        "code": LEAST_CODE_BYTES,
        "constants": view.const_bytes - view.more_const_bytes + structs,
        "data": static_bytes(plan.graph, plan.schedule, plan.calls) + learns,
        "arena": first + view.arena_bytes - plan.memory.arena_bytes,
        "stack": board.stack_bytes,
    } | {f"{MORE}{section}": size for section, size in more.items() if size}


def check_fit(plan: Plan, view: ModelView, board: Board) -> None:
    """PlanError when a memory region of `board` is too small; a process's never is."""
    if board.is_process:
        return
    long = [t for t in view.tables if t.bytes > LONGEST_ARRAY] if board.harvard else []
    if long:
        raise PlanError(
            f"model '{plan.graph.name}' does not fit board '{board.name}': a table has "
            f"{long[0].bytes} bytes, and one in program memory at most {LONGEST_ARRAY} "
            f"({' '.join(long[0].comment)})",
            hint=_hint({"flash"}),
        )
    needed = needs(plan, view, board)
    totals: Counter[str] = Counter()
    for section, size in needed.items():
        totals[_region(board, section).name] += size
    short = [region for region in board.regions if totals[region.name] > region.bytes]
    if not short:
        return
    reasons = []
    for region in short:
        parts = ", ".join(
            f"{section} {size}"
            for section, size in needed.items()
            if _region(board, section) == region
        )
        reasons.append(
            f"region '{region.name}' has {region.bytes} bytes, at least {totals[region.name]} are "
            f"needed ({parts})"
        )
    raise PlanError(
        f"model '{plan.graph.name}' does not fit board '{board.name}': {'; '.join(reasons)}",
        hint=_hint({region.kind for region in short}),
    )


def _region(board: Board, section: str) -> Region:
    """The region of a key of `needs`."""
    if not section.startswith(MORE):
        return board.region(section)
    region = board.more(section.removeprefix(MORE))
    assert region is not None
    return region


def _hint(kinds: set[str]) -> str:
    memory = " and ".join({"flash": "flash", "ram": "RAM"}[kind] for kind in sorted(kinds))
    model = {"flash": "fewer weights", "ram": "smaller activations"}
    wanted = " and ".join(model[kind] for kind in sorted(kinds))
    return (
        f"choose a board with more {memory} ('tinyml boards'), or a model with {wanted}; "
        "'tinyml plan' shows which op needs most"
    )
