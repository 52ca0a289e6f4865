"""What a real network learns of a new task: a new classifier, its last layers trained.

    python -m benchmarks.transfer MODEL.tflite --data images.npz

The .npz has what Keras's data sets have (`numpy.savez(f, x_train=..., y_train=..., x_test=...,
y_test=...)`): grey images [n, h, w] or coloured ones [n, h, w, 3], uint8, and labels from 0.
The backbone's results are computed once; then every precision and radius learns from the same
images in the same order, once for every seed. Rows go to `transfer.md`, one table to a model
and data set; a table that is there already is replaced.
"""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks.adapting import MOMENTUM, Features, Task, options_of
from tinyml import importers, passes
from tinyml.ir.graph import Array, Graph, Tensor
from tinyml.train.autodiff import training_program
from tinyml.train.budget import training_cost
from tinyml.train.head import with_classes
from tinyml.train.options import TrainOptions
from tinyml.train.program import Precision
from tinyml.train.tail import Last, chosen_layers, split

TABLE = Path(__file__).resolve().parent / "transfer.md"
HEAD = """\
# What real networks learn of a new task

As `python -m benchmarks.transfer MODEL --data DATA` computed it on the host reference.
"""


def resized(images: Array, height: int, width: int) -> Array:
    """[n, height, width, c] float64 in 0..255: bilinear, with the centres of pixels on a grid."""

    def along(values: Array, axis: int, size: int) -> Array:
        have = values.shape[axis]
        at = np.clip((np.arange(size) + 0.5) * have / size - 0.5, 0, have - 1)
        low = np.floor(at).astype(int)
        shape = [1] * values.ndim
        shape[axis] = size
        share = (at - low).reshape(shape)
        above = np.minimum(low + 1, have - 1)
        return values.take(low, axis) * (1 - share) + values.take(above, axis) * share

    return along(along(images.astype(np.float64), 1, height), 2, width)


def quantised(images: Array, tensor: Tensor) -> Array:
    """uint8 images as the network's input wants them: its shape, -1 to 1, its quantisation."""
    _, height, width, channels = tensor.shape
    images = images if images.ndim == 4 else images[..., None]
    images = np.broadcast_to(images, (*images.shape[:3], channels))
    steps = np.round((resized(images, height, width) / 127.5 - 1) / tensor.q.scale)
    return np.clip(steps + tensor.q.zero_point, -128, 127).astype(np.int8)


def task_of(graph: Graph, data: Mapping[str, Array], last: int, train: int, test: int) -> Task:
    """`graph` with a new classifier for the labels in `data`, of which some images are used."""
    classes = int(data["y_train"].max()) + 1
    graph = with_classes(graph, classes)
    tail = split(graph, chosen_layers(graph, Last(last)))
    tensor, rng = graph.tensors[graph.inputs[0]], np.random.default_rng(123)

    def features(part: str, count: int) -> Features:
        images, labels = data[f"x_{part}"], data[f"y_{part}"]
        chosen = rng.permutation(len(images))[:count]
        bar = track(chosen, f"Backbone, {part}", transient=True)
        return Features.of(
            tail, (quantised(images[at][None], tensor) for at in bar), labels[chosen]
        )

    return Task(tail, features("train", train), features("test", test))


_TASKS: list[Task] = []
"""What a process of the pool works on: it inherits it, for graphs cannot be sent."""


def accuracy(options: TrainOptions, updates: int, rate: float, seed: int) -> float:
    """On the test images, after training on the others."""
    (task,) = _TASKS
    program = training_program(task.tail, options)
    return task.accuracy(program, task.learnt(program, updates, rate, seed))


def rows(
    task: Task,
    radii: Sequence[int],
    *,
    batch: int,
    updates: int,
    rate: float,
    seeds: int,
    jobs: int,
) -> Iterator[str]:
    """Of every precision and radius: what it costs, mean accuracy and its spread."""
    pool = ProcessPoolExecutor(jobs, get_context("fork"), _TASKS.append, (task,))
    with pool:
        for precision in Precision:
            exact: Array | None = None
            for radius in radii:
                options = TrainOptions(precision, radius=radius)
                cost = training_cost(training_program(task.tail, options))
                learns = options_of(precision, radius, batch)
                runs = [pool.submit(accuracy, learns, updates, rate, seed) for seed in range(seeds)]
                found = np.array([run.result() for run in runs])
                exact = found if exact is None else exact
                gap = (found - exact).mean() * 100
                yield " | ".join(
                    (
                        f"| {precision.value}",
                        "1 (exact)" if radius == 1 else str(radius),
                        f"{cost.backward_macs:,}",
                        f"{cost.saved_bytes:,}",
                        f"{found.mean():.2%}",
                        f"{found.min():.2%} to {found.max():.2%}",
                        f"{gap:+.2f} |",
                    )
                )


def replaced(document: str, title: str, section: str) -> str:
    """`document` with the section `title`, in the place of one that is there."""
    old = re.compile(rf"\n## {re.escape(title)}\n.*?(?=\n## |\Z)", re.DOTALL)
    new = f"\n## {title}\n{section}"
    return old.sub(lambda _: new, document) if old.search(document) else document + new


def main() -> None:
    """Computes, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="an .npz as Keras has them")
    parser.add_argument("--last", type=int, default=5, help="layers with weights that learn")
    parser.add_argument("--radii", default="1,2,3")
    parser.add_argument("--train", type=int, default=6000, help="images to learn from")
    parser.add_argument("--test", type=int, default=2000, help="images of the test")
    parser.add_argument("--updates", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=0.003)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    console = Console(width=120)
    graph = passes.optimize(passes.int8_io(importers.load(options.model)))
    with np.load(options.data) as data:
        task = task_of(graph, dict(data), options.last, options.train, options.test)
    radii = [int(radius) for radius in options.radii.split(",")]
    found = []
    for row in rows(
        task,
        radii,
        batch=options.batch,
        updates=options.updates,
        rate=options.rate,
        seeds=options.seeds,
        jobs=options.jobs,
    ):
        console.print(row)
        found.append(row)
    section = (
        f"\nThe last {options.last} layers with weights learn, the classifier, which is new,\n"
        f"among them: {options.updates} updates by {options.batch} of {options.train:,} images, "
        f"rate\n{options.rate:g} falling to 0, momentum {MOMENTUM:g}, filtered gradients divided "
        "by\n"
        f"the stride's square. Accuracy on {options.test:,} other images: the mean of\n"
        f"{options.seeds} seeds, the worst and the best, and the mean difference to exact\n"
        "gradients in points. MACs are those of the backward pass; saved bytes what the forward\n"
        "pass leaves for it.\n\n"
        "| precision | radius | MACs | saved B | accuracy | spread | difference |\n"
        "|---|---|--:|--:|--:|---|--:|\n" + "\n".join(found) + "\n"
    )
    title = f"{options.model.stem}, {options.data.stem}"
    document = TABLE.read_text(encoding="utf-8") if TABLE.exists() else HEAD
    TABLE.write_text(replaced(document, title, section), encoding="utf-8")


if __name__ == "__main__":
    main()
