"""What memory costs in time: models planned for one budget of SRAM after the other, and measured.

Run it as `make sweep`, or `python -m benchmarks.sweep [MODEL ...]`; `--help` lists boards,
feeding modes and budgets. For each budget the planner takes the plan with the least work that
fits; every different plan is built, verified byte for byte and counted in QEMU. The table goes
to `benchmarks/sweep.md`.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.__main__ import MODELS, no_models
from tinyml import pipeline
from tinyml.errors import PlanError
from tinyml.options import FEEDS, parse_bytes
from tinyml.results import PlanReport

HERE = Path(__file__).resolve().parent
BUILT = HERE.parent / "build"
"""Where `mobilenet_v2.py` is told to write; models there are measured, too."""
TABLE = HERE / "sweep.md"

BOARDS = ("stm32", "qemu-cortex-m7")
"""For each model and feeding mode, the first of them that has the flash for it."""
BUDGETS = "4K,6K,8K,12K,16K,24K,32K,48K,64K,96K,128K,192K,256K,384K,512K,1M"

HEAD = """\
# SRAM against work

As `make sweep` measured it: for each *budget* of arena bytes (`--sram`) the plan with the fewest
executed multiply-accumulates that fits; budgets that get the same plan share a line, and *no plan*
stands where even the least arena is larger. *MACs* are those that are executed, recomputation
included, and how many times the model's own that is (below 1 where channels turned out to be
constant). *Count* is for one inference; instructions are counted by QEMU and are not cycles. Every
plan was built and its outputs compared with the reference byte for byte. Inputs and outputs are
int8; *feed*: the whole input lies in the arena, comes row by row, or is read in pieces from slower
memory.

"""


@dataclass(frozen=True, slots=True)
class Task:
    """A plan that is to be measured, and the budgets that get it."""

    model: Path
    board: str
    feed: str
    budgets: tuple[int, ...]
    plan: PlanReport


@dataclass(frozen=True, slots=True)
class Row:
    """A measured plan; `bit_exact` says whether all outputs were the reference's."""

    task: Task
    sram_bytes: int
    count: int
    unit: str
    bit_exact: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """Budgets for which there is no plan."""

    model: Path
    board: str
    feed: str
    budgets: tuple[int, ...]
    least: int


def tasks(
    model: Path, boards: Sequence[str], feed: str, budgets: Sequence[int]
) -> Iterator[Task | Refusal]:
    """What there is to measure for one model and feeding mode; nothing where it cannot run so.

    `budgets` ascend. The plan for a budget is the one for every smaller budget that it fits.
    """
    for board in boards:
        try:
            front = pipeline.plan(model, board, feed=feed, io="int8").pareto
        except PlanError:
            continue
        least = min(point.arena_bytes for point in front)
        refused = tuple(budget for budget in budgets if budget < least)
        if refused:
            yield Refusal(model, board, feed, refused, least)
        found: list[Task] = []
        left = [budget for budget in budgets if budget >= least]
        while left:
            plan = pipeline.plan(model, board, feed=feed, io="int8", sram=left[-1])
            got = tuple(budget for budget in left if budget >= plan.arena_bytes)
            found.append(Task(model, board, feed, got, plan))
            left = left[: -len(got)]
        yield from reversed(found)
        return


def measure(task: Task, inputs: int, work: Path) -> Row:
    """Builds, verifies and profiles one plan."""
    out = work / f"{task.model.stem}-{task.board}-{task.feed}-{task.budgets[0]}"
    built = pipeline.build(
        task.model, task.board, out, sram=task.budgets[0], feed=task.feed, io="int8"
    )
    checked = pipeline.verify(out, inputs=inputs)
    counted = pipeline.profile(out)
    assert built.arena_bytes == counted.arena_bytes == task.plan.arena_bytes
    return Row(task, built.sram_bytes, counted.total, counted.unit, checked.bit_exact)


