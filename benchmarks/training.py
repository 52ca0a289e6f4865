"""What training costs and what it brings, on the host reference.

Run it as `make training`, or `python -m benchmarks.training`; `--help` lists what can be
changed. Costs are those of the last four convolutions and the classifier of real models.
Accuracy is that of the digits network (`examples/digits`) on images as it never saw them,
before and after some updates on training images of that kind. Both go to `training.md`.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.adapting import MOMENTUM, Features, Task, options_of
from examples.digits import dataset
from tinyml import importers, passes
from tinyml.ir.graph import Graph
from tinyml.train import reference
from tinyml.train.autodiff import training_program
from tinyml.train.budget import training_cost
from tinyml.train.options import TrainOptions
from tinyml.train.program import Precision
from tinyml.train.tail import Last, chosen_layers, split, weighted_layers

HERE = Path(__file__).resolve().parent
DIGITS = Path(dataset.__file__).parent
MODELS = HERE.parents[1] / "shared" / "models"
BUILT = HERE.parent / "build"
"""Where `mobilenet_v2.py` is told to write; models there are counted, too."""
TABLE = HERE / "training.md"

LAST = 5
"""Layers with weights in the tables of costs: four convolutions and the classifier."""
COST_RADII = (1, 2, 3, 4, 7)
RADII = (1, 2, 4)
RATE, BATCH = 5e-4, 8
"""The rate, of the first update, falls to 0 in a straight line."""

HEAD = """\
# Training, on the host reference

As `make training` computed it.

"""


def cost_rows(models: Sequence[Path]) -> Iterator[str]:
    """Of every model, precision and radius: what is saved and what is multiplied."""
    for model in models:
        graph = passes.optimize(passes.int8_io(importers.load(model)))
        tail = split(graph, chosen_layers(graph, Last(LAST)))
        maps = {f"{t.shape[1]}x{t.shape[2]}" for t in _maps(tail.head)}
        for precision in Precision:
            options = TrainOptions(precision)
            exact = None
            for radius in COST_RADII:
                cost = training_cost(training_program(tail, replace(options, radius=radius)))
                exact = exact or cost
                yield " | ".join(
                    (
                        f"| {model.stem}",
                        ", ".join(sorted(maps)),
                        precision.value,
                        "1 (exact)" if radius == 1 else str(radius),
                        f"{cost.backward_macs:,}",
                        f"{exact.backward_macs / cost.backward_macs:.2f}",
                        f"{cost.saved_bytes:,}",
                        f"{exact.saved_bytes / cost.saved_bytes:.2f}",
                        f"{cost.peak_bytes:,}",
                        f"{cost.lasting_bytes:,} |",
                    )
                )


def _maps(head: Graph) -> list:
    """What the head's convolutions give."""
    results = (head.results(node)[0] for node in weighted_layers(head))
    return [tensor for tensor in results if len(tensor.shape) == 4]


def changed_digits(graph: Graph, shift: str, last: int) -> Task:
    """The last layers of `graph`, and the digits, changed and quantised as its input says."""
    rng, quant = np.random.default_rng(11), graph.tensors[graph.inputs[0]].q
    tail = split(graph, chosen_layers(graph, Last(last)))

    def features(samples: dataset.Samples) -> Features:
        changed = dataset.SHIFTS[shift][1](samples.images, rng)
        images = dataset.quantised(changed, quant.scale, quant.zero_point)
        return Features.of(tail, (image[None] for image in images), samples.labels)

    training, test = map(features, dataset.load())
    return Task(tail, training, test)


def adapt(task: Task, options: TrainOptions, updates: int, seed: int) -> tuple[float, float]:
    """Accuracy on the test images before and after."""
    program = training_program(task.tail, options)
    before = task.accuracy(program, reference.initial_state(task.tail, program))
    return before, task.accuracy(program, task.learnt(program, updates, RATE, seed))


def accuracy_rows(
    shifts: Sequence[str], last: int, updates: int, seeds: int, console: Console
) -> Iterator[str]:
    """Of every shift, precision and radius: mean accuracy and its spread over the seeds."""
    graph = passes.optimize(importers.load(DIGITS / "digits_int8.tflite"))
    for shift in shifts:
        task = changed_digits(graph, shift, last)
        for precision in Precision:
            for radius in RADII:
                options = options_of(precision, radius, BATCH)
                runs = [adapt(task, options, updates, seed) for seed in range(seeds)]
                after = np.array([run[1] for run in runs])
                row = " | ".join(
                    (
                        f"| {shift}",
                        precision.value,
                        "1 (exact)" if radius == 1 else str(radius),
                        f"{runs[0][0]:.1%}",
                        f"{after.mean():.1%}",
                        f"{after.min():.1%} to {after.max():.1%} |",
                    )
                )
                console.print(row)
                yield row


def main() -> None:
    """Computes, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", type=Path, nargs="*", help="for the costs; default: all")
    parser.add_argument("--shifts", default="dark,inverted", help=f"of {', '.join(dataset.SHIFTS)}")
    parser.add_argument("--last", type=int, default=6, help="layers of the digits network")
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3, help="runs of each kind")
    options = parser.parse_args()
    console = Console(width=120)
    names = ("mcunet_vww_80_int8", "vww_96_int8", "kws_ref_model", "resnet8_cifar10_int8")
    models = options.models or [
        *(path for name in names if (path := MODELS / f"{name}.tflite").is_file()),
        *sorted(BUILT.glob("*.tflite")),
    ]
    shifts = options.shifts.split(",")
    costs = list(cost_rows(models))
    console.print(*costs, sep="\n")
    rows = list(accuracy_rows(shifts, options.last, options.updates, options.seeds, console))
    TABLE.write_text(HEAD + _costs(costs) + _accuracies(rows, shifts, options), encoding="utf-8")


def _costs(rows: Sequence[str]) -> str:
    return (
        "## What a step costs\n\n"
        "The last four convolutions and the classifier of real models, all of their parameters\n"
        "trained by plain gradient descent. *MACs* are multiply-accumulates of the backward pass;\n"
        "*saved* is what the forward pass leaves for it, masks included; *peak* the most that is\n"
        "there at once of what does not outlive the step, from the lifetimes of the head's\n"
        "buffers; *lasting* the parameters that learn; *x* how many times less than exact.\n\n"
        "| model | maps | precision | radius | MACs | x | saved B | x | peak B | lasting B |\n"
        "|---|---|---|---|--:|--:|--:|--:|--:|--:|\n" + "\n".join(rows) + "\n\n"
    )


def _accuracies(rows: Sequence[str], shifts: Sequence[str], options: argparse.Namespace) -> str:
    kinds = "; ".join(f"*{shift}*: {dataset.SHIFTS[shift][0]}" for shift in shifts)
    return (
        "## What it brings\n\n"
        f"The digits network of `examples/digits` on changed images ({kinds}): accuracy on the\n"
        f"450 test images before and after {options.updates} updates on changed training images,\n"
        f"{BATCH} to an update, of its last {options.last} layers; rate {RATE:g} falling to 0,\n"
        f"momentum {MOMENTUM:g}, filtered gradients divided by the stride's square; the mean of\n"
        f"{options.seeds} seeds (which set the order of images and the random rounding), and the\n"
        "worst and the best of them.\n\n"
        "| images | precision | radius | before | after | spread |\n"
        "|---|---|---|--:|--:|---|\n" + "\n".join(rows) + "\n"
    )


if __name__ == "__main__":
    main()
