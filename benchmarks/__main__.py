"""Builds, verifies and profiles real models, and writes the table `benchmarks/models.md`.

Run it as `make bench`, or `python -m benchmarks [--inputs N] [MODEL ...]`.
Every row is measured on the spot: the firmware runs in QEMU, its outputs are
held against the reference, instructions are counted by the emulator.
"""

import argparse
import sys
import tempfile
import tomllib
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

BOARDS = ("stm32", "qemu-cortex-m7")
"""The first one that a model fits is taken."""

ALSO_ON: dict[str, tuple[str, ...]] = {"mcunetv2_large_224_int8": ("host",)}

HEAD = """\
# Real models, measured

One inference of each model with the schedule that needs the least memory and portable C kernels,
as `make bench` measured it. *io*: the model's own inputs and outputs, or int8 in place of float32.
*SRAM* is the arena (input, output and scratch included) and, after
the plus sign, .data and .bss of the whole firmware with its serial link; the stack is what one
inference touched. *Flash* is code and constants of the whole firmware. Instructions are counted
by QEMU (`-icount`), not cycles. *TFLM* is TensorFlow Lite Micro on a Cortex-M4, figures and
conditions in `peers.toml`: its smallest arena, code plus model, and instructions with CMSIS-NN's
kernels and, in brackets, with its portable ones.

"""


@dataclass(frozen=True, slots=True)
class Row:
    model: str
    io: str
    built: BuildReport
    checked: VerifyReport
    counted: ProfileReport


def measure(model: Path, board: str, io: str, inputs: int, work: Path) -> Row:
    out = work / f"{model.stem}-{board}-{io}"
    built = pipeline.build(model, board, out, io=io)
    checked = pipeline.verify(out, inputs=inputs)
    return Row(model.stem, io, built, checked, pipeline.profile(out))


def measure_all(models: list[Path], inputs: int) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory() as work:
        for model in track(models, "measuring", console=Console(stderr=True)):
            for io in _ios(model):
                boards = (_board_for(model, io), *ALSO_ON.get(model.stem, ()))
                rows += [measure(model, board, io, inputs, Path(work)) for board in boards]
    return rows


def _ios(model: Path) -> tuple[str, ...]:
    found = pipeline.inspect(model)
    floats = any(tensor.dtype == "float32" for tensor in (*found.inputs, *found.outputs))
    return ("model", "int8") if floats else ("model",)


def _board_for(model: Path, io: str) -> str:
    for board in BOARDS[:-1]:
        try:
            pipeline.plan(model, board, io=io)
        except PlanError:
            continue
        return board
    return BOARDS[-1]


def table(rows: list[Row]) -> str:
    peers = tomllib.loads((HERE / "peers.toml").read_text(encoding="utf-8"))
    lines = [
        "| model | board | io | bit-exact, bytes compared | SRAM B | stack B | flash B | count"
        " | TFLM SRAM B | TFLM flash B | TFLM instructions |",
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
        row.io,
        f"{verdict}, {row.checked.bytes_compared:,} ({row.checked.inputs} inputs)",
        f"{built.arena_bytes:,} + {built.sram_bytes - built.arena_bytes:,}",
        f"{counted.stack_bytes_used:,}" if counted.stack_bytes_used else "-",
        f"{built.flash_bytes:,}",
        f"{counted.total:,} {counted.unit}",
        f"{peer['sram_bytes']:,}" if peer else "-",
        f"{peer['flash_bytes']:,}" if peer else "-",
        f"{peer['instructions']:,}{reference}" if peer else "-",
    )
    return f"| {' | '.join(cells)} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path, help="default: all shared models")
    parser.add_argument("--inputs", type=int, default=20, help="inputs to verify with")
    parser.add_argument("--out", type=Path, default=TABLE, help="where the table goes")
    options = parser.parse_args()
    models = options.models or sorted(MODELS.glob("*.tflite"))
    if not models:
        print(f"no models: {MODELS} is not there; name .tflite files", file=sys.stderr)
        return 2
    rows = measure_all(models, options.inputs)
    text = table(rows)
    options.out.write_text(HEAD + text, encoding="utf-8")
    print(text)
    return 0 if all(row.checked.bit_exact for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
