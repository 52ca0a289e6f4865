"""Measures every model on every emulated core, and writes `benchmarks/cores.md`.

Run it as part of `make bench`, or `python -m benchmarks.cores [--board NAME ...] [MODEL ...]`.
"""

import argparse
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from benchmarks.__main__ import HERE, MODELS
from tinyml import pipeline
from tinyml.board import load_board
from tinyml.cycles.cores import MODELS as CYCLE_MODELS
from tinyml.errors import PlanError
from tinyml.results import BuildReport, ProfileReport, VerifyReport

TABLE = HERE / "cores.md"
BOARDS = (
    "stm32",
    "qemu-cortex-m7",
    "qemu-cortex-m33",
    "qemu-cortex-m55",
    "qemu-cortex-m0-large",
    "qemu-cortex-m3",
    "qemu-riscv32",
    "raspberry-pi-4",
    "raspberry-pi-5",
)

HEAD = """\
# Every core, measured

One inference, the whole input in RAM as int8, with the schedule that needs the least memory, as
`make bench` measured it; models are left out where they do not fit. *Per MAC* is instructions per
multiply-accumulate that is executed. *Predicted* is what `tinyml plan` says before anything is
built, and by how much it is off. *Code* is that of the whole firmware, start-up and serial link
included; on Linux boards it has the C library in it. *TFLM* is TensorFlow Lite Micro with CMSIS-NN:
its instructions, and the code of its smallest build.

"""

CYCLES = """
## Cycles, estimated

Blocks of code are counted exactly in QEMU, and a model of the core (`tinyml/cycles/cores.py`) says
what each takes if memory never makes it wait. *Record*: the best closed submission to MLPerf Tiny.

"""

CHECK = """
## The estimate, held against published cycles

The cycles per instruction that the model of the Cortex-M4 finds in this project's code for a
network, times the instructions that TensorFlow Lite Micro with CMSIS-NN takes for it (counted in
QEMU), beside what the reference submission to MLPerf Tiny v0.5 took on hardware (`peers.toml`
names the sources). That one runs from flash with wait states, and its kernels are of 2021; nobody
has counted their instructions, so the error is that of all of this together.

"""


@dataclass(frozen=True, slots=True)
class Row:
    """One model on one core."""

    model: str
    core: str
    predicted: int | None
    built: BuildReport
    checked: VerifyReport
    counted: ProfileReport


def measure(model: Path, board: str, inputs: int, work: Path) -> Row | None:
    """A row; None where the model does not fit."""
    core = load_board(board).core
    out = work / f"{model.stem}-{board}"
    try:
        planned = pipeline.plan(model, board, io="int8")
        built = pipeline.build(model, board, out, io="int8")
    except PlanError:
        return None
    checked = pipeline.verify(out, inputs=inputs)
    counted = pipeline.profile(out, cycles=core in CYCLE_MODELS)
    return Row(
        model.stem,
        core,
        _sum([layer.instructions for layer in planned.layers]),
        built,
        checked,
        counted,
    )


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def table(rows: list[Row], peers: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        "| model | core | bit-exact | instructions | per MAC | predicted | SRAM B | code B"
        " | constants B | TFLM | TFLM code B |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        total = row.counted.total
        macs = sum(layer.macs for layer in row.counted.layers)
        guess = row.predicted
        peer = peers.get(row.model, {})
        tflm = peer.get("instructions", {}).get(row.core)
        smallest = peer.get("code_bytes", {}).get(row.core)
        cells = (
            row.model,
            row.core,
            "yes" if row.checked.bit_exact else f"**NO**, {row.checked.mismatches:,} differ",
            f"{total:,}",
            f"{total / macs:.2f}" if macs else "-",
            f"{guess:,} ({guess / total - 1:+.1%})" if guess else "-",
            f"{row.built.sram_bytes:,}",
            f"{row.built.code_bytes:,}",
            f"{row.built.const_bytes:,}",
            f"{tflm:,}" if tflm else "-",
            f"{smallest:,}" if smallest else "-",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cycles(rows: list[Row], peers: dict[str, Any]) -> str:
    """Markdown: the cores that have a model."""
    lines = ["| model | core | cycles | per instruction | record |", "|---|---|--:|--:|--:|"]
    for row in rows:
        found = row.counted.estimated_cycles
        if found is None:
            continue
        record = peers.get(row.model, {}).get("record_cycles", {}).get(row.core)
        lines.append(
            f"| {row.model} | {row.core} | {found:,} | {found / row.counted.total:.2f} "
            f"| {f'{record:,}' if record else '-'} |"
        )
    return "\n".join(lines) + "\n"


def check(rows: list[Row], peers: dict[str, Any]) -> str:
    """Markdown: what the model makes of the counts of TensorFlow Lite Micro."""
    lines = [
        "| model | TFLM instructions | estimated cycles | published cycles | error |",
        "|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        published = peers.get(row.model, {}).get("reference_cycles")
        found = row.counted.estimated_cycles
        if row.core != "cortex-m4" or found is None or published is None:
            continue
        instructions = peers[row.model]["instructions"][row.core]
        guess = round(instructions * found / row.counted.total)
        error = f"{guess / published - 1:+.0%}"
        lines.append(f"| {row.model} | {instructions:,} | {guess:,} | {published:,} | {error} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path, help="default: all shared models")
    parser.add_argument("--board", action="append", help=f"default: {', '.join(BOARDS)}")
    parser.add_argument("--inputs", type=int, default=2, help="inputs to verify with")
    parser.add_argument("--out", type=Path, default=TABLE, help="where the tables go")
    options = parser.parse_args()
    models = options.models or sorted(MODELS.glob("*.tflite"))
    if not models:
        print(f"no models: {MODELS} is not there; name .tflite files", file=sys.stderr)
        return 2
    rows = []
    with tempfile.TemporaryDirectory() as work:
        pairs = [(model, board) for model in models for board in options.board or BOARDS]
        for model, board in track(pairs, "measuring", console=Console(stderr=True)):
            row = measure(model, board, options.inputs, Path(work))
            rows += [row] if row else []
    peers = tomllib.loads((HERE / "peers.toml").read_text(encoding="utf-8"))
    text = table(rows, peers) + CYCLES + cycles(rows, peers) + CHECK + check(rows, peers)
    options.out.write_text(HEAD + text, encoding="utf-8")
    print(text)
    return 0 if all(row.checked.bit_exact for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
