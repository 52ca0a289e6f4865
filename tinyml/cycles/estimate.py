"""Cycles of one inference on an emulated core."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tinyml.cycles.blocks import count_blocks
from tinyml.cycles.code import Code
from tinyml.cycles.cores import MODELS
from tinyml.emit import Project
from tinyml.errors import BoardError
from tinyml.fill import Fill
from tinyml.toolchain.build import elf_path


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one inference takes."""

    model: str
    """Name of the model of the core."""
    instructions: int
    cycles: int
    functions: tuple[tuple[str, int, int], ...]
    """Name, instructions and cycles of each, the most cycles first."""


def estimate(project: Project, inputs: Sequence[bytes | Fill]) -> Estimate:
    """The estimate for a project that is built; BoardError for a core without a model."""
    if project.board.core not in MODELS:
        raise BoardError(
            f"there is no model of the cycles of {project.board.core}",
            hint=f"there is one of {', '.join(MODELS)}",
        )
    name, cost, refill = MODELS[project.board.core]
    code = Code(elf_path(project))
    instructions: Counter[str] = Counter()
    cycles: Counter[str] = Counter()
    for block in count_blocks(project, inputs):
        function, serves = code.function(block.address)
        if not serves or not block.runs:
            continue
        found = code.block(block.address, block.instructions)
        instructions[function] += len(found) * block.runs
        cycles[function] += cost(found) * block.runs + refill * block.jumps
    return Estimate(
        name,
        instructions.total(),
        cycles.total(),
        tuple((f, instructions[f], count) for f, count in cycles.most_common()),
    )
