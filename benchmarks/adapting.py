"""A tail that learns on the host reference, from what the backbone gave once for every input."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tinyml.ir.graph import Array
from tinyml.train import forward, reference
from tinyml.train.autodiff import training_program
from tinyml.train.options import TrainOptions
from tinyml.train.program import Precision, Program
from tinyml.train.tail import Tail

MOMENTUM = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What the backbone gave for some inputs, int8, and the labels of these."""

    values: Mapping[str, Array]
    labels: Array

    @staticmethod
    def of(tail: Tail, inputs: Iterable[Array], labels: Array) -> "Features":
        """`inputs` are those of the network's only one, each with its batch of 1."""
        program, (name,) = training_program(tail, TrainOptions()), tail.backbone.inputs
        given = [reference.boundary(tail, program, {name: x}) for x in inputs]
        return Features({key: np.concatenate([e[key] for e in given]) for key in given[0]}, labels)

    def start(self, tail: Tail, program: Program, at: int) -> dict[str, Array]:
        """As `reference.boundary` gives it for input `at`."""
        given = {name: every[at : at + 1] for name, every in self.values.items()}
        if program.precision is Precision.INT8:
            return given
        tensors = tail.head.tensors
        return {name: forward.dequantized(tensors[name], value) for name, value in given.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A tail, and what it learns from and is tested with."""

    tail: Tail
    training: Features
    test: Features

    def accuracy(self, program: Program, state: reference.State) -> float:
        """Of the test's labels, the share that is found."""
        test = self.test
        given = [
            reference.infer(self.tail, program, state, test.start(self.tail, program, at)).argmax()
            for at in range(len(test.labels))
        ]
        return float(np.mean(np.array(given) == test.labels))

    def learnt(self, program: Program, updates: int, rate: float, seed: int) -> reference.State:
        """What so many updates lead to; the rate, of the first, falls to 0 in a straight line."""
        samples, count = updates * program.batch, len(self.training.labels)
        rng = np.random.default_rng(seed)
        order = np.concatenate([rng.permutation(count) for _ in range(-(-samples // count))])
        state = reference.initial_state(self.tail, program)
        for i, at in enumerate(order[:samples]):
            start = self.training.start(self.tail, program, at)
            label = self.training.labels[at : at + 1].astype(np.int32)
            state = reference.train_step(
                self.tail, program, state, start, label, rate * (1 - i / samples), seed
            ).state
        return state


def options_of(precision: Precision, radius: int, batch: int) -> TrainOptions:
    """What all studies train with; a rate means the same at every radius."""
    return TrainOptions(
        precision, momentum=MOMENTUM, batch=batch, radius=radius, normalise_stride=True
    )
