"""Training lowers the loss, in both precisions, and is the same every time."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.builder import GraphBuilder, per_tensor
from tests.train.nets import SAME, label
from tinyml.ir import ops
from tinyml.ir.graph import Array, Graph
from tinyml.ir.ops import Activation
from tinyml.train import autodiff, reference
from tinyml.train.head import with_classes
from tinyml.train.options import BIAS, LayerUpdate, TrainOptions
from tinyml.train.program import LossKind, Precision
from tinyml.train.tail import Last, Tail, chosen_layers, split


def toy() -> Graph:
    """8x8 pixels to 3 classes, with a fresh head, so that learning starts from small logits."""
    b = GraphBuilder("toy", 1)
    x = b.input((1, 8, 8, 1), per_tensor(1 / 128, 0), name="image")
    quant = per_tensor(0.02, -128)
    x = b.conv(x, 8, pads=SAME, activation=Activation.RELU, quant=quant)
    x = b.depthwise(x, 1, pads=SAME, activation=Activation.RELU, quant=quant)
    x = b.conv(x, 12, (1, 1), activation=Activation.RELU, quant=quant)
    x = b.node(ops.Mean(axes=(1, 2)), (x,), quant)
    return with_classes(b.graph(b.dense(x, 2, quant=per_tensor(0.05, 0))), 3)


def bars(rng: np.random.Generator) -> tuple[Array, int]:
    """A noisy picture of horizontal stripes, vertical ones, or none."""
    kind = int(rng.integers(3))
    picture = rng.normal(0, 20, (1, 8, 8, 1))
    wave = 80 * np.sign(np.sin(np.arange(8) * np.pi / 2 + 0.3))
    if kind < 2:
        picture += wave[None, :, None, None] if kind == 0 else wave[None, None, :, None]
    return np.clip(picture, -128, 127).astype(np.int8), kind


def learn(
    tail: Tail, options: TrainOptions, steps: int, rate: float, seed: int = 0
) -> tuple[reference.State, list[float]]:
    program = autodiff.training_program(tail, options)
    state, losses = reference.initial_state(tail, program), []
    rng = np.random.default_rng(5)
    for _ in range(steps):
        picture, kind = bars(rng)
        start = reference.boundary(tail, program, {"image": picture})
        done = reference.train_step(tail, program, state, start, label(kind), rate, seed)
        state = done.state
        losses.append(done.loss)
    return state, losses


def tail(last: int = 4) -> Tail:
    return split(toy(), chosen_layers(toy(), Last(last)))


OPTIONS = [
    TrainOptions(),
    TrainOptions(radius=2),
    TrainOptions(radius=4, momentum=0.5),
    TrainOptions(radius=2, batch=4),
    TrainOptions(update=LayerUpdate(share=0.5)),
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: f"r{o.radius}m{o.momentum}b{o.batch}")
@pytest.mark.parametrize("precision", Precision)
def test_the_loss_falls(options: TrainOptions, precision: Precision) -> None:
    _, losses = learn(tail(), replace(options, precision=precision), 240, 0.01 * options.batch)
    first, last = np.mean(losses[:40]), np.mean(losses[-60:])
    assert last < 0.75 * first, (first, last)


@pytest.mark.parametrize("precision", Precision)
def test_biases_alone_learn(precision: Precision) -> None:
    """... a single picture."""
    options = TrainOptions(precision=precision, update=BIAS, radius=2)
    program = autodiff.training_program(tail(), options)
    state = begin = reference.initial_state(tail(), program)
    picture, kind = bars(np.random.default_rng(1))
    start = reference.boundary(tail(), program, {"image": picture})
    losses = []
    for _ in range(40):
        done = reference.train_step(tail(), program, state, start, label((kind + 1) % 3), 0.02)
        state = done.state
        losses.append(done.loss)
    assert losses[-1] < 0.5 * losses[0]
    assert all(
        (value == begin.parameters[name]).all() == (value.ndim > 1)
        for name, value in state.parameters.items()
    )


@pytest.mark.parametrize("precision", Precision)
def test_outputs_come_close_to_targets(precision: Precision) -> None:
    options = TrainOptions(precision=precision, loss=LossKind.MEAN_SQUARED_ERROR)
    program = autodiff.training_program(tail(1), options)
    state, losses = reference.initial_state(tail(1), program), []
    picture, _ = bars(np.random.default_rng(1))
    start = reference.boundary(tail(1), program, {"image": picture})
    target = np.float32([[1.0, -0.5, 0.25]])
    for _ in range(40):
        done = reference.train_step(tail(1), program, state, start, target, 0.05)
        state = done.state
        losses.append(done.loss)
    assert losses[-1] < 0.05 * losses[0]


def test_the_same_arguments_give_the_same_bits() -> None:
    first, losses = learn(tail(2), OPTIONS[2], 12, 0.02, seed=1)
    second, again = learn(tail(2), OPTIONS[2], 12, 0.02, seed=1)
    other, _ = learn(tail(2), OPTIONS[2], 12, 0.02, seed=2)
    assert losses == again
    for name, value in first.parameters.items():
        np.testing.assert_array_equal(value, second.parameters[name])
    assert any((first.parameters[n] != v).any() for n, v in other.parameters.items())


@pytest.mark.parametrize("precision", Precision)
def test_a_batch_changes_parameters_with_its_last_sample(precision: Precision) -> None:
    """... by the mean of the gradients of its samples."""
    one = replace(OPTIONS[0], precision=precision)
    options = replace(one, batch=3)
    program, single = (autodiff.training_program(tail(2), o) for o in (options, one))
    begin = reference.initial_state(tail(2), program)
    alone = reference.initial_state(tail(2), single)
    state, rng, total = begin, np.random.default_rng(2), dict[str, Array]()
    for i in range(3):
        for name, value in state.parameters.items():
            np.testing.assert_array_equal(value, begin.parameters[name])
        picture, kind = bars(rng)
        start = reference.boundary(tail(2), program, {"image": picture})
        there = replace(alone, step=i)
        for name, gradient in reference.train_step(
            tail(2), single, there, start, label(kind), 0.0
        ).gradients.items():
            total[name] = gradient if i == 0 else total[name] + gradient
        state = reference.train_step(tail(2), program, state, start, label(kind), 0.5).state
    for name, gradient in total.items():
        np.testing.assert_allclose(state.momenta[f"momentum:{name}"], gradient, rtol=1e-5)
        moved = state.parameters[name].astype(float) - begin.parameters[name]
        room = 1.0 if precision is Precision.INT8 else 1e-6
        cut = precision is Precision.INT8 and moved.size and np.abs(state.parameters[name]) >= 127
        off = np.abs(moved + 0.5 / 3 * gradient)
        assert (np.where(cut, 0, off) <= room + 1e-5 * np.abs(gradient)).all()