def sweep(
    models: Sequence[Path],
    boards: Sequence[str],
    feeds: Sequence[str],
    budgets: Sequence[int],
    inputs: int,
) -> list[Row | Refusal]:
    """Everything that was asked for, in order, with progress on standard error."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    found: list[Row | Refusal] = []
    with (
        tempfile.TemporaryDirectory() as work,
        Progress(*columns, console=Console(stderr=True)) as bar,
    ):
        planned = bar.add_task("planning", total=len(models) * len(feeds))
        todo: list[Task | Refusal] = []
        for model in models:
            for feed in feeds:
                bar.update(planned, description=f"planning {model.stem}, {feed}")
                todo += tasks(model, boards, feed, budgets)
                bar.advance(planned)
        measured = bar.add_task("measuring", total=len(todo))
        for task in todo:
            bar.update(measured, description=f"measuring {task.model.stem}, {task.feed}")
            found.append(task if isinstance(task, Refusal) else measure(task, inputs, Path(work)))
            bar.advance(measured)
    return found


def table(rows: Sequence[Row | Refusal]) -> str:
    """The rows as a table in Markdown."""
    lines = [
        "| model | board | feed | budget | arena B | all static RAM B | MACs | x | count"
        " | bit-exact | operators |",
        "|---|---|---|---|--:|--:|--:|--:|--:|---|---|",
    ]
    for row in rows:
        where = row if isinstance(row, Refusal) else row.task
        cells = [where.model.stem, where.board, where.feed, _budgets(where.budgets)]
        if isinstance(row, Refusal):
            cells += [f"no plan: {row.least:,} is the least", *["-"] * 6]
        else:
            plan = row.task.plan
            cells += [
                f"{plan.arena_bytes:,}",
                f"{row.sram_bytes:,}",
                f"{plan.macs:,}",
                f"{plan.macs / plan.model_macs:.3f}" if plan.model_macs else "-",
                f"{row.count:,} {row.unit}",
                "yes" if row.bit_exact else "**NO**",
                _operators(plan),
            ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _operators(plan: PlanReport) -> str:
    """How many operators run in which kind of segment."""
    counts: dict[str, int] = {}
    for segment in plan.segments:
        grid = "" if segment.patches is None else " {}x{}".format(*segment.patches)
        kind = segment.kind + grid
        counts[kind] = counts.get(kind, 0) + len(segment.ops)
    return ", ".join(f"{kind}: {count}" for kind, count in counts.items())


def _budgets(budgets: Sequence[int]) -> str:
    first, last = _bytes(budgets[0]), _bytes(budgets[-1])
    return first if first == last else f"{first} to {last}"


def _bytes(count: int) -> str:
    """As the command line takes it: 64K rather than 65,536."""
    for shift, unit in ((20, "M"), (10, "K")):
        if count and count % (1 << shift) == 0:
            return f"{count >> shift}{unit}"
    return str(count)


def main() -> int:
    """Measures and writes; 1 if an output differed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path, help="default: all shared and built models")
    parser.add_argument("--boards", default=",".join(BOARDS), help="the first with the flash")
    parser.add_argument("--feeds", default=",".join(FEEDS))
    parser.add_argument("--budgets", default=BUDGETS, help="arena bytes, such as 16K,64K")
    parser.add_argument("--inputs", type=int, default=2, help="inputs to verify with")
    parser.add_argument("--out", type=Path, default=TABLE, help="where the table goes")
    options = parser.parse_args()
    models = options.models or sorted([*MODELS.glob("*.tflite"), *BUILT.glob("*.tflite")])
    if not models:
        return no_models()
    budgets = sorted(map(parse_bytes, options.budgets.split(",")))
    boards, feeds = options.boards.split(","), options.feeds.split(",")
    rows = sweep(models, boards, feeds, budgets, options.inputs)
    text = table(rows)
    options.out.write_text(HEAD + text, encoding="utf-8")
    print(text)
    return 0 if all(isinstance(row, Refusal) or row.bit_exact for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
