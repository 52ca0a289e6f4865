"""The tiles of a patch segment made by hand: a convolution of 8x6 pixels in 2 bands, 3 strips."""

import pytest

from tinyml.ir import ops
from tinyml.ir.graph import DType, Graph, Node, Tensor
from tinyml.memory.plan import MemoryPlan
from tinyml.picture import tiles_chart
from tinyml.picture.tiles import tiled_maps
from tinyml.planning import Plan
from tinyml.schedule.schedule import FEED, Band, Feed, Schedule, Segment, SegmentKind, Strip

ROWS = ((0, 5), (3, 8))
COLUMNS = ((0, 3), (1, 5), (3, 6))


def _plan(feed: Feed) -> Plan:
    tensors = {name: Tensor(name, (1, 8, 6, 2), DType.INT8) for name in ("x", "a", "y")}
    nodes = (Node("n_a", ops.Relu(), ("x",), ("a",)), Node("n_y", ops.Relu(), ("a",), ("y",)))
    graph = Graph("net", tensors, nodes, ("x",), ("y",))
    pulled = feed is Feed.PULL
    fed = [FEED] * 5 if pulled else []
    upper, lower = [*fed, *[0] * 5, *[1] * 4], [*fed, *[0] * 5, *[1] * 4]
    bands = (Band(len(upper), (0, 0, 0)), Band(len(lower), (3, 4, 3)))
    exact = ((0, 2), (2, 4), (4, 6))
    strips = tuple(Strip((halo, part, halo)) for halo, part in zip(COLUMNS, exact, strict=True))
    segment = Segment(SegmentKind.PATCH, ("n_a", "n_y"), (), (*upper, *lower), bands, strips)
    memory = MemoryPlan(0, 0, True, (), {}, (0,), (0, 1))
    return Plan(graph, {}, Schedule((segment,), feed), memory)


@pytest.mark.parametrize("feed", [Feed.WHOLE, Feed.PULL])
def test_maps_have_the_rows_and_columns_of_the_schedule(feed: Feed) -> None:
    plan = _plan(feed)
    maps = tiled_maps(plan, plan.schedule.segments[0])
    assert [each.name for each in maps[-2:]] == ["0 relu", "1 relu"]
    assert maps[-2].rows == ROWS and maps[-2].columns == COLUMNS
    assert maps[-2].times == pytest.approx(10 * 10 / 48)
    assert maps[-1].rows == ((0, 4), (4, 8)) and maps[-1].times == 1
    if feed is Feed.PULL:
        assert maps[0].name == "input" and maps[0].rows == ROWS and maps[0].columns == COLUMNS
    else:
        assert len(maps) == 2


def test_chart_draws_every_band_and_strip() -> None:
    chart = tiles_chart(_plan(Feed.PULL), 0)
    styles = [mark.style for mark in chart.marks]
    assert styles.count("map") == 3 and styles.count("tile") == 3 * (2 + 3)
    titles = {mark.title for mark in chart.marks}
    assert {"0 relu: rows 3 to 7", "input: columns 1 to 4"} <= titles
    assert "8x6, 2.08x" in {words.words for words in chart.texts}
