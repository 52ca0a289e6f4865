"""The stated arithmetic, compiled as C: the same bits as on the host."""

import ctypes
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.builder import GraphBuilder, per_tensor
from tests.support.kernel_build import STRICT, gcc
from tests.train.nets import image, label
from tinyml.train import program as pr
from tinyml.train import reference
from tinyml.train.autodiff import training_program
from tinyml.train.floats import exp32, log32
from tinyml.train.losses import cross_entropy
from tinyml.train.options import TrainOptions
from tinyml.train.rounding import draws, stepped
from tinyml.train.tail import split

SOURCE = Path(__file__).with_name("arithmetic.c")


@pytest.fixture(scope="module", params=["-O0", "-O3"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    built = tmp_path_factory.mktemp("arithmetic") / "arithmetic.so"
    flags = (*STRICT, request.param, "-march=native", "-ffp-contract=off", "-fPIC", "-shared")
    command = [gcc(), *flags, str(SOURCE), "-o", str(built), "-lm"]
    subprocess.run(command, check=True)
    loaded = ctypes.CDLL(str(built))
    for function in (loaded.exp32, loaded.log32):
        function.argtypes, function.restype = [ctypes.c_float], ctypes.c_float
    loaded.key.argtypes, loaded.key.restype = [ctypes.c_uint32] * 3, ctypes.c_uint32
    loaded.stepped.argtypes = [
        ctypes.c_int32, ctypes.c_float, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_int32,
    ]  # fmt: skip
    loaded.stepped.restype = ctypes.c_int32
    return loaded


def test_exp_and_log(library: Any) -> None:
    rng = np.random.default_rng(1)
    below = np.float32([0, -1e-20, -87, -87.00001, -1e30, *-rng.exponential(9, 4000)])
    np.testing.assert_array_equal(exp32(below), np.float32([library.exp32(x) for x in below]))
    above = np.float32([1, 0.75, 1.5, *rng.uniform(1, 1000, 4000)])
    ours = np.float32([log32(x) for x in above])
    np.testing.assert_array_equal(ours, np.float32([library.log32(x) for x in above]))


@pytest.mark.parametrize("limit", [127, 2**31 - 1])
def test_updates(library: Any, limit: int) -> None:
    rng = np.random.default_rng(limit % 1000)
    count = 4000
    values = rng.integers(-min(limit, 2**30), min(limit, 2**30), count)
    steps = (rng.normal(0, 1, count) * 10 ** rng.uniform(-6, 3, count)).astype(np.float32)
    steps[:5] = [0, np.nan, np.inf, -np.inf, -0.0]
    ours = stepped(values, steps, draws(2**32 - 1, 77, 3, count), limit)
    key = library.key(2**32 - 1, 77, 3)
    theirs = [
        library.stepped(int(v), float(s), key, i, limit)
        for i, (v, s) in enumerate(zip(values, steps, strict=True))
    ]
    np.testing.assert_array_equal(ours, theirs)


def test_a_classifier_learns_the_same_weights(library: Any) -> None:
    """Twenty samples of int8 training of a dense layer."""
    b = GraphBuilder(seed=4)
    x = b.input((1, 40), per_tensor(0.02, -7), name="image")
    graph = b.graph(b.dense(x, 5, quant=per_tensor(0.5, 0)))
    tail = split(graph, (graph.nodes[0].name,))
    program = training_program(tail, TrainOptions())
    (update,) = (s for s in program.steps if isinstance(s, pr.UpdateWeights))
    name = update.writes[0]
    state = reference.initial_state(tail, program)
    theirs = state.parameters[name].copy()
    for i in range(20):
        picture = image(graph, i)
        logits = reference.infer(tail, program, state, picture)
        gradient, _ = cross_entropy((logits.astype(np.float32)) * np.float32(0.5), label(i % 5))
        gradient = np.where((logits > -128) & (logits < 127), gradient, np.float32(0))
        factors = np.array(update.factors, np.float32)
        library.dense_weight_update(
            theirs.ctypes.data_as(ctypes.c_void_p),
            np.ascontiguousarray(gradient).ctypes.data_as(ctypes.c_void_p),
            picture["image"].ctypes.data_as(ctypes.c_void_p),
            factors.ctypes.data_as(ctypes.c_void_p),
            *(ctypes.c_int32(n) for n in (5, 40, -7)),
            ctypes.c_float(0.01),
            ctypes.c_uint32(library.key(9, i, update.ordinal)),
        )
        state = reference.train_step(tail, program, state, picture, label(i % 5), 0.01, 9).state
        np.testing.assert_array_equal(state.parameters[name], theirs)
    assert (theirs != tail.head.tensors[name].values).any()
