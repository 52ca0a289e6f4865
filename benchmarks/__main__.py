"""Builds, verifies and profiles real models, and writes the table `benchmarks/models.md`.

Run it as `make bench`, or `python -m benchmarks [--inputs N] [MODEL ...]`; `make bench-diff`
holds what it measures against the committed figures, `benchmarks/baseline.json`. Every row is
measured on the spot: the firmware runs in QEMU, its outputs are held against the
reference, instructions are counted by the emulator.
"""

import argparse
import json
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from tinyml import pipeline
from tinyml.errors import PlanError
from tinyml.results import BuildReport, ProfileReport, VerifyReport

HERE = Path(__file__).resolve().parent
MODELS = HERE.parents[1] / "shared" / "models"
TABLE = HERE / "models.md"
BASELINE = HERE / "baseline.json"

BOARDS = ("stm32", "qemu-cortex-m7")
"""The first one that a model fits is taken."""

WIDE = "qemu-cortex-m55"
"""Measured, too, where the whole input lies in the arena."""

ALSO_ON: dict[str, tuple[str, ...]] = {"mcunetv2_large_224_int8": ("host",)}

PULL_MACS = {
    "vww_96_int8": 0.56,
    "person_detect": 1.06,
    "mcunet_vww_80_int8": 1.06,
    "mcunet_person_detection_128x160_int8": 1.02,
    "mcunetv2_large_224_int8": 1.10,
}
"""How much work, times the model's own, may go into reading an input in pieces."""

TOLERANCE = 1.02
"""What `make bench-diff` lets a figure grow by."""

HEAD = """\
# Real models, measured

One inference of each model with the schedule that needs the least memory, as `make bench` measured
it. *io*: the model's own inputs and outputs, or int8 in place of float32. *feed*: the whole input
lies in the arena, or it comes row by row (where the model takes rows). *SRAM* is the arena (input,
output and scratch included) and, after the plus sign, .data and .bss of the whole firmware with its
serial link; the stack is what one inference touched. *Flash* is code and constants of the whole
firmware. Instructions are counted by QEMU (`-icount`), not cycles. *TFLM* is TensorFlow Lite Micro
on a Cortex-M4, figures and conditions in `peers.toml`: its smallest arena, code plus model, and
instructions with CMSIS-NN's kernels and, in brackets, with its portable ones.

"""


@dataclass(frozen=True, slots=True)
class Way:
    """How a firmware takes its input: options of `tinyml build`."""

    io: str
    feed: str
    macs_limit: float | None = None
    """Times the model's own; the figure of the goals for an input that is pulled."""


@dataclass(frozen=True, slots=True)
class Row:
    model: str
    way: Way
    built: BuildReport
    checked: VerifyReport
    counted: ProfileReport


def measure(model: Path, board: str, way: Way, inputs: int, work: Path) -> Row | None:
    """A row of the table; None where the model does not fit the board or cannot take `way`."""
    out = work / f"{model.stem}-{board}-{way.io}-{way.feed}"
    try:
        built = pipeline.build(
            model, board, out, io=way.io, feed=way.feed, macs_limit=way.macs_limit
        )
    except PlanError:
        return None
    checked = pipeline.verify(out, inputs=inputs)
    return Row(model.stem, way, built, checked, pipeline.profile(out))


def measure_all(models: list[Path], inputs: int) -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as work:
        for model in track(models, "measuring", console=Console(stderr=True)):
            for way in _ways(model):
                rows += _on_boards(model, way, inputs, Path(work))
    return rows


def _on_boards(model: Path, way: Way, inputs: int, work: Path) -> Iterator[Row]:
    """On the first board that the model fits, and on others where it says so above."""
    measured = (measure(model, board, way, inputs, work) for board in BOARDS)
    first = next((row for row in measured if row is not None), None)
    if first is None:
        if way.feed == "whole":
            raise PlanError(f"'{model.stem}' fits none of {', '.join(BOARDS)}")
        return
    yield first
    others = (*ALSO_ON.get(model.stem, ()), *((WIDE,) if way.feed == "whole" else ()))
    for board in others:
        row = measure(model, board, way, inputs, work)
        if row is not None:
            yield row


