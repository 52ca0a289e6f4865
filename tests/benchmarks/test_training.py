"""The tables about training, from runs that are too short to learn much."""

import numpy as np
import pytest

from benchmarks.training import Images, adapt, changed_images, cost_rows
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
    images = changed_images(graph, "dark")
    assert images.training.shape == (1347, 8, 8, 1) and images.test.shape == (450, 8, 8, 1)
    few = Images(images.training, images.training_labels, images.test[:60], images.test_labels[:60])
    options = TrainOptions(momentum=0.9, batch=8)
    before, after = adapt(graph, few, options, last=6, updates=60, seed=0)
    assert after >= before + 0.1
    assert adapt(graph, few, options, last=6, updates=60, seed=0) == (before, after)
    assert not np.array_equal(images.test, changed_images(graph, "inverted").test)
