"""What the passes take out of real networks."""

from collections import Counter

import numpy as np
import pytest

from tests.passes.common import assert_equivalent, kinds
from tests.support.models import NAMES, model_path
from tinyml.importers import load
from tinyml.ir.graph import DType, Graph
from tinyml.passes import optimize

REMOVED = {
    "mcunet_person_detection_128x160_int8": {"PAD": 5},
    "mcunet_vww_80_int8": {"PAD": 4, "TRANSPOSE": 1},
    "mcunetv2_large_224_int8": {"PAD": 5, "TRANSPOSE": 1},
}
"""Nothing goes from the others: their exporter has fused what can be."""

WIDENED = {"micro_speech_quantized", "person_detect"}
"""Their first layer, depthwise on one channel, becomes an ordinary convolution."""

DEAD = {
    "mcunet_person_detection_128x160_int8": (18_215_500, 159_233),
    "mcunet_vww_80_int8": (10_954_145, 396_011),
    "person_detect": (7_155_582, 207_710),
    "vww_96_int8": (3_733_073, 29_286),
}
"""Multiply-accumulates and bytes of weights that are left where channels are dead."""


@pytest.mark.parametrize("name", NAMES)
def test_real_networks(name: str) -> None:
    graph = load(model_path(name))
    optimized = optimize(graph)
    gone, new = Counter(REMOVED.get(name, {})), Counter[str]()
    if name in WIDENED:
        gone, new = gone + Counter(["DEPTHWISE_CONV_2D"]), Counter(["CONV_2D"])
    assert Counter(kinds(graph)) - Counter(kinds(optimized)) == gone
    assert Counter(kinds(optimized)) - Counter(kinds(graph)) == new
    assert optimize(optimized) is optimized
    assert_equivalent(graph, optimized, seeds=2)


@pytest.mark.parametrize("name", ["mcunet_vww_80_int8", "mcunetv2_large_224_int8"])
def test_weights_are_shared_not_copied(name: str) -> None:
    """Save those that lose channels, of the first of the two."""
    graph = load(model_path(name))
    optimized = optimize(graph)
    pairs = [(t, graph.tensors[n]) for n, t in optimized.tensors.items() if t.is_const]
    if name not in DEAD:
        assert all(new is old for new, old in pairs)
    for new, old in pairs:
        if new is old:
            assert np.shares_memory(new.values, old.values)
        else:
            assert not np.array_equal(new.values, old.values)
    assert sum(new is old for new, old in pairs) > len(pairs) / 2


@pytest.mark.parametrize("name", NAMES)
def test_dead_channels_of_real_networks(name: str) -> None:
    graph = load(model_path(name))
    optimized = optimize(graph)
    found = tuple(
        (sum(g.macs(node) for node in g.nodes), _weight_bytes(g)) for g in (graph, optimized)
    )
    assert found[1] == DEAD.get(name, found[0])


def _weight_bytes(graph: Graph) -> int:
    """int8 constants, which are weights in these networks."""
    tensors = graph.tensors.values()
    return sum(t.nbytes for t in tensors if t.is_const and t.dtype is DType.INT8)
