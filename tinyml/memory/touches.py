"""What the steps of a segment touch, and when: rows of maps, parts of rows, scratches."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import Accumulation, KernelCall, RowAccess, RowLoop
from tinyml.memory.touched import Ticks, Touched
from tinyml.memory.values import aligned, read_rows
from tinyml.schedule.schedule import FEED, Ring, Segment, SegmentKind

Span = tuple[int, int]
"""Columns [first, stop)."""


@dataclass(frozen=True, slots=True)
class _Tile:
    """One run of a stream's program, which is all of it, or of that of a band in a patch."""

    steps: tuple[Ticks, ...]
    """Per node, and at last for the input if it comes, the tick of each of its steps."""
    rows: tuple[int, ...]
    """Of each of them, the row of the first step."""
    columns: tuple[Span | None, ...]
    """Of each of them, the columns of its output; None where rows are whole."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Where the rows of a tensor lie: row r begins (r % `slots`) * `pitch` bytes into a buffer."""

    touched: Touched
    height: int
    row_bytes: int
    pixel_bytes: int
    slots: int
    pitch: int
    first: int = 0
    """The column with which a slot begins."""

    def touch(self, rows: Ticks, ticks: Ticks, part: Span | None) -> None:
        """At `ticks[i]`, `part` of row `rows[i]` (None: all of it) is touched, if it exists."""
        there = (rows >= 0) & (rows < self.height)
        at, size = 0, self.row_bytes
        if part is not None:
            at = (part[0] - self.first) * self.pixel_bytes
            size = (part[1] - part[0]) * self.pixel_bytes
        self.touched.touch(rows[there] % self.slots * self.pitch + at, size, ticks[there])


