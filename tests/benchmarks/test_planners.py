"""The table of published figures: it is whole, and lands between its marks."""

import tomllib

import pytest

from benchmarks import planners
from tinyml.results import ParetoPoint

PAGE = planners.PAGE.read_text(encoding="utf-8")


def test_table_replaces_what_is_between_the_marks() -> None:
    page = f"before\n{planners.BEGIN}old\n{planners.END}after\n"
    assert planners.inserted(page, "new\n") == page.replace("old", "new")
    with pytest.raises(ValueError, match="make planners"):
        planners.inserted("no marks", "new\n")


def test_least_memory_within_a_limit_of_work() -> None:
    front = tuple(
        ParetoPoint(size, size, macs, "") for size, macs in ((90, 10), (50, 12), (40, 20))
    )
    assert [planners.best(front, macs) for macs in (9, 10, 19.9, 20)] == [None, *front]


def test_page_holds_every_published_figure_with_its_source() -> None:
    text = (planners.HERE / "planners.toml").read_text(encoding="utf-8")
    sources = PAGE.partition("Sources:")[2]
    for network in tomllib.loads(text)["network"]:
        for peer in network["peer"]:
            row = [line for line in PAGE.splitlines() if network["name"] in line]
            row = [line for line in row if f"{peer['name']} {peer['source']}" in line]
            assert any(f" {peer['ram_bytes']:,} " in line for line in row), peer
            assert f"\n{peer['source'].strip('[]')}. " in sources
