"""Patches at the front of a network: memory against multiply-accumulates.

The maps at the front are the large ones, so the first operators are cut into tiles, and
the rest runs as layers and streams with the least peak (`paths`). Where the tiles end and
how many there are decides how much is computed twice. What each choice executes is known
from its geometry alone; what it needs is first bounded from below: between two tiles all
rings are live, with as many rows and columns as both of them use.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyml.kernels.call import KernelCall
from tinyml.memory.values import aligned
from tinyml.schedule.live import Ints
from tinyml.schedule.patch import (
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
    """Per node, the least peak of what runs from there on; and of nothing."""

    @staticmethod
    def of(paths: Paths, calls: Mapping[str, KernelCall]) -> "Front | None":
        """`calls` are made without flattening; None if there are no patches."""
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
        return Front(paths, tuple(nodes), source, macs, paths.least_peaks())

    def options(self, rows: Sequence[int], columns: Sequence[int]) -> Iterator[Option]:
        """All patches with so many rows and columns of tiles."""
        costs = self.paths.costs
        first = 1 if costs.fed is None else costs.fed_until + 1
        for stop in range(first, len(self.nodes) + 1):
            least = max(self.rest[stop], costs.carried(stop))
            nodes = self._with_source(stop)
            ringed = self._ringed(stop)
            heights = {n: parts for n in rows if (parts := _sizes(row_parts(nodes, n))) is not None}
            widths = {
                n: parts for n in columns if (parts := _sizes(column_parts(nodes, n))) is not None
            }
            own = slice(len(nodes) - stop, None)
            for py, high in heights.items():
                for px, wide in widths.items():
                    if py * px == 1:
                        continue
                    macs = self._macs(stop, high.sum(0)[own], wide.sum(0)[own])
                    held = sum(
                        aligned(int(min(window, high[:, p].min()) * min(wide[[0, -1], p])) * pixel)
                        for p, window, pixel in ringed
                    )
                    held += int(costs.through[0, stop])
                    yield Option(macs, max(least, held), stop, (py, px))

    def peak(self, option: Option) -> int:
        """Bytes that are needed."""
        tiling = self._tiling(option)
        nodes = self.nodes[: option.stop]
        if self.source is not None:
            nodes = (*nodes, self.source)
        own = patch_peak(self.paths.costs, 0, nodes, tiling)
        return max(own, self.rest[option.stop])

    def schedule(self, option: Option) -> Schedule:
        """What runs."""
        costs = self.paths.costs
        names = [node.rows.name for node in self.nodes[: option.stop]]
        patch = self._tiling(option).segment(names)
        rest = self.paths.fewest_in_streams(self.peak(option), option.stop)
        return Schedule((patch, *map(costs.segment, rest)), costs.feed)

    def _tiling(self, option: Option) -> Tiling:
        kept = self.paths.costs.kept(0, option.stop)
        tiling = tile(self.nodes[: option.stop], option.patches, kept=kept, fed=self.source)
        assert tiling is not None
        return tiling

    def _with_source(self, stop: int) -> tuple[TileNode, ...]:
        nodes = self.nodes[:stop]
        return nodes if self.source is None else (self.source, *nodes)

    def _ringed(self, stop: int) -> list[tuple[int, int, int]]:
        """Of `_with_source(stop)`, which have rings; their windows, and bytes of pixels."""
        nodes = self._with_source(stop)
        kept = self.paths.costs.kept(0, stop)
        window: dict[str, int] = {}
        for node in nodes:
            for read in node.rows.inputs:
                window[read.tensor] = max(window.get(read.tensor, 1), read.window)
        return [
            (p, window.get(node.rows.output, 1), node.pixel_bytes)
            for p, node in enumerate(nodes)
            if node.rows.output not in kept
        ]

    def _macs(self, stop: int, rows: Ints, columns: Ints) -> int:
        tiled = sum(
            macs * int(r) * int(c) // (node.rows.height * node.width)
            for macs, node, r, c in zip(self.macs, self.nodes[:stop], rows, columns, strict=False)
        )
        return tiled + sum(self.macs[stop:])


def _sizes(parts: list[list[tuple[int, int]]] | None) -> Ints | None:
    """[part, node]: how many rows or columns."""
    if parts is None:
        return None
    return np.array([[stop - first for first, stop in part] for part in parts], np.int64)
