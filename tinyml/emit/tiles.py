"""The tiles of a patch segment: which rows and columns of each op's output they compute."""

from dataclasses import dataclass

from tinyml.errors import PlanError
from tinyml.schedule.schedule import FEED, Segment

Range = tuple[int, int]
"""[first, stop)."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """Of each band: the rows, of each strip: the columns, per node (and at last of an input).

    They run band by band, and in each strip by strip; a node's parts of rows come from top to
    bottom of each tile.
    """

    rows: tuple[tuple[Range, ...], ...]
    columns: tuple[tuple[Range, ...], ...]


def tiles(segment: Segment) -> Tiles:
    """The tiles of a patch; PlanError where its bands and its program do not match."""
    nodes = len(segment.nodes)
    if not segment.bands or not segment.strips:
        raise PlanError(f"the patch of ops {', '.join(segment.nodes)} has no tiles")
    if sum(band.steps for band in segment.bands) != len(segment.program):
        raise PlanError(
            f"the bands of ops {', '.join(segment.nodes)} do not share out the program's "
            f"{len(segment.program)} steps"
        )
    if min(segment.program) < FEED or max(segment.program) >= nodes:
        raise PlanError(f"the program of ops {', '.join(segment.nodes)} has steps of others")
    rows = []
    for band, program in zip(segment.bands, segment.band_programs, strict=True):
        counts = [program.count(at) for at in (*range(nodes), FEED)]
        rows.append(
            tuple((first, first + n) for first, n in zip(band.first_rows, counts, strict=False))
        )
    return Tiles(tuple(rows), tuple(strip.columns for strip in segment.strips))
