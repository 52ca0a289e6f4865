"""Tiles of the maps: which rows and columns of each map a tile computes, and its program.

The maps at the end of a patch segment are cut into a grid of tiles of balanced sizes.
Going backwards through the nodes, a tile computes of each map what those of its
consumers need of it, so tiles overlap where windows do, and what they share is computed
more than once. Rows and columns are found apart: a kernel's rows do not depend on its
columns. Tiles that lie beside each other, a band, have the same rows and run the same
program, which is made as that of a stream is (`stream.row_program`), over fewer rows;
tiles below each other, a strip, have the same columns.

Together the tiles compute all of every map: rows or columns between two tiles that no
kernel reads belong to the first of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import ColumnAccess, KernelCall, RowLoop
from tinyml.schedule.schedule import FEED, Band, Ring, Segment, SegmentKind, Strip
from tinyml.schedule.stream import RowInput, RowNode, fits_rows, row_node, row_program

Range = tuple[int, int]
"""Rows or columns [first, stop)."""


@dataclass(frozen=True, slots=True)
class TileNode:
    """A node that computes parts of rows."""

    rows: RowNode
    width: int
    """Columns of its output."""
    pixel_bytes: int
    columns: tuple[ColumnAccess, ...]
    """As `rows.inputs`."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """A patch segment's program, and what each tile computes."""

    rings: tuple[Ring, ...]
    program: tuple[int, ...]
    bands: tuple[Band, ...]
    strips: tuple[Strip, ...]
    rows: tuple[tuple[Range, ...], ...]
    """Per band, the rows that each node computes; as in `Band.first_rows`."""

    def segment(self, nodes: Sequence[str]) -> Segment:
        """The segment of these nodes."""
        return Segment(
            SegmentKind.PATCH, tuple(nodes), self.rings, self.program, self.bands, self.strips
        )


def tile_node(graph: Graph, node: Node, call: KernelCall) -> TileNode | None:
    """`node` as it runs tile by tile, with `call` made without flattening; None if it cannot."""
    rows, loop = row_node(graph, node, call), call.loop
    if rows is None or not isinstance(loop, RowLoop) or not loop.cuts_columns:
        return None
    read = [access for access in loop.inputs if access.constant is None]
    found: dict[str, ColumnAccess] = {}
    for name, access in zip(graph.activations(node), read, strict=True):
        assert access.columns is not None
        if found.setdefault(name, access.columns) != access.columns:
            return None
    return TileNode(rows, loop.span.out_width, loop.pixel_bytes, tuple(found.values()))


def fed_tile(source: RowNode, readers: Sequence[TileNode]) -> TileNode | None:
    """An input that comes (`feed.fed_input`) as these see it; None if they do not agree on it."""
    found = {
        (access.width, access.pixel_bytes)
        for reader in readers
        for rows, access in zip(reader.rows.inputs, reader.columns, strict=True)
        if rows.tensor == source.output
    }
    if len(found) != 1:
        return None
    return TileNode(source, *found.pop(), ())


def patch_segment(
    graph: Graph,
    calls: Mapping[str, KernelCall],
    nodes: Sequence[str],
    patches: tuple[int, int],
    *,
    kept: frozenset[str],
    fed: RowNode | None = None,
) -> Segment | None:
    """`nodes`, in a valid execution order, as one patch segment; None if they cannot be.

    `patches` are the rows and columns of the grid. `calls`, `kept` and `fed` are as for
    `stream.stream_segment`.
    """
    node_of = {node.name: node for node in graph.nodes}
    found = [tile_node(graph, node_of[name], calls[name]) for name in nodes]
    tiles = [node for node in found if node is not None]
    if len(tiles) < len(nodes):
        return None
    source = None
    if fed is not None:
        source = fed_tile(fed, tiles)
        if source is None:
            return None
    tiling = tile(tiles, patches, kept=kept, fed=source)
    return None if tiling is None else tiling.segment(nodes)


def tile(
    nodes: Sequence[TileNode],
    patches: tuple[int, int],
    *,
    kept: frozenset[str],
    fed: TileNode | None = None,
) -> Tiling | None:
    """The tiles of `nodes`, in a valid execution order; None where they cannot be cut so.

    That is where a map is written in other rows or columns than it is read in, or has too
    few, or where a tile would need nothing of one.
    """
    first = 0
    if fed is not None:
        nodes, first = (fed, *nodes), FEED
    if not fits_tiles(nodes):
        return None
    bands, strips = row_parts(nodes, patches[0]), column_parts(nodes, patches[1])
    if bands is None or strips is None:
        return None
    producers = _producers(nodes)
    program: list[int] = []
    held: dict[str, int] = {}
    lengths = []
    for rows in bands:
        part = row_program(_banded(nodes, producers, rows), kept=kept)
        if part is None:
            return None
        program.extend(first + step for step in part.steps)
        lengths.append(len(part.steps))
        for ring in part.rings:
            held[ring.tensor] = max(ring.rows, held.get(ring.tensor, 0))
    rings = tuple(
        Ring(name, count, max(stop - start for start, stop in (s[producers[name]] for s in strips)))
        for name, count in held.items()
    )

    def with_fed_last(ranges: Sequence[Range]) -> tuple[Range, ...]:
        return (*ranges[1:], ranges[0]) if fed is not None else tuple(ranges)

    rows_of = tuple(map(with_fed_last, bands))
    return Tiling(
        rings=rings,
        program=tuple(program),
        bands=tuple(
            Band(steps, tuple(start for start, _ in rows))
            for steps, rows in zip(lengths, rows_of, strict=True)
        ),
        strips=tuple(Strip(with_fed_last(columns)) for columns in strips),
        rows=rows_of,
    )


