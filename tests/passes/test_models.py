"""What the passes take out of real networks."""

from collections import Counter

import numpy as np
import pytest

from tests.passes.common import assert_equivalent, kinds
from tests.support.models import NAMES, model_path
from tinyml.importers import load
from tinyml.passes import optimize

REMOVED = {
    "mcunet_person_detection_128x160_int8": {"PAD": 5},
    "mcunet_vww_80_int8": {"PAD": 4, "TRANSPOSE": 1},
    "mcunetv2_large_224_int8": {"PAD": 5, "TRANSPOSE": 1},
}
"""Nothing goes from the others: their exporter has fused what can be."""


@pytest.mark.parametrize("name", NAMES)
def test_real_networks(name: str) -> None:
    graph = load(model_path(name))
    optimized = optimize(graph)
    assert Counter(kinds(graph)) - Counter(kinds(optimized)) == Counter(REMOVED.get(name, {}))
    assert not Counter(kinds(optimized)) - Counter(kinds(graph))
    assert optimize(optimized) is optimized
    assert_equivalent(graph, optimized, seeds=2)


def test_weights_are_shared_not_copied() -> None:
    graph = load(model_path("mcunet_vww_80_int8"))
    optimized = optimize(graph)
    for name, tensor in optimized.tensors.items():
        if tensor.is_const:
            assert tensor is graph.tensors[name]
            assert np.shares_memory(tensor.values, graph.tensors[name].values)
