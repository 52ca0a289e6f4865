"""Signal to noise per layer, on graphs small enough to know the answer."""

from math import log10

import numpy as np
import pytest

from tests.support.builder import GraphBuilder, per_tensor
from tests.support.tflite_writer import write
from tinyml.evaluate.match import Match, match
from tinyml.evaluate.noise import layer_noise
from tinyml.importers.tflite_file import read_file
from tinyml.ir import ops
from tinyml.ir.graph import Array, Graph
from tinyml.quant.affine import quantised, real

HALF = per_tensor(0.5)


def _two_layers() -> Graph:
    """A RELU, then a second one, of the same scale."""
    net = GraphBuilder("net")
    x = net.input((1, 4), HALF, name="x")
    y = net.node(ops.Relu(), [x], HALF, output="y")
    return net.graph(net.node(ops.Relu(), [y], HALF, output="z"))


INPUT: Array = np.array([[[2, 4, 6, -8]], [[10, 2, 0, 4]]], np.int8)
EXACT: Array = np.maximum(INPUT * 0.5, 0)


def test_the_ratio_is_that_of_the_formula() -> None:
    graph, matches = _two_layers(), {"y": Match(0, "name"), "z": Match(1, "name")}
    off = EXACT + np.array([[[0.25, 0, 0, 0]], [[0, 0, 0, 0.1]]])
    first, second = layer_noise(graph, [INPUT], {"y": EXACT, "z": off}, matches)
    assert first.snr_db is None and first.own_snr_db is None, "no error at all"
    wanted = 10 * log10(float(np.sum(off**2)) / (0.25**2 + 0.1**2))
    assert second.snr_db == pytest.approx(wanted) == second.own_snr_db


def test_alone_leaves_out_the_error_of_layers_before() -> None:
    """The first layer's float result is another than int8 has; the second adds no error."""
    graph, matches = _two_layers(), {"y": Match(0, "name"), "z": Match(1, "name")}
    truth = EXACT + 1.0
    first, second = layer_noise(graph, [INPUT], {"y": truth, "z": truth}, matches)
    assert first.snr_db == second.snr_db == pytest.approx(first.own_snr_db)
    assert second.own_snr_db is None, "with the right operands it is exact"


def test_a_layer_after_an_unmatched_one_has_no_error_of_its_own() -> None:
    (only,) = layer_noise(_two_layers(), [INPUT], {"z": EXACT + 1}, {"z": Match(0, "order")})
    assert only.own_snr_db is None and only.snr_db is not None and only.matched == "order"


def test_matches_by_name_then_by_order() -> None:
    net = GraphBuilder("net")
    x = net.conv(net.input((1, 4, 4, 2), name="x"), 3, output="a")
    x = net.node(ops.Relu(), [x], output="b")
    graph = net.graph(net.conv(x, 3, kernel=(1, 1), output="c"))
    file = read_file(write(graph))
    found = match(graph, file)
    assert [(file.tensors[found[name].index].name, found[name].by) for name in "abc"] == [
        *(("a", "name"), ("b", "name"), ("c", "name"))
    ]

    net = GraphBuilder("net")
    x = net.conv(net.input((1, 4, 4, 2), name="x"), 3, output="other a")
    file = read_file(write(net.graph(net.conv(x, 3, kernel=(1, 1), output="other c"))))
    found = match(graph, file)
    assert "b" not in found, "there is no RELU"
    assert [(file.tensors[found[name].index].name, found[name].by) for name in "ac"] == [
        *(("other a", "order"), ("other c", "order"))
    ]


def test_a_name_of_another_shape_is_no_match() -> None:
    net, other = GraphBuilder("net"), GraphBuilder("net")
    graph = net.graph(net.conv(net.input((1, 4, 4, 2), name="x"), 3, output="a"))
    x = other.conv(other.input((1, 4, 4, 2), name="x"), 5, output="a")
    assert not match(graph, read_file(write(other.graph(x))))


def test_affine_round_trip_within_half_a_step() -> None:
    tensor = _two_layers().tensors["x"]
    values = np.random.default_rng(0).uniform(-60, 60, 1000)
    back = real(quantised(values, tensor), tensor)
    assert np.abs(back - values).max() <= tensor.q.scale / 2 + 1e-6
    assert quantised(np.array([1e9, -1e9]), tensor).tolist() == [127, -128]
