"""Holds the planner against published figures and writes the table into `docs/planning.md`.

Run it as `make planners`. The figures of others are in `planners.toml`, with where they are
from; ours are planned on the spot. Models that are not there are refused: the table is written
as a whole or not at all.
"""

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from tinyml import pipeline
from tinyml.errors import PlanError
from tinyml.results import ParetoPoint

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAGE = ROOT / "docs" / "planning.md"
BEGIN = "<!-- written by `make planners` -->\n"
END = "<!-- to here -->\n"
BOARD = "qemu-cortex-m7"

FEEDS = {
    "pull": "image read in pieces",
    "rows": "image comes row by row",
    "whole": "image counted",
}


def lines(network: dict[str, Any]) -> Iterator[str]:
    """The rows of one network: what others have published, then ours."""
    name = network["name"]
    for peer in network["peer"]:
        macs = f"{peer['macs']:.2f}" if "macs" in peer else "-"
        image = peer.get("image", "not counted")
        yield _line(name, f"{peer['name']} {peer['source']}", image, peer["ram_bytes"], macs)
    for feed, words in FEEDS.items():
        try:
            report = pipeline.plan(ROOT / network["model"], BOARD, feed=feed, io="int8")
        except PlanError:
            continue
        shown: set[ParetoPoint] = set()
        for limit in network["limits"] if feed == "pull" else (1.0,):
            point = best(report.pareto, limit * report.model_macs)
            if point is not None and point not in shown:
                shown.add(point)
                macs = f"{point.macs / report.model_macs:.3f}"
                yield _line(name, "**tinyml**", words, point.arena_bytes, macs)


def best(front: tuple[ParetoPoint, ...], macs: float) -> ParetoPoint | None:
    """The least memory within so many multiply-accumulates."""
    within = [point for point in front if point.macs <= macs]
    return min(within, key=lambda point: point.arena_bytes, default=None)


def _line(network: str, who: str, image: str, ram_bytes: int, macs: str) -> str:
    return f"| {network} | {who} | {image} | {ram_bytes:,} | {macs} |"


def inserted(page: str, table: str) -> str:
    """`page` with `table` between its marks; ValueError where it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no '{BEGIN.strip()}' ... '{END.strip()}'")
    return f"{before}{begin}{table}{end}{after}"


def main() -> int:
    """Plans and writes; 2 if a model is missing."""
    networks = tomllib.loads((HERE / "planners.toml").read_text(encoding="utf-8"))["network"]
    missing = [network["model"] for network in networks if not (ROOT / network["model"]).exists()]
    if missing:
        print(f"not there: {', '.join(missing)} (see benchmarks/README.md)", file=sys.stderr)
        return 2
    rows = ["| network | planner | image | RAM B | MACs |", "|---|---|---|--:|--:|"]
    for network in track(networks, "planning", console=Console(stderr=True)):
        rows += lines(network)
    table = "\n".join(rows) + "\n"
    PAGE.write_text(inserted(PAGE.read_text(encoding="utf-8"), table), encoding="utf-8")
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
