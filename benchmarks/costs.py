"""Fits the costs of kernels (`runtime_c/costs.toml`) to counts of every shape on every core.

Run it after a kernel has changed: `python -m benchmarks.costs`. The coefficients are the
non-negative ones with the least sum of squared relative errors.
"""

import argparse
import sys
import tempfile
import tomllib
from collections import defaultdict
from itertools import product
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from scipy.optimize import nnls

from benchmarks.kernel_shapes import model, read_shapes
from tinyml import pipeline
from tinyml.board import load_board
from tinyml.choose import choose
from tinyml.importers import tflite
from tinyml.kernels.costs import TERMS, Work, work
from tinyml.options import OPTIMIZE, PlanOptions

BOARDS = (
    "qemu-cortex-m0-large",
    "qemu-cortex-m3",
    "qemu-cortex-m4",
    "qemu-cortex-m7",
    "qemu-cortex-m33",
    "qemu-cortex-m55",
    "qemu-riscv32",
    "raspberry-pi-3",
    "raspberry-pi-4",
    "raspberry-pi-5",
    "jetson-nano",
)
_CORES = tuple(load_board(board).core for board in BOARDS)
COSTS = Path(__file__).resolve().parents[1] / "runtime_c" / "costs.toml"

HEAD = """\
# Instructions per kernel and core: what `tinyml plan` predicts with. Made by
# `python -m benchmarks.costs` from counts in QEMU; the terms are those of tinyml/kernels/costs.py.
"""


def measure(board: str, folder: Path) -> dict[str, list[tuple[Work, int]]]:
    """Per kernel, the work of each of its shapes and its count.

    Shapes are run as layers and in streams, and again with the fewest kernels, so that these are
    measured on all shapes that they are used for.
    """
    path, data = folder / "shapes.tflite", model(read_shapes())
    path.write_bytes(data)
    graph = tflite.read(data, "shapes")
    found: dict[str, list[tuple[Work, int]]] = defaultdict(list)
    for schedule, optimize in product(("layer", "stream"), OPTIMIZE):
        out = folder / f"{board}-{schedule}-{optimize}"
        options = PlanOptions(schedule=schedule, optimize=optimize)
        plan = choose(graph, load_board(board), options).taken.plan
        pipeline.build(path, board, out, schedule=schedule, optimize=optimize)
        counts = {layer.name: layer.count for layer in pipeline.profile(out).layers}
        for node in plan.graph.nodes:
            call = plan.calls[node.name]
            done = work(call, plan.graph, node)
            # Where nothing is multiplied, code made for size is other code of the same kernel.
            if call.kernel and (done.macs or optimize == "speed"):
                found[call.kernel].append((done, counts[node.name]))
    return found


def fitted(samples: list[tuple[Work, int]]) -> dict[str, float]:
    """The terms that matter, and what each costs."""
    terms = np.array([done.terms() for done, _ in samples], float)
    counts = np.array([count for _, count in samples], float)
    found, _ = nnls(terms / counts[:, None], np.ones(len(samples)))
    return {name: float(f"{x:.4g}") for name, x in zip(TERMS, found, strict=True) if x > 0}


def _sum(terms: dict[str, float], done: Work) -> float:
    return sum(terms.get(name, 0) * n for name, n in zip(TERMS, done.terms(), strict=True))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--board", action="append", help=f"others keep their figures; default: {', '.join(BOARDS)}"
    )
    options = parser.parse_args()
    costs: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    if options.board:
        costs.update(tomllib.loads(COSTS.read_text(encoding="utf-8")))
    with tempfile.TemporaryDirectory() as folder:
        for board in track(
            options.board or BOARDS, "measuring kernels", console=Console(stderr=True)
        ):
            core = load_board(board).core
            for cores in costs.values():
                cores.pop(core, None)
            for kernel, samples in measure(board, Path(folder)).items():
                costs[kernel][core] = fitted(samples)
                worst = max(abs(_sum(costs[kernel][core], done) / n - 1) for done, n in samples)
                print(f"{kernel:28} {core:12} {len(samples):2} shapes, worst error {worst:.1%}")
    lines = [HEAD]
    for kernel in sorted(name for name, cores in costs.items() if cores):
        lines.append(f"[{kernel}]")
        for core, terms in sorted(costs[kernel].items(), key=lambda item: _CORES.index(item[0])):
            body = ", ".join(f"{name} = {x}" for name, x in terms.items())
            lines.append(f"{core} = {{ {body} }}")
        lines.append("")
    COSTS.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
