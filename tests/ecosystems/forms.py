"""What the tests of Zephyr, ESP-IDF and pico-sdk libraries share: their programs on this computer.

In place of each ecosystem stands a few lines of CMake and C (`standins/`), which answer the calls
that the generated files make; nothing here is linked with the ecosystem itself.
"""

import os
import shutil
from dataclasses import replace
from pathlib import Path

from tests.support.emitted import run_tool
from tinyml.board import load_board
from tinyml.emit import Project
from tinyml.verify import verify_project

STANDINS = Path(__file__).parent / "standins"
CROSS = ("-DCMAKE_SYSTEM_NAME=Generic", "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY")


def cmake(source: Path, build: Path, *arguments: str, **environment: str) -> None:
    """Configures and builds, with these variables besides those of this process."""
    own = {**os.environ, **environment}
    run_tool("cmake", "-S", str(source), "-B", str(build), *arguments, cwd=source, env=own)
    run_tool("cmake", "--build", str(build), "--parallel", "2", cwd=source, env=own)


def runs_bit_exact(project: Project, program: Path) -> bool:
    """Whether the project's program, built for this computer, computes what the reference does."""
    here = replace(project, board=load_board("host"))
    (project.root / "build").mkdir(exist_ok=True)
    shutil.copy(program, project.root / "build" / "firmware")
    report = verify_project(
        here, port=None, count=3, seed=0, samples=None, labels=None, progress=None
    )
    return report.bit_exact and report.bytes_compared > 0
