"""Measures every kernel on every shape of `benchmarks/shapes/`, and writes `benchmarks/kernels.md`.

Run it as part of `make bench`, or `python -m benchmarks.kernels [--board NAME ...]`.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from math import prod
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks.kernel_shapes import Shape, model, read_shapes
from tinyml import pipeline

HERE = Path(__file__).resolve().parent
TABLE = HERE / "kernels.md"
BOARDS = (
    "qemu-cortex-m0-large",
    "qemu-cortex-m3",
    "qemu-cortex-m4",
    "qemu-cortex-m55",
    "qemu-riscv32",
)

HEAD = """\
# Kernels, measured

Instructions of one call of each operator on whole tensors, requantisation, stores and the loop over
rows included, counted by QEMU (`-icount`) as `make bench` measured them; outputs are held against
the reference. *Per MAC* is per multiply-accumulate, for operators without any per output element.
Shapes are in `shapes/*.txt`, which say what the columns mean.

"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One shape on one board."""

    kernel: str
    count: int
    work: int
    """MACs, or output elements where there are none."""

    @property
    def per_unit(self) -> float:
        """Instructions per MAC or element."""
        return self.count / self.work


def measure(shapes: tuple[Shape, ...], board: str, work: Path) -> tuple[Measured, ...]:
    """All shapes on a board; RuntimeError where the target does not compute what it should."""
    path, out = work / "shapes.tflite", work / board
    path.write_bytes(model(shapes))
    plan = pipeline.plan(path, board, schedule="layer")
    pipeline.build(path, board, out, schedule="layer")
    if not pipeline.verify(out, inputs=3).bit_exact:
        raise RuntimeError(f"{board} does not agree with the reference")
    counts = {layer.name: layer.count for layer in pipeline.profile(out).layers}
    elements = {layer.name: sum(map(prod, layer.outputs)) for layer in plan.layers}
    found = {
        layer.name: Measured(layer.kernel, counts[layer.name], layer.macs or elements[layer.name])
        for layer in plan.layers
    }
    return tuple(found[f"shape_{index}"] for index in range(len(shapes)))


def table(shapes: tuple[Shape, ...], found: dict[str, tuple[Measured, ...]]) -> str:
    """A line for each shape, three columns for each board."""
    heads = "".join(f" | {board}: kernel | count | per MAC" for board in found)
    lines = [f"| operator | shape{heads} |", "|---|---" + "|---|--:|--:" * len(found) + "|"]
    for index, shape in enumerate(shapes):
        cells = [
            cell
            for measured in found.values()
            for cell in (
                measured[index].kernel,
                f"{measured[index].count:,}",
                f"{measured[index].per_unit:.2f}",
            )
        ]
        lines.append(f"| {shape.family} | {shape.text} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", action="append", help=f"default: {', '.join(BOARDS)}")
    parser.add_argument("--out", type=Path, default=TABLE, help="where the table goes")
    options = parser.parse_args()
    shapes, found = read_shapes(), {}
    with tempfile.TemporaryDirectory() as work:
        for board in track(options.board or BOARDS, "kernels", console=Console(stderr=True)):
            found[board] = measure(shapes, board, Path(work))
    text = table(shapes, found)
    options.out.write_text(HEAD + text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
