"""The tables about training, from runs that are too short to learn much."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.adapting import Features
from benchmarks.training import adapt, changed_digits, cost_rows
from tests.cli.conftest import DIGITS
from tinyml import importers, passes
from tinyml.train.options import TrainOptions


def test_costs_of_a_model() -> None:
    rows = list(cost_rows([DIGITS]))
    assert len(rows) == 10 and len({row.count("|") for row in rows}) == 1
    assert "| digits_int8 | 4x4, 8x8 | int8 | 1 (exact) | " in rows[0] and "| 1.00 |" in rows[0]


def test_a_few_updates_on_changed_images() -> None:
    pytest.importorskip("sklearn", reason="the digits are scikit-learn's")
    graph = passes.optimize(importers.load(DIGITS))
    task = changed_digits(graph, "dark", last=6)
    (name,) = task.tail.head.inputs  # all layers learn, so these are the images
    shapes = [part.values[name].shape for part in (task.training, task.test)]
    assert shapes == [(1347, 8, 8, 1), (450, 8, 8, 1)]
    few = Features({name: task.test.values[name][:60]}, task.test.labels[:60])
    short, options = replace(task, test=few), TrainOptions(momentum=0.9, batch=8)
    before, after = adapt(short, options, updates=60, seed=0)
    assert after >= before + 0.1
    assert adapt(short, options, updates=60, seed=0) == (before, after)
    inverted = changed_digits(graph, "inverted", last=6)
    assert not np.array_equal(task.test.values[name], inverted.test.values[name])
