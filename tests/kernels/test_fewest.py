"""The fewest kernels of a model: against all sets there are, and on boards."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.models import model_path
from tinyml.board import load_board
from tinyml.importers import load
from tinyml.kernels import bind
from tinyml.kernels.fewest import cover, fewest_kernels
from tinyml.passes import optimize

NAMES = "abcdef"


def serves(names: frozenset[str], choices: list[tuple[str, ...]]) -> bool:
    return all(names & set(choice) for choice in choices)


@settings(derandomize=True, database=None, deadline=None, max_examples=300)
@given(
    st.lists(
        st.permutations(NAMES).flatmap(
            lambda names: st.integers(1, 4).map(lambda size: tuple(names[:size]))
        ),
        max_size=7,
    )
)
def test_no_smaller_set_serves(choices: list[tuple[str, ...]]) -> None:
    found = cover(choices)
    assert serves(found, choices)
    smaller = (frozenset(c) for size in range(len(found)) for c in combinations(NAMES, size))
    assert not any(serves(names, choices) for names in smaller)


def test_preferred_kernels_stay_where_others_are_no_fewer() -> None:
    assert cover([("special", "general")]) == {"special"}
    assert cover([("special", "general"), ("other", "general")]) == {"general"}
    assert cover([("special", "general"), ("general",)]) == {"general"}


@pytest.mark.parametrize(
    ("board", "kernels"),
    [
        (
            "qemu-cortex-m3",
            {"conv_s8_mul32", "depthwise_conv_3x3_s8", "avg_pool_s8", "softmax_s8"},
        ),
        (
            "qemu-cortex-m4",
            {"conv_s8_dsp", "depthwise_conv_3x3_s8_dsp", "avg_pool_s8", "softmax_s8"},
        ),
        (
            "qemu-cortex-m55",
            {"conv_s8_mve", "depthwise_conv_3x3_s8_mve", "avg_pool_s8_mve", "softmax_s8"},
        ),
    ],
)
def test_keyword_spotting(board: str, kernels: set[str]) -> None:
    graph, isa = optimize(load(model_path("kws_ref_model"))), load_board(board).isa
    among = fewest_kernels(graph, isa, flatten=True)
    calls = [bind(graph, node, isa, among=among) for node in graph.nodes]
    assert {call.kernel for call in calls} - {""} == kernels
