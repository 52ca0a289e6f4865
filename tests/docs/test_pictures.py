"""The pictures in the docs are what the project draws today."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs import draw
from tinyml.picture import chart_svg

MADE = sorted(draw.PICTURES.glob("*.svg"))


def test_pictures_of_the_digits_network_are_up_to_date() -> None:
    drawn = dict(draw.digits_pictures())
    assert drawn
    for name, chart in drawn.items():
        made = (draw.PICTURES / f"{name}.svg").read_text(encoding="utf-8")
        assert made == chart_svg(chart), f"{name}.svg is old: run 'make pictures'"


@pytest.mark.parametrize("path", MADE, ids=lambda path: path.stem)
def test_pictures_are_whole_and_stand_alone(path: Path) -> None:
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    assert root.get("aria-label")
    assert all("href" not in name for element in root.iter() for name in element.attrib)


def test_every_picture_is_shown() -> None:
    page = (draw.HERE / "planning.md").read_text(encoding="utf-8")
    assert MADE and all(f"pictures/{path.name})" in page for path in MADE)
