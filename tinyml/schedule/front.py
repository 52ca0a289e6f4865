"""Patches at the front of a network: memory against multiply-accumulates.

The maps at the front are the large ones, so the first operators are cut into tiles, and
the rest runs as layers and streams with the least peak (`paths`). Where the tiles end and
how many there are decides how much is computed twice. What each choice executes is known
from its geometry alone; what it needs is first bounded from below: after the first tile
and before the last, all rings are live, with as many rows and columns as both of these
use, and so is what other tiles read of the input and have written of the output.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from tinyml.kernels.call import ColumnAccess, KernelCall
from tinyml.memory.values import aligned
from tinyml.schedule.costs import Costs
from tinyml.schedule.live import Ints
from tinyml.schedule.patch import (
    Range,
    TileNode,
    Tiling,
    column_parts,
    fed_tile,
    fits_tiles,
    row_parts,
    tile,
    tile_node,
)
from tinyml.schedule.patch_costs import patch_peak
from tinyml.schedule.paths import Paths
from tinyml.schedule.schedule import Schedule
from tinyml.schedule.stream import RowInput


@dataclass(frozen=True, slots=True, order=True)
class Option:
    """The first `stop` nodes in `patches` rows and columns of tiles, then what needs least."""

    macs: int
    """Of the whole network."""
    bound: int
    """Bytes that are needed at least."""
    stop: int
    patches: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Front:
    """The patches that the front of an order of the nodes can be cut into."""

    paths: Paths
    nodes: tuple[TileNode, ...]
    """From the first on, as many as can be in tiles."""
    source: TileNode | None
    """The input, if it comes in pieces."""
    macs: tuple[int, ...]
    """Per node of the graph."""
    rest: tuple[int, ...]
    """Per node, the least peak of what runs from there on, if below what is of use; of nothing."""
    tried: list[Option] = field(default_factory=list)
    peaks: dict[Option, int] = field(default_factory=dict)
    """Of options that have been worked out."""
    floors: dict[int, int] = field(default_factory=dict)
    """Per `stop`, what `finest` has found."""

    @staticmethod
    def of(
        paths: Paths, calls: Mapping[str, KernelCall], limit: int | None = None
    ) -> "Front | None":
        """`calls` are made without flattening; None if there are no patches.

        Of what needs `limit` or more, no more than that is known.
        """
        costs = paths.costs
        nodes: list[TileNode] = []
        for node in costs.graph.nodes:
            found = tile_node(costs.graph, node, calls[node.name])
            if found is None or not fits_tiles([*nodes, found]):
                break
            nodes.append(found)
        source = None if costs.fed is None else fed_tile(costs.fed, nodes)
        if not nodes or (costs.fed is not None and source is None):
            return None
        macs = tuple(costs.graph.macs(node) for node in costs.graph.nodes)
        return Front(paths, tuple(nodes), source, macs, paths.least_peaks(limit))

    def options(self, rows: Sequence[int], columns: Sequence[int]) -> list[Option]:
        """All patches with so many rows and columns of tiles."""
        costs = self.paths.costs
        first = 1 if costs.fed is None else costs.fed_until + 1
        for stop in range(first, len(self.nodes) + 1):
            least = max(self.rest[stop], costs.carried(stop))
            nodes = self._with_source(stop)
            between = _Between.of(costs, nodes, stop)
            heights = {n: parts for n in rows if (parts := row_parts(nodes, n)) is not None}
            widths = {n: parts for n in columns if (parts := column_parts(nodes, n)) is not None}
            high = {n: _sizes(parts) for n, parts in heights.items()}
            wide = {n: _sizes(parts) for n, parts in widths.items()}
            for py, px in product(heights, widths):
                if py * px == 1:
                    continue
                macs = self._macs(stop, high[py].sum(0)[-stop:], wide[px].sum(0)[-stop:])
                held = between.bytes(heights[py], widths[px]) + int(costs.through[0, stop])
                self.tried.append(Option(macs, max(least, held), stop, (py, px)))
        return self.tried

    def finest(self, stop: int) -> int:
        """Bytes that the finest of the `options` for `stop` need.

        The finer the tiles, the less is needed, but for what overlaps: so where these do not
        gain, coarser ones are not worth a try.
        """
        if stop not in self.floors:
            tried = [option for option in self.tried if option.stop == stop]
            widest = [o for o in tried if o.patches[1] == max(o.patches[1] for o in tried)]
            ends = min(widest, key=_patches), max(widest, key=_patches)
            self.floors[stop] = min(map(self.peak, ends))
        return self.floors[stop]

    def peak(self, option: Option) -> int:
        """Bytes that are needed."""
        if option not in self.peaks:
            self.peaks[option] = self._peak(option)
        return self.peaks[option]

    def _peak(self, option: Option) -> int:
        tiling = self._tiling(option)
        nodes = self.nodes[: option.stop]
        if self.source is not None:
            nodes = (*nodes, self.source)
        own = patch_peak(self.paths.costs, 0, nodes, tiling)
        return max(own, self.rest[option.stop])

    def schedule(self, option: Option, limit: int) -> Schedule:
        """What runs, with a peak of at most `limit`, which the option must allow."""
        costs = self.paths.costs
        names = [node.rows.name for node in self.nodes[: option.stop]]
        patch = self._tiling(option).segment(names)
        rest = self.paths.fewest_in_streams(limit, option.stop)
        return Schedule((patch, *map(costs.segment, rest)), costs.feed)

    def _tiling(self, option: Option) -> Tiling:
        kept = self.paths.costs.kept(0, option.stop)
        tiling = tile(self.nodes[: option.stop], option.patches, kept=kept, fed=self.source)
        assert tiling is not None
        return tiling

    def _with_source(self, stop: int) -> tuple[TileNode, ...]:
        nodes = self.nodes[:stop]
        return nodes if self.source is None else (self.source, *nodes)

    def _macs(self, stop: int, rows: Ints, columns: Ints) -> int:
        tiled = sum(
            macs * int(r) * int(c) // (node.rows.height * node.width)
            for macs, node, r, c in zip(self.macs, self.nodes[:stop], rows, columns, strict=False)
        )
        return tiled + sum(self.macs[stop:])


@dataclass(frozen=True, slots=True)
class _Between:
    """What is live between the first tile and the second, at least; nodes by position."""

    rings: tuple[tuple[int, int, int], ...]
    """Of nodes with rings: position, rows of the widest window, bytes of a pixel."""
    inputs: tuple[tuple[int, int, RowInput, ColumnAccess], ...]
    """Of reads of an input that lies whole but for the tiles: position, rows, how it is read."""

    @staticmethod
    def of(costs: Costs, nodes: Sequence[TileNode], stop: int) -> "_Between":
        kept = costs.kept(0, stop)
        ends = {
            value.tensors[0]
            for value, last in zip(costs.values, costs.last_use, strict=True)
            if value.writer is None and last < stop and costs.fed is None
        }
        reads = [
            (p, read, columns)
            for p, node in enumerate(nodes)
            for read, columns in zip(node.rows.inputs, node.columns, strict=True)
        ]
        read_rows = {
            (p, touch.access.tensor): len(touch.rows.begins)
            for p, work in enumerate(costs.streams[:stop] if ends else ())
            for touch in (() if work is None else work.reads)
        }
        window: dict[str, int] = {}
        for _, read, _ in reads:
            window[read.tensor] = max(window.get(read.tensor, 1), read.window)
        return _Between(
            rings=tuple(
                (p, window.get(node.rows.output, 1), node.pixel_bytes)
                for p, node in enumerate(nodes)
                if node.rows.output not in kept
            ),
            inputs=tuple(
                (p, read_rows[p, read.tensor], read, columns)
                for p, read, columns in reads
                # All columns of a row are read, as far as windows go, if these leave no gaps.
                if read.tensor in ends and columns.stride <= columns.count and columns.dilation == 1
            ),
        )

    def bytes(self, heights: Sequence[Sequence[Range]], widths: Sequence[Sequence[Range]]) -> int:
        """For tiles of these rows and columns, per part and node."""
        held = 0
        for p, rows, pixel in self.rings:
            high = min(rows, *(stop - first for first, stop in (part[p] for part in heights)))
            wide = min(stop - first for first, stop in (widths[0][p], widths[-1][p]))
            held += aligned(high * wide * pixel)
        left = 0
        for p, rows, read, columns in self.inputs:
            top, bottom = read.reach(*heights[0][p])
            begin, end = columns.read(*widths[0][p])
            _, stop = columns.read(*widths[-1][p])
            left = max(left, (rows * stop - (bottom - top) * (end - begin)) * columns.pixel_bytes)
        return held + left if len(self.inputs) < 2 else held


def _patches(option: Option) -> tuple[int, int]:
    return option.patches


def _sizes(parts: list[list[tuple[int, int]]]) -> Ints:
    """[part, node]: how many rows or columns."""
    return np.array([[stop - first for first, stop in part] for part in parts], np.int64)
