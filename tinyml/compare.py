"""What code made for speed and code made for size cost: flash measured, instructions predicted."""

from pathlib import Path
from tempfile import TemporaryDirectory

from tinyml import toolchain
from tinyml.board import Board
from tinyml.choose import optimized_for
from tinyml.describe import predicted_instructions
from tinyml.emit import emit
from tinyml.errors import MissingToolError, PlanError
from tinyml.options import OPTIMIZE
from tinyml.planning import Plan
from tinyml.results import CodeChoice


def code_choices(plan: Plan, board: Board, taken: str) -> tuple[CodeChoice, ...]:
    """Both choices for the schedule of `plan`, which was made for `taken`.

    Bytes are those of a whole firmware, which is built aside with the board's compiler. Processes,
    which have no flash to save, get no choices.
    """
    if board.is_process:
        return ()
    found = []
    for optimize in OPTIMIZE:
        theirs = plan if optimize == taken else optimized_for(plan, board, optimize)
        code, constants = _sizes(theirs, board, optimize)
        found.append(
            CodeChoice(
                optimize=optimize,
                taken=optimize == taken,
                code_bytes=code,
                const_bytes=constants,
                instructions=predicted_instructions(theirs, board),
            )
        )
    return tuple(found)


def _sizes(plan: Plan, board: Board, optimize: str) -> tuple[int | None, int | None]:
    """Bytes of instructions and of constants; None without a compiler, and where the board's
    memory is too small."""
    with TemporaryDirectory(prefix="tinyml-") as folder:
        try:
            project = emit(plan, board, Path(folder), source=b"", options={"optimize": optimize})
            firmware = toolchain.build(project)
        except (MissingToolError, PlanError):
            return None, None
    return firmware.code_bytes, firmware.const_bytes
