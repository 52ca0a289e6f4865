"""Where in the arena something lies, as C has it: the arena may be in two stretches of memory.

Then `m->arena` and `m->more` are where they begin; with one, `arena` is.
"""

from collections.abc import Iterable

from tinyml.memory.plan import MemoryPlan


def banked(memory: MemoryPlan) -> bool:
    """Whether there are two arenas; where the fast one has no room for anything, there are not."""
    return bool(memory.split)


def home(memory: MemoryPlan, offset: int) -> tuple[int, int]:
    """Which arena has the byte at `offset` (0 or 1), and where in it."""
    return memory.place(offset) if banked(memory) else (0, offset)


def place(memory: MemoryPlan, offset: int) -> str:
    """The address of the byte at `offset`."""
    if not banked(memory):
        return f"arena + {offset}"
    bank, at = home(memory, offset)
    return f"m->{('arena', 'more')[bank]} + {at}"


def ends(memory: MemoryPlan, ranges: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """The first byte of either arena past everything in `ranges`, pairs of offset and bytes."""
    found = [0, 0]
    for offset, size in ranges:
        bank, at = home(memory, offset)
        found[bank] = max(found[bank], at + size)
    return found[0], found[1]
