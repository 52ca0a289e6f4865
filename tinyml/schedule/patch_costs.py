"""What a patch segment needs, in bytes (see `costs`, `live`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tinyml.memory.values import aligned
from tinyml.schedule.costs import Costs
from tinyml.schedule.live import Access, Ints, Pieces
from tinyml.schedule.patch import TileNode, Tiling
from tinyml.schedule.schedule import FEED


def patch_peak(costs: Costs, start: int, nodes: Sequence[TileNode], tiling: Tiling) -> int:
    """The most bytes live at any tick of a patch of `nodes`, the first being node `start`.

    An input that comes in pieces is the last of them.
    """
    tiles = _Tiles.of(tiling)
    count = len(nodes) - costs.is_fed(start)
    stop = start + count
    line = costs.timeline(start, stop, tiles.ticks)
    rings = {ring.tensor: ring for ring in tiling.rings}
    at = {node.rows.output: p for p, node in enumerate(nodes)}
    value_of = {name: v for v, value in enumerate(costs.values) for name in value.tensors}
    held: dict[str, list[Pieces]] = {}
    whole: dict[int, list[Pieces]] = {}

    def touch(tensor: str, pixel: int, row_bytes: int, rows: Ints, columns: Ints, t: Ints) -> None:
        """Per row, and per strip the columns [first, stop), a tick."""
        if tensor in rings:
            ring, first = rings[tensor], tiles.columns[at[tensor], :, :1]
            begin = rows % ring.rows * (ring.columns * pixel)
            columns = columns - first
        else:
            begin = rows * row_bytes
        edges = begin[:, None, None] + columns * pixel
        there = edges[..., 0] < edges[..., 1]
        pieces = Pieces.of(edges[..., 0][there], edges[..., 1][there], t[there])
        if tensor in rings:
            held.setdefault(tensor, []).append(pieces)
        else:
            whole.setdefault(value_of[tensor], []).append(pieces)

    for p, node in enumerate(nodes):
        reads: list[Access] = []
        if p < count:
            work = costs.streams[start + p]
            assert work is not None
            reads = [touch_.access for touch_ in work.reads]
        row_bytes = node.width * node.pixel_bytes
        for b, rows in enumerate(tiling.rows):
            first, end = rows[p]
            ticks = tiles.of_node(b, p if p < count else FEED)
            own = tiles.columns[p]
            touch(node.rows.output, node.pixel_bytes, row_bytes, np.arange(first, end), own, ticks)
            for access in reads:
                columns = access.columns
                assert columns is not None
                read, steps = access.last_steps(first, end)
                parts = np.array([columns.read(*part) for part in own.tolist()])
                touch(
                    access.tensor,
                    columns.pixel_bytes,
                    access.row_bytes,
                    read,
                    parts,
                    ticks[steps - first],
                )
    ends = [[tiles.of_node(band, p).ravel() for band in (0, -1)] for p in range(count)]
    costs.add_scratch(line, start, list(map(np.concatenate, ends)))
    for tensor, pieces in held.items():
        ring, node = rings[tensor], nodes[at[tensor]]
        line.touched(pieces, aligned(ring.rows * ring.columns * node.pixel_bytes))
    costs.add_values(line, start, stop, whole)
    return line.peak()


@dataclass(frozen=True, slots=True)
class _Tiles:
    """The ticks of a patch."""

    ticks: int
    begins: tuple[int, ...]
    """Per band, the tick at which its first tile begins."""
    steps: tuple[int, ...]
    programs: tuple[Ints, ...]
    """Per band, whose step each tick of a tile is."""
    columns: Ints
    """[node, strip]: [first, stop)."""

    @staticmethod
    def of(tiling: Tiling) -> "_Tiles":
        program = np.array(tiling.program, np.int64)
        steps = [band.steps for band in tiling.bands]
        edges = np.cumsum([0, *steps])
        parts = tuple(program[a:b] for a, b in pairwise(edges))
        columns = np.array([strip.columns for strip in tiling.strips], np.int64)
        strips = len(tiling.strips)
        return _Tiles(
            int(edges[-1]) * strips,
            tuple((edges[:-1] * strips).tolist()),
            tuple(steps),
            parts,
            columns.transpose(1, 0, 2),
        )

    def of_node(self, band: int, node: int) -> Ints:
        """[step, strip]: the ticks of a node, or of `FEED`, in the tiles of a band."""
        local = np.flatnonzero(self.programs[band] == node)
        strips = np.arange(self.columns.shape[1])
        return self.begins[band] + local[:, None] + strips * self.steps[band]
