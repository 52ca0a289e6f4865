"""Bytes and multiply-accumulates of a training step, and what is chosen within a budget."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.builder import GraphBuilder, per_tensor
from tests.support.models import model_path
from tests.train.nets import SAME, chain_net, image, label, residual_net
from tinyml import importers, passes
from tinyml.errors import PlanError
from tinyml.ir import ops
from tinyml.ir.graph import Graph
from tinyml.ir.ops import Activation
from tinyml.train import reference
from tinyml.train.autodiff import training_program
from tinyml.train.budget import TrainingCost, live_bytes, training_cost
from tinyml.train.options import BIAS, LayerUpdate, TrainOptions
from tinyml.train.program import Precision
from tinyml.train.select import DEGREES, Choice, Sample, layer_benefits, select
from tinyml.train.tail import Last, chosen_layers, split, weighted_layers


def cost(graph: Graph, last: int, options: TrainOptions) -> TrainingCost:
    return training_cost(training_program(split(graph, chosen_layers(graph, Last(last))), options))


def two_layers() -> Graph:
    """3x3 from 2 to 6 channels with RELU, then a dense layer of 3, over 8x8 pixels."""
    b = GraphBuilder()
    x = b.input((1, 8, 8, 2), per_tensor(0.02, 0))
    x = b.conv(x, 6, pads=SAME, activation=Activation.RELU, quant=per_tensor(0.05, -128))
    return b.graph(b.dense(x, 3))


def test_costs_by_hand() -> None:
    """(int8, float32): what is saved, and what the backward pass multiplies."""
    options = TrainOptions()
    exact = cost(two_layers(), 2, options)
    conv, dense = exact.layers
    # The convolution reads the image again, the dense layer the map, which is the mask, too.
    assert (conv.saved_bytes, dense.saved_bytes) == (8 * 8 * 2, 8 * 8 * 6 + 1)
    assert exact.saved_bytes == 8 * 8 * 2 + 8 * 8 * 6 + 1
    assert (conv.weight_macs, conv.input_macs) == (8 * 8 * 6 * 9 * 2, 0)
    assert (dense.weight_macs, dense.input_macs) == (384 * 3, 384 * 3)
    assert (conv.row_bytes, dense.row_bytes) == (9 * 2 * 4, 384 * 4)
    assert conv.trained_bytes == 6 * 9 * 2 + 6 * 4 and conv.state_bytes == 0
    assert exact.lasting_bytes == conv.trained_bytes + dense.trained_bytes
    filtered, _ = cost(two_layers(), 2, replace(options, radius=2)).layers
    assert filtered.saved_bytes == 4 * 4 * 2 and filtered.weight_macs == 4 * 4 * 6 * 2
    assert filtered.row_bytes == 2 * 4
    real, _ = cost(two_layers(), 2, TrainOptions(Precision.FLOAT32, momentum=0.9)).layers
    assert real.saved_bytes == 8 * 8 * 2 * 4 and real.state_bytes == 4 * (6 * 9 * 2 + 6)
    remembered, _ = cost(two_layers(), 2, TrainOptions(radius=4, batch=2)).layers
    assert remembered.state_bytes == 4 * (6 * 2 + 6)
    biases = cost(two_layers(), 2, TrainOptions(update=BIAS))
    # Masks only: a bit for each element of the map and of the logits.
    assert biases.saved_bytes == 8 * 8 * 6 // 8 + 1
    half, _ = cost(two_layers(), 2, TrainOptions(update=LayerUpdate(share=0.5))).layers
    # Half of the image, and a mask: the dense layer, too, reads only half of the map again.
    assert half.saved_bytes == 8 * 8 + 8 * 8 * 6 // 8
    assert half.weight_macs == conv.weight_macs // 2


@pytest.mark.parametrize("graph", [residual_net(), chain_net()])
@pytest.mark.parametrize("precision", Precision)
def test_what_is_there_at_once(graph: Graph, precision: Precision) -> None:
    """Every buffer's life covers all its uses; a peak is no less than what is saved."""
    for radius in (1, 2):
        options = TrainOptions(precision, radius=radius)
        tail = split(graph, chosen_layers(graph, Last(4)))
        program = training_program(tail, options)
        lives = program.lifetimes()
        for i, step in enumerate(program.steps):
            for name in (*step.reads, *step.writes):
                assert program.buffers[name].lasting or lives[name][0] <= i <= lives[name][1]
        totals = live_bytes(program)
        assert (
            max(totals) == training_cost(program).peak_bytes >= training_cost(program).saved_bytes
        )
        assert sum(program.buffers[n].nbytes for n in program.saved()) <= totals[program.loss_at]


