"""What instructions cost on a core, in cycles: models of the Cortex-M4 and the Cortex-M7.

Memory is taken to answer without wait states (code from tightly coupled memory, or through a
cache or accelerator that always hits), as vendors' figures for kernels do.

Cortex-M4: the table of instruction timings of its Technical Reference Manual (Arm DDI 0439,
section 3.3). A load takes 2 cycles, but loads and stores one after the other overlap, so
that each after the first takes 1; a store alone takes 1, for a buffer takes it. Multiplications
of all kinds take 1. A branch that is taken refills the pipeline, in 1 to 3 cycles: 2 here. A
division takes 2 to 12: 7 here.

Cortex-M7: in order, up to two instructions in a cycle. No manual gives its pairing in full;
the model has one multiplier, one store and two loads in a cycle, results of an ALU a cycle
later, of loads and multiplications two, and branches that are always predicted.
"""

from collections.abc import Callable, Mapping, Sequence

from tinyml.cycles.code import Instruction

_LOADS = ("ldr", "ldrb", "ldrh", "ldrsb", "ldrsh", "ldrd", "vldr")
_STORES = ("str", "strb", "strh", "strd", "vstr")
_MANY = ("ldm", "ldmdb", "ldmia", "stm", "stmdb", "stmia", "push", "pop", "vpush", "vpop")
_PAIRS = ("ldrd", "strd")
_REFILL = 2
_DIVISION = 7

Cost = Callable[[Sequence[Instruction]], int]


def cortex_m4(block: Sequence[Instruction]) -> int:
    """Cycles of a block that is entered at its beginning and left at its end, not by a jump."""
    total, overlaps = 0, False
    for each in block:
        single = each.mnemonic in _LOADS or each.mnemonic in _STORES
        if each.mnemonic in _MANY:
            total += 1 + each.registers
        elif each.mnemonic in _PAIRS:
            total += 3 - overlaps
        elif single:
            total += 2 if each.mnemonic in _LOADS and not overlaps else 1
        elif each.mnemonic in ("sdiv", "udiv"):
            total += _DIVISION
        else:
            total += 1
        overlaps = single
    return total


def cortex_m7(block: Sequence[Instruction]) -> int:
    """The same; what one block leaves unfinished does not delay the next."""
    ready: dict[int, int] = {}
    cycle, issued = 0, list[Instruction]()
    for each in block:
        wanted = max((ready.get(register, 0) for register in each.reads), default=0)
        if wanted > cycle or not _pairs(issued, each):
            cycle, issued = max(wanted, cycle + 1), []
        issued.append(each)
        if each.mnemonic in _MANY:
            cycle, issued = cycle + each.registers // 2, []
        slow = each.mnemonic in _LOADS or each.mnemonic in _MANY or _multiplies(each)
        latency = _DIVISION if each.mnemonic in ("sdiv", "udiv") else 2 if slow else 1
        for register in each.writes:
            ready[register] = cycle + latency
    return cycle + 1


def _pairs(issued: Sequence[Instruction], each: Instruction) -> bool:
    """Whether `each` can go in the same cycle as `issued`."""
    if not issued:
        return True
    if len(issued) == 2 or each.mnemonic in _MANY or issued[0].mnemonic in _MANY:
        return False
    first = issued[0]
    both_multiply = _multiplies(first) and _multiplies(each)
    both_store = first.mnemonic in _STORES and each.mnemonic in _STORES
    both_branch = _branches(first) and _branches(each)
    return not (both_multiply or both_store or both_branch or _branches(first))


def _multiplies(each: Instruction) -> bool:
    return each.mnemonic.startswith(("mul", "mla", "mls", "sm", "um"))


def _branches(each: Instruction) -> bool:
    return each.mnemonic in ("b", "bl", "bx", "blx", "cbz", "cbnz", "tbb", "tbh")


MODELS: Mapping[str, tuple[str, Cost, int]] = {
    "cortex-m4": ("Cortex-M4, table of its reference manual", cortex_m4, _REFILL),
    "cortex-m7": ("Cortex-M7, two in order without a miss", cortex_m7, 0),
}
"""Per core: the model's name, what a block costs, and what a jump costs on top."""