def row_parts(nodes: Sequence[TileNode], count: int) -> list[list[Range]] | None:
    """Per band of so many, the rows of each node; None where it cannot be.

    An input that comes is the first of `nodes`.
    """
    return _parts(nodes, count, _row_need, [node.rows.height for node in nodes])


def column_parts(nodes: Sequence[TileNode], count: int) -> list[list[Range]] | None:
    """Per strip of so many, the columns of each node; as `row_parts`."""
    return _parts(nodes, count, _column_need, [node.width for node in nodes])


def _producers(nodes: Sequence[TileNode]) -> dict[str, int]:
    return {node.rows.output: i for i, node in enumerate(nodes)}


def fits_tiles(nodes: Sequence[TileNode]) -> bool:
    """Whether every map has the same rows and columns for its producer and its consumers."""
    producers = _producers(nodes)
    return all(
        fits_rows(nodes[producers[read.tensor]].rows, read)
        and (nodes[producers[read.tensor]].width, nodes[producers[read.tensor]].pixel_bytes)
        == (columns.width, columns.pixel_bytes)
        for node in nodes
        for read, columns in zip(node.rows.inputs, node.columns, strict=True)
        if read.tensor in producers
    )


def _row_need(node: TileNode, position: int, part: Range) -> Range:
    return node.rows.inputs[position].reach(*part)


def _column_need(node: TileNode, position: int, part: Range) -> Range:
    return node.columns[position].read(*part)


def _parts(
    nodes: Sequence[TileNode],
    count: int,
    need: Callable[[TileNode, int, Range], Range],
    sizes: Sequence[int],
) -> list[list[Range]] | None:
    """Along one dimension, for each of `count` parts of the last maps, what each node computes."""
    producers = _producers(nodes)
    wanted: list[list[Range | None]] = [[None] * count for _ in nodes]
    found: list[list[Range]] = [[] for _ in nodes]
    for i in range(len(nodes) - 1, -1, -1):
        size = sizes[i]
        needs = wanted[i]
        if all(part is None for part in needs):
            cuts = [size * k // count for k in range(count + 1)]
            parts = list(pairwise(cuts))
        elif any(part is None for part in needs):
            return None
        else:
            parts = _covering([part for part in needs if part is not None], size)
        if any(first >= stop for first, stop in parts):
            return None
        found[i] = parts
        for position, read in enumerate(nodes[i].rows.inputs):
            producer = producers.get(read.tensor)
            if producer is None:
                continue
            for k, part in enumerate(parts):
                wanted[producer][k] = _hull(wanted[producer][k], need(nodes[i], position, part))
    return [[found[i][k] for i in range(len(nodes))] for k in range(count)]


def _hull(one: Range | None, other: Range) -> Range | None:
    """The least range that holds both."""
    if other[0] >= other[1]:
        return one
    return other if one is None else (min(one[0], other[0]), max(one[1], other[1]))


def _covering(parts: Sequence[Range], size: int) -> list[Range]:
    """`parts`, in ascending order, and what lies between, before and after them."""
    begins = [0, *(first for first, _ in parts[1:])]
    stops = [*(max(a[1], b[0]) for a, b in pairwise(parts)), size]
    return list(zip(begins, stops, strict=True))


def _banded(
    nodes: Sequence[TileNode], producers: Mapping[str, int], rows: Sequence[Range]
) -> list[RowNode]:
    """The nodes of a segment as they run in a band, with rows counted from its first ones."""
    found = []
    for node, (first, stop) in zip(nodes, rows, strict=True):
        inputs = tuple(
            _banded_input(read, (first, stop), rows[producers[read.tensor]])
            for read in node.rows.inputs
            if read.tensor in producers
        )
        steps = stop - first
        found.append(replace(node.rows, steps=steps, height=steps, inputs=inputs))
    return found


def _banded_input(read: RowInput, steps: Range, rows: Range) -> RowInput:
    """What a band's steps read of a tensor of which only `rows` are there, counted from these."""
    first, stop = rows
    needed = tuple(max(n - first, 0) for n in read.needed[slice(*steps)])
    held = [stop - first]
    for row in reversed(read.first[slice(*steps)]):
        held.append(min(held[-1], row - first))
    return replace(read, height=stop - first, needed=needed, oldest=tuple(held[::-1]))
