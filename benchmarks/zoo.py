"""Builds every network of the zoo for an emulated core, verifies it there, and writes `zoo.md`.

    python -m benchmarks.zoo [--board B] [--inputs N] [NAME ...]

Networks that are not in `build/zoo` yet are built first, which takes Keras
(`pip install 'tinyml[tensorflow]'`). Rows of networks that are not named stay as they are.
"""

import argparse
import re
import tempfile
from pathlib import Path

from rich.console import Console

from tinyml import pipeline, zoo
from tinyml.zoo.commands import ZooItem

HERE = Path(__file__).resolve().parent
BUILT = HERE.parent / "build" / "zoo"
TABLE = HERE / "zoo.md"

HEAD = """\
# The zoo on an emulated core

Each network of `tinyml zoo list` at its defaults, with random weights, quantised by
`tinyml convert`, built with `tinyml build`, run in QEMU and held against the reference byte for
byte, as `python -m benchmarks.zoo` measured it. *Operators* are those of the file, *arena* is all
the memory of a network's maps, *flash* code and constants of the whole firmware, in bytes.
Instructions are counted by QEMU (`-icount`); they are not cycles. *Compared*: bytes of outputs,
plus checksums of results of operators.

| network | family | input | operators | MACs | weights | arena | flash | instructions | board \
| compared | |
|---|---|---|---:|---:|---:|---:|---:|---:|---|---:|---|
"""


def row(item: ZooItem, board: str, inputs: int) -> str:
    """A network's line of the table."""
    model = BUILT / f"{item.name}.tflite"
    if not model.is_file():
        BUILT.mkdir(parents=True, exist_ok=True)
        zoo.build(item.name, model, zoo.ZooOptions())
    found = pipeline.inspect(model)
    with tempfile.TemporaryDirectory(prefix="tinyml-") as folder:
        project = Path(folder, item.name)
        built = pipeline.build(model, board, project)
        checked = pipeline.verify(project, inputs=inputs)
        cost = pipeline.profile(project)
    shape = "x".join(str(dim) for dim in found.inputs[0].shape[1:])
    cells = (
        *(item.name, item.family, shape, str(len(found.ops))),
        *(f"{each:,}" for each in (found.macs, found.weight_bytes)),
        *(f"{each:,}" for each in (built.arena_bytes, built.flash_bytes, cost.total)),
        board,
        f"{checked.bytes_compared:,} + {checked.op_outputs_compared:,}",
        "bit-exact" if checked.bit_exact else "DIFFERENT",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="default: all")
    parser.add_argument("--board", default="qemu-cortex-m7")
    parser.add_argument("--inputs", type=int, default=3)
    options = parser.parse_args()
    console, items = Console(width=200), zoo.listed().models
    rows: dict[str, str] = {}
    if TABLE.is_file():
        lines = TABLE.read_text(encoding="utf-8").splitlines()
        rows = {found[1]: line for line in lines if (found := re.match(r"\| ([\w-]+) \|", line))}
    for item in items:
        if not options.names or item.name in options.names:
            rows[item.name] = row(item, options.board, options.inputs)
            console.print(rows[item.name], highlight=False)
            kept = [rows[each.name] for each in items if each.name in rows]
            TABLE.write_text(HEAD + "\n".join(kept) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