def test_a_larger_radius_costs_less() -> None:
    costs = [cost(chain_net(), 5, TrainOptions(radius=r)) for r in (1, 2, 4)]
    assert costs[0].backward_macs > 3 * costs[1].backward_macs > 3 * costs[2].backward_macs
    assert costs[0].saved_bytes > 2 * costs[1].saved_bytes > 2 * costs[2].saved_bytes
    assert costs[0].peak_bytes > costs[1].peak_bytes > costs[2].peak_bytes


def test_the_last_layers_of_a_real_network() -> None:
    """Maps of 25x5: 13x3 patches of 2x2, 3x3 taps and more than 3x the pixels to each patch."""
    graph = passes.optimize(importers.load(model_path("kws_ref_model")))
    exact, filtered = (cost(graph, 5, TrainOptions(Precision.FLOAT32, radius=r)) for r in (1, 2))
    assert exact.backward_macs > 3 * filtered.backward_macs
    assert exact.saved_bytes > 2.6 * filtered.saved_bytes


def chosen(graph: Graph, sram: int, options: TrainOptions | None = None) -> Choice:
    samples = [Sample(image(graph, i), label(i % 3)) for i in range(3)]
    return select(graph, options or TrainOptions(radius=2), sram, samples)


def test_what_is_chosen_fits_and_more_memory_brings_more() -> None:
    graph = chain_net(3)
    benefits = []
    for sram in (300, 700, 1500, 3000, 10**6):
        choice = chosen(graph, sram)
        program = training_program(split(graph, choice.layers), choice.options)
        assert training_cost(program).sram_bytes == choice.sram_bytes <= sram
        benefits.append(choice.benefit)
    assert benefits[0] < benefits[2] < benefits[4] == max(benefits)
    names = tuple(node.name for node in weighted_layers(graph))
    assert choice.layers == names and choice.benefit == pytest.approx(1)
    assert all(update == LayerUpdate() for _, update in choice.options.updates)


def test_nothing_fits() -> None:
    with pytest.raises(PlanError, match=r"nothing can be trained in 10 bytes.*'n6' alone needs"):
        chosen(chain_net(3), 10)


def test_only_what_gradients_reach_is_looked_at() -> None:
    b = GraphBuilder()
    x = b.conv(b.input((1, 6, 6, 2), name="image"), 4, pads=SAME, quant=per_tensor(0.1, 0))
    x = b.node(ops.MaxPool2D(filter=(2, 2), stride=(2, 2)), (x,))
    graph = b.graph(b.dense(x, 3, quant=per_tensor(0.1, 0)))
    assert chosen(graph, 10**6).layers == (graph.nodes[-1].name,)


def test_benefits_are_squared_norms() -> None:
    """Of the last layer, whose gradients are known: (p - 1_label) times inputs."""
    graph = chain_net(3)
    name = weighted_layers(graph)[-1].name
    samples = [Sample(image(graph), label(1))]
    benefits = layer_benefits(graph, (name,), TrainOptions(), samples)[name]
    assert len(benefits) == len(DEGREES) and list(benefits) == sorted(benefits)
    tail = split(graph, (name,))
    program = training_program(tail, TrainOptions(Precision.FLOAT32))
    state = reference.initial_state(tail, program)
    start = reference.boundary(tail, program, image(graph))
    logits = reference.infer(tail, program, state, start)[0].astype(np.float64)
    p = np.exp(logits - logits.max())
    error = p / p.sum() - np.eye(3)[1]
    x = np.concatenate([value.ravel() for value in start.values()]).astype(np.float64)
    assert benefits[0] == pytest.approx(np.sum(error**2), rel=1e-4)
    assert benefits[-1] == pytest.approx(np.sum(error**2) * (1 + np.sum(x**2)), rel=1e-4)
