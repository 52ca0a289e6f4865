"""The kernels of training on other cores: the same bytes with hardware and software floats."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.kernel_client import KernelClient
from tests.support.kernel_server import Function, Request
from tests.train.nets import chain_net, image, label, odd_net, residual_net
from tests.train.replay import CORES, Recorded, replay
from tests.train.steps import compare
from tinyml.train import reference
from tinyml.train.autodiff import training_program
from tinyml.train.options import TrainOptions
from tinyml.train.program import Precision
from tinyml.train.tail import Last, chosen_layers, split, weighted_layers


def recorded(client: KernelClient, options: Iterable[TrainOptions]) -> list[Recorded]:
    """Every call of a step of the networks, which the reference has checked on the host."""
    found: list[Recorded] = []

    def run(request: Request | Function) -> tuple[bytes, ...]:
        results = client.run(request)
        if isinstance(request, Function):
            found.append(Recorded(request, results))
        return results

    for option in options:
        for net in (residual_net, chain_net, odd_net):
            graph = net()
            tail = split(graph, chosen_layers(graph, Last(len(weighted_layers(graph)))))
            program = training_program(tail, option)
            start = reference.boundary(tail, program, image(graph, 3))
            state = reference.initial_state(tail, program)
            compare(run, tail, program, state, start, label(1), 0.05, 9)
    return found


@pytest.fixture(scope="module")
def calls(client: KernelClient) -> list[Recorded]:
    """Both precisions, exact with momentum and filtered without."""
    return recorded(
        client,
        [
            TrainOptions(precision=precision, radius=radius, momentum=momentum)
            for precision in Precision
            for radius, momentum in ((1, 0.9), (2, 0.0))
        ],
    )


@pytest.mark.parametrize("core", CORES)
def test_other_cores(calls: list[Recorded], core: str, tmp_path: Path) -> None:
    lines = replay(calls, CORES[core], tmp_path)
    assert len(lines) == len(calls)
    assert not [line for line in lines if "differs" in line]
