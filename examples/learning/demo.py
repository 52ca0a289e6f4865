"""A deployed network meets images that it never saw, and learns them on the emulated board.

    python examples/learning/demo.py            # --help lists what can be changed

The digits network (examples/digits) is built so that its last layers go on learning, booted in
QEMU, and shown digits with three tenths of the light. Accuracy is measured on the board, before,
in between and after. In the end every parameter on the board is compared with those of the host
reference, which trained on the same images: exit status 1 when a single byte differs.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from plot import Curve, picture
from rich.console import Console
from rich.table import Table

from tinyml import pipeline, report
from tinyml.emit import open_project
from tinyml.errors import TinymlError
from tinyml.link import Client, Lesson, Progress
from tinyml.train import reference
from tinyml.train.target.request import TrainRequest
from tinyml.train.target.verify import Learner, learner
from tinyml.verify import connected

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "digits"))
import dataset  # noqa: E402 - of the other example

MODEL = HERE.parent / "digits" / "digits_int8.tflite"
PROJECTS = HERE.parents[1] / "build"
SEED = 7

Images = npt.NDArray[np.int8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Task:
    """Images of one kind, to learn from and for the test."""

    training: Images
    training_labels: Labels
    test: Images
    test_labels: Labels

    def samples(self, count: int) -> Iterator[tuple[Images, int]]:
        """Images [1, 8, 8, 1] to learn from, and labels, in an order that is always the same."""
        rng = np.random.default_rng(SEED)
        rounds = -(-count // len(self.training))
        order = np.concatenate([rng.permutation(len(self.training)) for _ in range(rounds)])
        for at in order[:count]:
            yield self.training[at][None], int(self.training_labels[at])


@dataclass(frozen=True, slots=True)
class Run:
    """What the board came to."""

    accuracies: Sequence[tuple[int, float]]
    """After so many updates, in per cent."""
    losses: Sequence[float]
    """Of every update: the mean of its batch."""
    parameters: bytes


def main() -> int:
    """Everything from the model file to the verdict; returns the exit status."""
    options = _arguments()
    console, errors = Console(), Console(stderr=True)
    try:
        return _demo(options, console, errors)
    except TinymlError as problem:
        report.error(errors, problem)
        return problem.exit_status


def _demo(options: argparse.Namespace, console: Console, errors: Console) -> int:
    request = TrainRequest(
        f"last={options.last}", options.filter, optimizer="momentum", batch=options.batch
    )
    folder = PROJECTS / f"learning-{options.board}"
    report.build(console, pipeline.build_learning(MODEL, options.board, request, folder))
    known, task = learner(open_project(folder)), _task(options.shift, options.test)
    words = dataset.SHIFTS[options.shift][0]
    with report.progress(errors, f"{options.updates} updates on {options.board}") as progress:
        run = _on_board(known, task, options, progress)
    (_, before), (_, after) = run.accuracies[0], run.accuracies[-1]

    table = Table("digits with " + words, "before", "after")
    loss = (f"{np.mean(part):.2f}" for part in (run.losses[:10], run.losses[-10:]))
    table.add_row(f"accuracy on {len(task.test)} test images", f"{before:.1f}%", f"{after:.1f}%")
    table.add_row("loss, mean of ten updates", *loss)
    console.print(table)

    options.plot.parent.mkdir(parents=True, exist_ok=True)
    options.plot.write_text(_picture(run, words, options), encoding="utf-8")
    console.print(f"plot       {options.plot}", highlight=False)

    expected = _on_host(known, task, options)
    same = expected == run.parameters
    verdict = f"all {len(expected):,} bytes as on the host" if same else "NOT those of the host"
    console.print(f"parameters {verdict}", highlight=False)
    return 0 if same else 1


def _on_board(known: Learner, task: Task, options: argparse.Namespace, progress: Progress) -> Run:
    samples = options.updates * options.batch
    losses: list[float] = []
    with connected(known.project, options.port) as client:
        known.reset(client)
        accuracies = [(0, _accuracy(client, task))]
        for number, (image, label) in enumerate(task.samples(samples)):
            target = np.array([label], np.int32).tobytes()
            lesson = Lesson(target, _rate(number, samples, options.rate), SEED, number)
            losses.append(client.invoke([image.tobytes()], lesson=lesson).loss)
            updates, left = divmod(number + 1, options.batch)
            if not left:
                progress(updates, options.updates)
                if updates % options.every == 0 or updates == options.updates:
                    accuracies.append((updates, _accuracy(client, task)))
        parameters, _ = client.read_parameters(state=True)
        known.reset(client)
    means = np.reshape(losses, (-1, options.batch)).mean(axis=1)
    return Run(accuracies, means.tolist(), parameters)


def _accuracy(client: Client, task: Task) -> float:
    """In per cent, as the board answers."""
    right = 0
    for image, label in zip(task.test, task.test_labels, strict=True):
        (answer,) = client.infer([image.tobytes()])
        right += int(np.frombuffer(answer, np.int8).argmax()) == label
    return 100 * right / len(task.test)


def _on_host(known: Learner, task: Task, options: argparse.Namespace) -> bytes:
    """What the parameters must be."""
    tail, program = known.prepared.tail, known.prepared.program
    (name,), samples = known.prepared.graph.inputs, options.updates * options.batch
    state = reference.initial_state(tail, program)
    for number, (image, label) in enumerate(task.samples(samples)):
        start = reference.boundary(tail, program, {name: image})
        rate = _rate(number, samples, options.rate)
        target = np.array([label], np.int32)
        state = reference.train_step(tail, program, state, start, target, rate, SEED).state
    return known.learning.parameters.packed(state.parameters)


def _rate(number: int, samples: int, first: float) -> float:
    """Falls to 0 in a straight line."""
    return first * (1 - number / samples)


def _task(shift: str, count: int) -> Task:
    """The digits as the network never saw them, quantised as its input is."""
    (image,) = pipeline.inspect(MODEL).inputs
    rng, (training, test) = np.random.default_rng(11), dataset.load()
    change = dataset.SHIFTS[shift][1]
    first, second = (
        dataset.quantised(change(part.images, rng), image.scale, image.zero_point)
        for part in (training, test)
    )
    return Task(first, training.labels, second[:count], test.labels[:count])


def _picture(run: Run, words: str, options: argparse.Namespace) -> str:
    smooth = np.convolve(run.losses, np.ones(5) / 5, "valid")
    losses = list(enumerate(smooth.tolist(), start=5))
    return picture(
        f"Digits with {words}, learnt on {options.board}",
        Curve(f"accuracy on {options.test} test images", run.accuracies, 100, "%"),
        Curve("loss, mean of five updates", losses, float(np.ceil(smooth.max()))),
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--board", default="stm32", help="see tinyml boards")
    parser.add_argument("--port", help="serial port of a board; default: the emulator")
    parser.add_argument("--shift", default="dark", choices=dataset.SHIFTS)
    parser.add_argument("--last", type=int, default=6, help="layers that learn")
    parser.add_argument("--filter", default="2", help="radius of the gradient filter; 1 is exact")
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--batch", type=int, default=8, help="images to an update")
    parser.add_argument("--rate", type=float, default=5e-4, help="of the first update")
    parser.add_argument("--every", type=int, default=25, help="updates from test to test")
    parser.add_argument("--test", type=int, default=450, help="images of the test, at most 450")
    parser.add_argument("--plot", type=Path, default=PROJECTS / "learning.svg")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
