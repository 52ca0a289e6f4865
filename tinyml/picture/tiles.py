"""The tiles of a patch segment on each of its maps, and what is computed more than once."""

from collections.abc import Sequence
from dataclasses import dataclass

from tinyml.emit.tiles import tiles
from tinyml.picture.chart import Chart, Mark, Text, box, text
from tinyml.planning import Plan
from tinyml.schedule.schedule import FEED, Segment

WIDTH = 1000
COLUMNS = 6
"""Maps beside each other."""
CELL = WIDTH / COLUMNS
SIDE = CELL - 28
"""Pixels for the longer side of a map."""
CAPTION = 34


@dataclass(frozen=True, slots=True)
class TiledMap:
    """A map, and the parts of it that tiles compute or read: half-open [first, stop)."""

    name: str
    height: int
    width: int
    rows: tuple[tuple[int, int], ...]
    """Per band."""
    columns: tuple[tuple[int, int], ...]
    """Per strip."""

    @property
    def times(self) -> float:
        """How often a pixel of the map is computed, on average over the map."""
        rows = sum(stop - first for first, stop in self.rows)
        columns = sum(stop - first for first, stop in self.columns)
        return rows * columns / (self.height * self.width)


def tiled_maps(plan: Plan, segment: Segment) -> list[TiledMap]:
    """The maps of a patch segment, in order; first an input that is read in pieces."""
    tiled = tiles(segment)
    nodes = {node.name: (index, node) for index, node in enumerate(plan.graph.nodes)}
    found = []
    places = [*range(len(segment.nodes))]
    if FEED in segment.program:
        places.insert(0, FEED)
    for place in places:
        if place == FEED:
            name, tensor = "input", plan.graph.tensors[plan.graph.inputs[0]]
        else:
            index, node = nodes[segment.nodes[place]]
            name, tensor = f"{index} {node.op.kind.lower()}", plan.graph.tensors[node.outputs[0]]
        height, width = (1, 1, 1, *tensor.shape)[-3:-1]
        rows = tuple(band[place] for band in tiled.rows)
        columns = tuple(strip[place] for strip in tiled.columns)
        found.append(TiledMap(name, height, width, rows, columns))
    return found


def tiles_chart(plan: Plan, index: int) -> Chart:
    """The maps of the patch segment `index`; what bands or strips share is darker."""
    segment = plan.schedule.segments[index]
    maps = tiled_maps(plan, segment)
    marks: list[Mark] = []
    texts: list[Text] = []
    top = 0.0
    for first in range(0, len(maps), COLUMNS):
        line = maps[first : first + COLUMNS]
        heights = []
        for column, each in enumerate(line):
            scale = SIDE / max(each.height, each.width)
            left = column * CELL + 8
            heights.append(each.height * scale)
            marks += _map(each, left, top + CAPTION, scale)
            texts.append(text("caption-left", left, top + 14, each.name))
            size = f"{each.height}x{each.width}, {each.times:.2f}x"
            texts.append(text("caption-left", left, top + 27, size))
        top += CAPTION + max(heights) + 8
    title = (
        f"Segment {index} of {plan.graph.name}: {_count(segment.bands, 'band')} and "
        f"{_count(segment.strips, 'strip')} on each map, and how often its pixels are computed"
    )
    return Chart(title, WIDTH, round(top), tuple(marks), tuple(texts))


def _map(each: TiledMap, left: float, top: float, scale: float) -> list[Mark]:
    """A map with its bands and strips laid over it."""
    right, bottom = left + each.width * scale, top + each.height * scale
    marks = [Mark("map", box(left, top, right, bottom))]
    for first, stop in _parts(each.rows):
        path = box(left, top + first * scale, right, top + stop * scale)
        marks.append(Mark("tile", path, f"{each.name}: rows {first} to {stop - 1}"))
    for first, stop in _parts(each.columns):
        path = box(left + first * scale, top, left + stop * scale, bottom)
        marks.append(Mark("tile", path, f"{each.name}: columns {first} to {stop - 1}"))
    return marks


def _count(parts: Sequence[object], what: str) -> str:
    return f"1 {what}" if len(parts) == 1 else f"{len(parts)} {what}s"


def _parts(parts: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Nothing for a map that is not cut in this direction."""
    return parts if len(parts) > 1 else ()