@dataclass(frozen=True, slots=True)
class Run:
    """Notes what every segment touches."""

    graph: Graph
    calls: Mapping[str, KernelCall]
    touched: Mapping[str, Touched]
    """Tensor -> what holds it; aliases have the same."""

    def segment(self, segment: Segment, start: int, scratch: Mapping[str, Touched]) -> None:
        """`segment` runs from tick `start` on; `scratch` holds the scratches of its nodes."""
        node_of = {node.name: node for node in self.graph.nodes}
        nodes = [node_of[name] for name in segment.nodes]
        if segment.kind is SegmentKind.LAYER:
            self._layer(nodes[0], start, scratch.get(nodes[0].name))
            return
        rings = {ring.tensor: ring for ring in segment.rings}
        for tile in _tiles(segment, start):
            firsts = {
                node.outputs[0]: 0 if own is None else own[0]
                for node, own in zip(nodes, tile.columns, strict=False)
            }
            if tile.steps[-1].size:
                self._feed(nodes, tile, rings)
                firsts[self.graph.inputs[0]] = (
                    0 if tile.columns[-1] is None else tile.columns[-1][0]
                )
            for at, node in enumerate(nodes):
                if tile.steps[at].size:
                    self._steps(node, tile, at, rings, firsts)
                    self._use(node, scratch.get(node.name), tile.steps[at])

    def _layer(self, node: Node, start: int, scratch: Touched | None) -> None:
        call = self.calls[node.name]
        loop = call.loop
        if not isinstance(loop, RowLoop) or not call.runs_by_rows:
            for name in (*self.graph.activations(node), *node.outputs):
                self.touched[name].touch_all(start)
            self._use(node, scratch, np.array([start]))
            return
        rows = np.arange(loop.out_height)
        for batch in range(loop.batches):
            ticks = start + batch * loop.out_height + rows
            for name, access in self._operands(node, loop):
                read, when = _rows_read(access, rows, ticks)
                places = batch * access.batch_bytes + read * access.row_bytes
                self.touched[name].touch(places, access.row_bytes, when)
            places = (batch * loop.out_height + rows) * loop.out_row_bytes
            self.touched[node.outputs[0]].touch(places, loop.out_row_bytes, ticks)
            self._use(node, scratch, ticks)

    def _use(self, node: Node, scratch: Touched | None, ticks: Ticks) -> None:
        if scratch is not None:
            size = aligned(self.calls[node.name].scratch_bytes)
            scratch.touch(np.zeros_like(ticks), size, ticks)

    def _operands(self, node: Node, loop: RowLoop) -> Iterator[tuple[str, RowAccess]]:
        accesses = (access for access in loop.inputs if access.constant is None)
        return zip(self.graph.activations(node), accesses, strict=False)

    def _steps(
        self,
        node: Node,
        tile: _Tile,
        at: int,
        rings: Mapping[str, Ring],
        firsts: Mapping[str, int],
    ) -> None:
        """What a node touches in a tile; `firsts` has the column that a ring's slots begin with."""
        ticks, own, loop = tile.steps[at], tile.columns[at], self.calls[node.name].loop
        if isinstance(loop, Accumulation):
            (name,) = self.graph.activations(node)
            source = self._rows(name, loop.in_height, loop.in_row_bytes, 0, rings, firsts)
            source.touch(np.arange(ticks.size), ticks, None)
            if ticks.size >= loop.in_height:
                self.touched[node.outputs[0]].touch_all(int(ticks[loop.in_height - 1]))
            return
        if not isinstance(loop, RowLoop):
            return  # cannot run in steps, which the checker says
        rows = tile.rows[at] + np.arange(ticks.size)
        for name, access in self._operands(node, loop):
            pixel, part = 0, None
            if own is not None and access.columns is not None:
                pixel, part = access.columns.pixel_bytes, access.columns.read(*own)
            source = self._rows(name, access.height, access.row_bytes, pixel, rings, firsts)
            source.touch(*_rows_read(access, rows, ticks), part)
        height, size, pixel = loop.out_height, loop.out_row_bytes, loop.pixel_bytes
        self._rows(node.outputs[0], height, size, pixel, rings, firsts).touch(rows, ticks, own)

    def _feed(self, nodes: Sequence[Node], tile: _Tile, rings: Mapping[str, Ring]) -> None:
        """The rows of the input that come into a tile."""
        (name,) = self.graph.inputs
        reader = next(node for node in nodes if name in node.inputs)
        found = read_rows(self.graph, reader, self.calls[reader.name], name)
        own = tile.columns[-1]
        firsts = {name: 0 if own is None else own[0]}
        rows = self._rows(name, found.count, found.bytes, found.pixel_bytes, rings, firsts)
        rows.touch(tile.rows[-1] + np.arange(tile.steps[-1].size), tile.steps[-1], own)

    def _rows(
        self,
        name: str,
        height: int,
        row_bytes: int,
        pixel_bytes: int,
        rings: Mapping[str, Ring],
        firsts: Mapping[str, int],
    ) -> _Rows:
        touched, ring = self.touched[name], rings.get(name)
        if ring is None:
            return _Rows(touched, height, row_bytes, pixel_bytes, max(height, 1), row_bytes)
        pitch = ring.columns * pixel_bytes or row_bytes
        first = firsts.get(name, 0) if ring.columns else 0
        return _Rows(touched, height, row_bytes, pixel_bytes, ring.rows, pitch, first)


def _rows_read(access: RowAccess, rows: Ticks, ticks: Ticks) -> tuple[Ticks, Ticks]:
    """The rows that output rows `rows`, computed at `ticks`, read, and when."""
    if access.table is not None:  # a program may be wrong, which the checker says
        rows, ticks = rows[rows < len(access.table)], ticks[rows < len(access.table)]
    read = access.rows_read(rows)
    there = (read >= 0) & (read < access.height)
    return read[there], np.broadcast_to(ticks[:, None], read.shape)[there]


def _tiles(segment: Segment, start: int) -> Iterator[_Tile]:
    count = len(segment.nodes)
    if segment.kind is SegmentKind.STREAM:
        steps = _steps_of(segment.program, count, start)
        yield _Tile(steps, (0,) * (count + 1), (None,) * (count + 1))
        return
    for band, program in zip(segment.bands, segment.band_programs, strict=True):
        steps = _steps_of(program, count, start)
        rows = (*band.first_rows, *(0,) * (count + 1 - len(band.first_rows)))
        for strip in segment.strips:
            columns = (*strip.columns, *(None,) * (count + 1 - len(strip.columns)))
            yield _Tile(steps, rows, columns)
            steps = tuple(ticks + band.steps for ticks in steps)
            start += band.steps


def _steps_of(program: Sequence[int], count: int, start: int) -> tuple[Ticks, ...]:
    """Per node, and at last for `FEED`, the ticks of its entries, the first at tick `start`."""
    entries = np.array(program, np.int64)
    return tuple(start + np.flatnonzero(entries == at) for at in (*range(count), FEED))
