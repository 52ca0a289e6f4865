"""What a training step costs on a board: instructions of every layer, and memory.

Run it as a part of `make bench`, or `python -m benchmarks.training_steps`. Every firmware learns
in QEMU, where all that it computes is held against the reference, and counts one step; what came
out goes to `training_steps.md`.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks.training import DIGITS, MODELS
from tinyml import pipeline
from tinyml.results import BuildReport
from tinyml.train.program import Precision
from tinyml.train.target.request import TrainRequest
from tinyml.train.target.results import TrainProfileReport, TrainVerifyReport

TABLE = Path(__file__).resolve().parent / "training_steps.md"
BOARD = "qemu-cortex-m4"
PHASES = ("forward", "backward", "update")
RADII = (1, 2)
"""Of the filter."""
FIRST_BY_BIAS = "full,fuse_transform_15:bias,input_1_te_transform:bias"
"""Of the first two of these convolutions of mcunet_vww_80 only the biases."""

HEAD = """\
# Training steps, measured

One training step on one sample, on the emulated Cortex-M4 with its floating-point unit, as
`make bench` measured it: instructions counted by QEMU (`-icount`), not cycles. Plain gradient
descent (momentum 0), cross-entropy. *r* is the filter's radius, 1 is exact. *RAM* is .data, .bss
and arena of the whole firmware, serial link and what learns included, without the stack; *learns*
is the bytes of the parameters that learn, a part of it. *Arena* is what the plan gives a step, of
which the step touched so much. *Backbone* are the instructions of the frozen part, the others those
of what learns and of what lies between. *Bit-exact* says that the samples trained on the target
gave the reference's bytes in the result of every call, in every parameter, every loss, and in an
inference afterwards. (*) Of the first two convolutions only the biases learn.

"""


@dataclass(frozen=True, slots=True)
class Case:
    """A model and what of it learns."""

    model: Path
    layers: int
    what: str
    """What learns, for people."""
    update: str = "full"

    def request(self, precision: Precision, radius: int) -> TrainRequest:
        """What is asked of training."""
        return TrainRequest(
            f"last={self.layers}", str(radius), update=self.update, precision=precision.value
        )


CASES = (
    Case(DIGITS / "digits_int8.tflite", 3, "last 3 layers"),
    Case(
        MODELS / "mcunet_vww_80_int8.tflite",
        5,
        "last 4 convolutions, classifier (*)",
        FIRST_BY_BIAS,
    ),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A step."""

    case: Case
    precision: Precision
    radius: int
    built: BuildReport
    checked: TrainVerifyReport
    counted: TrainProfileReport

    @property
    def title(self) -> str:
        """For people."""
        return (
            f"{self.case.model.stem}, {self.case.what}, {self.precision.value}, r = {self.radius}"
        )


def measure(case: Case, precision: Precision, radius: int, steps: int, work: Path) -> Row:
    """Builds, verifies and profiles."""
    asked = case.request(precision, radius)
    out = work / "firmware"
    built = pipeline.build_learning(case.model, BOARD, asked, out)
    checked = pipeline.verify_learning(out, steps=steps)
    return Row(case, precision, radius, built, checked, pipeline.profile_learning(out))


def table(rows: Sequence[Row]) -> str:
    """A line for each step."""
    head = (
        "| model | learns | precision | r | bit-exact, results compared | learns B | RAM B"
        " | arena B, touched | stack B | backbone | forward | backward | update | all |\n"
        "|---|---|---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
    )
    return head + "\n".join(map(_line, rows)) + "\n\n"


def _line(row: Row) -> str:
    checked, phases = row.checked, row.counted.phases
    cells = (
        row.case.model.stem,
        row.case.what,
        row.precision.value,
        str(row.radius),
        f"{'yes' if checked.bit_exact else '**NO**'}, {checked.buffers_compared:,}",
        f"{checked.parameter_bytes:,}",
        f"{row.built.sram_bytes:,}",
        f"{checked.arena_bytes:,}, {checked.arena_bytes_touched:,}",
        f"{checked.stack_bytes_used:,}",
        *(f"{phases.get(phase, 0):,}" for phase in ("backbone", *PHASES)),
        f"{row.counted.total:,}",
    )
    return f"| {' | '.join(cells)} |"


def layers(row: Row) -> Iterator[str]:
    """A line for each layer of what learns, in the order of the forward pass."""
    counts: Counter[tuple[str, str]] = Counter()
    names: dict[str, None] = {}
    for step in row.counted.steps:
        if step.phase in PHASES:
            counts[step.layer, step.phase] += step.count
            names.setdefault(step.layer)
    for name in names:
        cells = (name, *(f"{counts[name, phase]:,}" for phase in PHASES))
        yield f"| {' | '.join(cells)} |"


def page(rows: Sequence[Row]) -> str:
    """The text of the file."""
    parts = [HEAD, table(rows), "## Layer by layer\n\n"]
    for row in rows:
        head = "| layer | forward | backward | update |\n|---|--:|--:|--:|\n"
        parts.append(f"### {row.title}\n\n{head}" + "\n".join(layers(row)) + "\n\n")
    return "".join(parts).rstrip() + "\n"


def main() -> None:
    """Measures, prints, writes; fails where a bit differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=2, help="samples that are compared")
    options = parser.parse_args()
    asked = [(c, p, r) for c in CASES if c.model.is_file() for p in Precision for r in RADII]
    with tempfile.TemporaryDirectory() as work:
        rows = [
            measure(*one, options.steps, Path(work))
            for one in track(asked, "training", console=Console(stderr=True))
        ]
    text = page(rows)
    TABLE.write_text(text, encoding="utf-8")
    Console(width=200).print(table(rows), highlight=False)
    if not all(row.checked.bit_exact for row in rows):
        raise SystemExit("a training step differs from the reference")


if __name__ == "__main__":
    main()
