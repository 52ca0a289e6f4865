"""How often each block of a firmware's code runs in one inference, counted in QEMU.

A plugin of the project's own (`runtime_c/plugin/blocks.c`) counts the runs of every block
that the emulator translates. Booting and the serial link run beside the model, so what one
inference adds is the difference between a session with one and a session with two; what the
link itself does in an inference is left out by where its functions come from (`code`).
"""

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyml.emit import Project
from tinyml.errors import BoardError, BuildError
from tinyml.fill import Fill
from tinyml.link import Client
from tinyml.runners import qemu
from tinyml.runners.plugin import compiled
from tinyml.toolchain.build import elf_path


@dataclass(frozen=True, slots=True)
class Block:
    """Instructions that run one after the other."""

    address: int
    instructions: int
    runs: int
    jumps: int
    """How often what ran next was not what lies behind the block."""


def count_blocks(project: Project, inputs: Sequence[bytes | Fill]) -> tuple[Block, ...]:
    """The blocks that run in one inference of a project that is built, and how often."""
    if project.board.emulator is None:
        raise BoardError(
            f"board {project.board.name} has no emulator to count in",
            hint="estimates are for emulated boards; hardware counts its cycles itself",
        )
    with tempfile.TemporaryDirectory() as folder:
        plugin = compiled("blocks", Path(folder))
        once = _session(project, inputs, plugin, 1)
        twice = _session(project, inputs, plugin, 2)
    runs, jumps = (after - before for before, after in zip(once, twice, strict=True))
    return tuple(Block(*key, count, jumps[key]) for key, count in sorted(runs.items()))


_Counts = Counter[tuple[int, int]]


def _session(
    project: Project, inputs: Sequence[bytes | Fill], plugin: Path, inferences: int
) -> tuple[_Counts, _Counts]:
    """Runs and jumps of each block (address, instructions) in a session."""
    out = plugin.with_name(f"blocks-{inferences}.txt")
    argument = f"{plugin},out={out}"
    with qemu.run(project.board, elf_path(project), plugin=argument) as stream:
        client = Client(stream)
        for _ in range(inferences):
            client.infer(inputs)
    runs: _Counts = Counter()
    jumps: _Counts = Counter()
    try:
        text = out.read_text(encoding="ascii")
    except OSError as error:
        raise BuildError(
            f"the emulator's plugin wrote nothing: {error.strerror}",
            hint="QEMU must be built with plugins, as Debian's is",
        ) from error
    for line in text.splitlines():
        address, instructions, run, jump = (int(word, 16) for word in line.split())
        runs[address, instructions] += run
        jumps[address, instructions] += jump
    return runs, jumps
