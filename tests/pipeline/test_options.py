"""Options of a plan: what is known, what goes together, and how they are written."""

from typing import Any

import pytest

from tinyml.errors import PlanError
from tinyml.options import PlanOptions, parse_bytes, parse_patches


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"schedule": "magic"}, "--schedule magic is not known"),
        ({"feed": "drip"}, "--feed drip is not known"),
        ({"io": "float64"}, "--io float64 is not known"),
        ({"optimize": "beauty"}, "--optimize beauty is not known"),
        ({"patches": (2, 2)}, "--schedule auto has no patches"),
        ({"schedule": "stream", "patch_ops": 3}, "--schedule stream has no patches"),
        ({"schedule": "layer", "feed": "rows"}, "needs the whole input"),
        ({"schedule": "layer", "feed": "pull"}, "needs the whole input"),
        ({"schedule": "patch", "feed": "rows"}, "more than once"),
        ({"macs_limit": 0.0}, "--macs-limit 0 allows nothing"),
        ({"macs_limit": float("nan")}, "--macs-limit nan allows nothing"),
    ],
)
def test_refused_with_a_way_out(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(PlanError, match=says) as caught:
        PlanOptions(**arguments)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("feed", "io", "deployed"),
    [
        ("whole", "model", "model"),
        ("whole", "int8", "int8"),
        ("rows", "model", "int8"),
        ("pull", "model", "int8"),
    ],
)
def test_input_in_pieces_is_int8(feed: str, io: str, deployed: str) -> None:
    options = PlanOptions(feed=feed, io=io)
    assert options.deployed_io == deployed == options.to_json()["io"]


@pytest.mark.parametrize(("text", "size"), [("1", 1), ("64K", 65536), ("3k", 3072), ("2M", 2**21)])
def test_bytes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5K", "64KB", "K", "1e6", "64 K"])
def test_no_bytes(text: str) -> None:
    with pytest.raises(PlanError, match="no number of bytes"):
        parse_bytes(text)


def test_patches() -> None:
    assert parse_patches("4x3") == (4, 3)
    for text in ("4", "0x4", "4x", "4x4x4", "4X4", "-1x2"):
        with pytest.raises(PlanError, match="no grid"):
            parse_patches(text)