def _ways(model: Path) -> list[Way]:
    found = pipeline.inspect(model)
    floats = any(tensor.dtype == "float32" for tensor in (*found.inputs, *found.outputs))
    return [
        Way("model", "whole"),
        *([Way("int8", "whole")] if floats else []),
        Way("int8", "rows"),
        Way("int8", "pull", PULL_MACS.get(model.stem)),
    ]


def table(rows: list[Row]) -> str:
    peers = tomllib.loads((HERE / "peers.toml").read_text(encoding="utf-8"))
    lines = [
        "| model | board | io, feed | bit-exact, bytes compared | SRAM B | stack B | flash B"
        " | count | TFLM SRAM B | TFLM flash B | TFLM instructions |",
        "|---|---|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [_line(row, peers.get(row.model, {})) for row in rows]
    return "\n".join(lines) + "\n"


def _line(row: Row, peer: dict[str, Any]) -> str:
    built, counted = row.built, row.counted
    verdict = "yes" if row.checked.bit_exact else f"**NO**, {row.checked.mismatches:,} differ"
    reference = f" ({peer['reference']:,})" if "reference" in peer else ""
    cells = (
        row.model,
        built.board,
        f"{row.way.io}, {row.way.feed}",
        f"{verdict}, {row.checked.bytes_compared:,} ({row.checked.inputs} inputs)",
        f"{built.arena_bytes:,} + {built.sram_bytes - built.arena_bytes:,}",
        f"{counted.stack_bytes_used:,}" if counted.stack_bytes_used else "-",
        f"{built.flash_bytes:,}",
        f"{counted.total:,} {counted.unit}",
        f"{peer['sram_bytes']:,}" if peer else "-",
        f"{peer['flash_bytes']:,}" if peer else "-",
        f"{peer['instructions']['cortex-m4']:,}{reference}" if peer else "-",
    )
    return f"| {' | '.join(cells)} |"


def figures(row: Row) -> dict[str, int]:
    """What must not grow."""
    counted, built = row.counted, row.built
    found = {"arena": built.arena_bytes, "sram": built.sram_bytes, "flash": built.flash_bytes}
    if counted.unit == "instructions":
        found["instructions"] = counted.total
    return found


def key(row: Row) -> str:
    """What a row is of."""
    return f"{row.model} {row.built.board} {row.way.io} {row.way.feed}"


def worse(rows: list[Row], baseline: dict[str, dict[str, int]]) -> list[str]:
    """A line for every figure that has grown by more than the tolerance."""
    lines = []
    for row in rows:
        before = baseline.get(key(row), {})
        for name, now in figures(row).items():
            if name in before and now > before[name] * TOLERANCE:
                change = now / before[name] - 1
                lines.append(f"{key(row)}: {name} {before[name]:,} -> {now:,} ({change:+.1%})")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path, help="default: all shared models")
    parser.add_argument("--inputs", type=int, default=20, help="inputs to verify with")
    parser.add_argument("--out", type=Path, default=TABLE, help="where the table goes")
    parser.add_argument(
        "--diff", action="store_true", help="write nothing; fail if a figure has grown over 2 %%"
    )
    options = parser.parse_args()
    models = options.models or sorted(MODELS.glob("*.tflite"))
    if not models:
        print(f"no models: {MODELS} is not there; name .tflite files", file=sys.stderr)
        return 2
    rows = measure_all(models, options.inputs)
    text = table(rows)
    exact = all(row.checked.bit_exact for row in rows)
    if options.diff:
        print(text)
        lines = worse(rows, json.loads(BASELINE.read_text(encoding="utf-8")))
        print("\n".join(lines) or "no figure has grown by more than 2 %")
        return 0 if exact and not lines else 1
    if not options.models:
        kept = {key(row): figures(row) for row in rows}
        BASELINE.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    options.out.write_text(HEAD + text, encoding="utf-8")
    print(text)
    return 0 if exact else 1


if __name__ == "__main__":
    sys.exit(main())
