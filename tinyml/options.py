"""What a user may ask of a plan: the options that `plan` and `build` share."""

import re
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

from tinyml.board import Board
from tinyml.errors import PlanError
from tinyml.schedule.schedule import Feed, SegmentKind

SCHEDULES = ("auto", *(kind.value for kind in SegmentKind))
FEEDS = tuple(feed.value for feed in Feed)
IOS = ("model", "int8")
OPTIMIZE = ("speed", "size")
MOST_THREADS = 64
"""TINYML_MOST_THREADS"""


class OptionArguments(TypedDict, total=False):
    """The fields of `PlanOptions`, for functions that take them as keywords."""

    sram: int | None
    macs_limit: float | None
    schedule: str
    patches: tuple[int, int] | None
    patch_ops: int | None
    feed: str
    io: str
    optimize: str
    threads: int | None


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """How a plan is to be; PlanError for what is not known or does not go together."""

    sram: int | None = None
    """The most bytes that the arena may take: then the least work that fits is taken."""
    macs_limit: float | None = None
    """The most multiply-accumulates, times the model's own: then the least memory within."""
    schedule: str = "auto"
    """"layer" (one operator after the other), "stream" (rows through ring buffers wherever that
    can be), "patch" (the first operators tile by tile), or "auto" (the best of all)."""
    patches: tuple[int, int] | None = None
    """Rows and columns of the grid of a "patch" schedule; None: 4 x 4."""
    patch_ops: int | None = None
    """How many operators it runs tile by tile; None: as many as need the least memory."""
    feed: str = "whole"
    """How the input comes: "whole" (it lies in the arena), "rows" (handed over row by row) or
    "pull" (read in pieces through a callback)."""
    io: str = "model"
    """"model", for inputs and outputs as the model has them, or "int8", for int8 in place of
    float32, which any other `feed` than "whole" implies."""
    optimize: str = "speed"
    """What code is made for: the least time, or the least "size"."""
    threads: int | None = None
    """How many threads share large layers; None: as many as a Linux board has cores, else one."""

    def __post_init__(self) -> None:
        for option, given, known in (
            ("schedule", self.schedule, SCHEDULES),
            ("feed", self.feed, FEEDS),
            ("io", self.io, IOS),
            ("optimize", self.optimize, OPTIMIZE),
        ):
            if given not in known:
                raise PlanError(
                    f"--{option} {given} is not known to this version",
                    hint=f"one of {', '.join(known)}",
                )
        if self.schedule != "patch" and (self.patches or self.patch_ops):
            raise PlanError(
                f"--schedule {self.schedule} has no patches",
                hint="--patches and --patch-ops go with --schedule patch",
            )
        if self.feed != "whole" and self.schedule == "layer":
            raise PlanError(
                "layer by layer, the first operator needs the whole input",
                hint=f"--feed {self.feed} goes with --schedule auto or stream",
            )
        if self.feed == "rows" and self.schedule == "patch":
            raise PlanError(
                "a patch reads rows of the input more than once, each comes only once",
                hint="--schedule patch goes with --feed pull or whole",
            )
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            raise PlanError(
                f"--threads {self.threads} is out of range", hint=f"1 to {MOST_THREADS}"
            )
        if self.macs_limit is not None and not self.macs_limit > 0:
            raise PlanError(f"--macs-limit {self.macs_limit:g} allows nothing", hint="e.g. 1.05")

    @property
    def deployed_io(self) -> str:
        """`io`, or what `feed` makes of it."""
        return self.io if self.feed == "whole" else "int8"

    def threads_on(self, board: Board) -> int:
        """`threads`, or what a board has by itself; PlanError where there are none."""
        if self.threads is None:
            return board.cores
        if self.threads > 1 and not board.is_process:
            raise PlanError(
                f"--threads {self.threads}: board '{board.name}' runs without an operating system, "
                "which would have threads",
                hint="leave it out, or choose a Linux board ('tinyml boards')",
            )
        return self.threads

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, with the `io` that it comes to."""
        return {**asdict(self), "io": self.deployed_io}


def parse_patches(text: str) -> tuple[int, int]:
    """ "4x4" as rows and columns; PlanError for anything else."""
    found = re.fullmatch(r"([1-9]\d{0,2})x([1-9]\d{0,2})", text)
    if found is None:
        raise PlanError(
            f"--patches {text} is no grid", hint="rows x columns of patches, such as 4x4"
        )
    return int(found[1]), int(found[2])


def parse_bytes(text: str) -> int:
    """ "65536", "64K" or "1M" (1,024 and 1,024 squared bytes); PlanError for anything else."""
    found = re.fullmatch(r"([1-9]\d{0,11})(|[kKmM])", text)
    if found is None:
        raise PlanError(f"--sram {text} is no number of bytes", hint="such as 65536, 64K or 1M")
    return int(found[1]) << {"": 0, "k": 10, "m": 20}[found[2].lower()]
