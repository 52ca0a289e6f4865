"""The main job on the digits network: plan, build, boot in QEMU, verify on the whole test set.

    make demo            # installs what is missing and runs this
    python examples/digits/demo.py [BOARD]

Exit status 1 when a single byte differs from the reference.
"""

import sys
from pathlib import Path

import numpy as np
from dataset import load, quantised
from rich.console import Console

from tinyml import pipeline, report
from tinyml.errors import TinymlError

HERE = Path(__file__).resolve().parent
MODEL = HERE / "digits_int8.tflite"
PROJECTS = HERE.parents[1] / "build"


def main(board: str = "stm32") -> int:
    """Everything from the model file to the verdict; returns the exit status."""
    console, errors = Console(), Console(stderr=True)
    try:
        _title(console, "The plan")
        report.layers(console, pipeline.plan(MODEL, board))

        _title(console, "The firmware")
        project = PROJECTS / f"digits-{board}"
        report.build(console, pipeline.build(MODEL, board, project))

        _title(console, "The proof")
        samples, labels = _test_set()
        with report.progress(errors, f"{len(samples)} images on {board}") as progress:
            result = pipeline.verify(project, samples=samples, labels=labels, progress=progress)
        report.verification(console, result)
    except TinymlError as problem:
        report.error(errors, problem)
        return problem.exit_status
    return 0 if result.bit_exact else 1


def _test_set() -> tuple[list[list[np.ndarray]], list[int]]:
    """The held-out images, quantised as the model's input says, and their labels."""
    _, test = load()
    (image,) = pipeline.inspect(MODEL).inputs
    samples = quantised(test.images, image.scale, image.zero_point)
    return [[sample[None]] for sample in samples], test.labels.tolist()


def _title(console: Console, text: str) -> None:
    console.print(f"\n[bold]{text}[/bold]")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
