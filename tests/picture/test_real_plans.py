"""Pictures of plans as they are made, in every kind of schedule."""

from xml.etree import ElementTree

import pytest

from tests.cli.conftest import DIGITS
from tinyml import describe
from tinyml.board import load_board
from tinyml.choose import Choice, choose
from tinyml.options import PlanOptions
from tinyml.picture import plan_picture
from tinyml.picture.tiles import tiled_maps
from tinyml.verify import deployed_graph

WAYS = {
    "layers": PlanOptions(schedule="layer"),
    "streams": PlanOptions(schedule="stream"),
    "rows": PlanOptions(feed="rows"),
    "patches": PlanOptions(schedule="patch", patches=(2, 2), patch_ops=4),
    "pulled": PlanOptions(schedule="patch", patches=(2, 3), patch_ops=3, feed="pull"),
}


def _choice(options: PlanOptions) -> Choice:
    return choose(deployed_graph(DIGITS, options.deployed_io), load_board("stm32"), options)


@pytest.mark.parametrize("way", WAYS)
def test_page_of_a_real_plan(way: str) -> None:
    choice = _choice(WAYS[way])
    graph = deployed_graph(DIGITS, "int8")
    report = describe.plan_report(DIGITS, load_board("stm32"), graph, choice)
    text = plan_picture(choice.taken.plan, report)
    body = text.partition("<body>")[2].partition("</body>")[0]
    root = ElementTree.fromstring(f"<body>{body.replace('&nbsp;', ' ')}</body>")
    shown = "".join(root.itertext())
    assert f"{report.arena_bytes:,} bytes" in shown
    assert f"{report.peak_sram_bytes:,} bytes live" in shown
    assert ("2 bands" in shown) == (way in ("patches", "pulled"))
    rows = [row for row in root.iter("tr") if row.get("class") == "peak"]
    assert len(rows) >= 2, "the plan on the curve, and the fullest segment"


@pytest.mark.parametrize("way", ["patches", "pulled"])
def test_what_tiles_compute_again_is_what_is_executed(way: str) -> None:
    choice = _choice(WAYS[way])
    plan = choice.taken.plan
    nodes = {node.name: node for node in plan.graph.nodes}
    segment = plan.schedule.segments[0]
    maps = tiled_maps(plan, segment)[-len(segment.nodes) :]
    tiled = sum(
        plan.graph.macs(nodes[name]) * each.times
        for name, each in zip(segment.nodes, maps, strict=True)
    )
    rest = sum(plan.graph.macs(node) for name, node in nodes.items() if name not in segment.nodes)
    assert tiled + rest == pytest.approx(choice.taken.macs, abs=len(nodes))
    assert maps[0].times > 1
    for each in maps:
        assert min(first for first, _ in each.rows) == 0 == min(a for a, _ in each.columns)
        assert max(stop for _, stop in each.rows) == each.height
        assert max(stop for _, stop in each.columns) == each.width
