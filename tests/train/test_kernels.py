"""Every step of a training program in C: the reference's bytes, under the sanitizers."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.builder import GraphBuilder, per_tensor
from tests.support.kernel_build import gcc, include_flags, training_files
from tests.support.kernel_client import KernelClient
from tests.train.nets import chain_net, image, label, odd_net, residual_net
from tests.train.steps import compare
from tinyml.ir.graph import Array, Graph
from tinyml.ir.ops import Activation, Pads
from tinyml.resources import runtime_dir
from tinyml.train import reference
from tinyml.train.autodiff import training_program
from tinyml.train.options import LayerUpdate, TrainOptions
from tinyml.train.program import LossKind, Precision, Program, Update
from tinyml.train.tail import Last, Tail, chosen_layers, split, weighted_layers

EXAMPLES = 120

ACTIVATIONS = (Activation.NONE, Activation.RELU, Activation.RELU6)


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """A pointwise layer, then one or two of any kind: what passes on is exercised, too."""

    def number(low: int, high: int) -> int:
        return draw(st.integers(low, high))

    b = GraphBuilder("random", number(0, 2**32 - 1))
    x = b.input((number(1, 2), number(1, 9), number(1, 9), number(1, 9)), name="image")
    x = b.conv(x, number(1, 9), (1, 1), activation=draw(st.sampled_from(ACTIVATIONS)))
    for _ in range(number(1, 2)):
        _, height, width, channels = b.tensors[x].shape
        kernel = (number(1, 4), number(1, 4))
        dilation = (number(1, 2), number(1, 2)) if number(0, 3) == 3 else (1, 1)
        spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        if number(0, 2) == 0:
            kernel, dilation, spans = (1, 1), (1, 1), [1, 1]
        top, left = (number(0, s - 1) for s in spans)
        bottom = max(number(0, spans[0] - 1), spans[0] - height - top)
        right = max(number(0, spans[1] - 1), spans[1] - width - left)
        options = {
            "kernel": kernel,
            "stride": (number(1, 3), number(1, 3)),
            "pads": Pads(top, bottom, left, right),
            "dilation": dilation,
            "activation": draw(st.sampled_from(ACTIVATIONS)),
            "bias": number(0, 3) > 0,
            "per_channel": draw(st.booleans()),
        }
        if number(0, 1):
            x = b.depthwise(x, number(1, 3 if channels < 5 else 1), **options)
        else:
            x = b.conv(x, number(1, 9), **options)
    if number(0, 2) == 0:
        x = b.dense(x, number(1, 9))
    return b.graph(x)


@st.composite
def choices(draw: st.DrawFn) -> TrainOptions:
    share = draw(st.sampled_from([0.0, 0.3, 0.6, 1.0, 1.0]))
    return TrainOptions(
        precision=draw(st.sampled_from(Precision)),
        loss=LossKind.MEAN_SQUARED_ERROR,
        momentum=draw(st.sampled_from([0.0, 0.0, 0.9])),
        batch=draw(st.sampled_from([1, 1, 2, 3])),
        radius=draw(st.sampled_from([1, 1, 2, 3, 4])),
        update=LayerUpdate(draw(st.booleans()) or share == 0.0, share),
        normalise_stride=draw(st.booleans()),
    )


def extreme(program: Program, state: reference.State, rng: np.random.Generator) -> reference.State:
    """The same with integers that learn at either end."""
    parameters = dict(state.parameters)
    for step in program.steps:
        if not isinstance(step, Update) or program.precision is Precision.FLOAT32:
            continue
        name = step.writes[0]
        value = parameters[name]
        ends = np.array([-127, 127, -128] if value.dtype == np.int8 else [2**30, -(2**30)])
        at = rng.random(value.shape) < 0.2
        parameters[name] = np.where(at, rng.choice(ends, value.shape), value).astype(value.dtype)
    return reference.State(state.step, parameters, state.momenta)


def prepared(graph: Graph, options: TrainOptions) -> tuple[Tail, Program, reference.State]:
    """All layers as a tail, its program, and its state at the start."""
    tail = split(graph, chosen_layers(graph, Last(len(weighted_layers(graph)))))
    program = training_program(tail, options)
    return tail, program, reference.initial_state(tail, program)


def executed(
    client: KernelClient,
    graph: Graph,
    options: TrainOptions,
    target: Array,
    *,
    rate: float = 0.01,
    seed: int = 0,
    at_ends: bool = False,
) -> set[str]:
    tail, program, state = prepared(graph, options)
    rng = np.random.default_rng(seed)
    if at_ends:
        state = extreme(program, state, rng)
    start = reference.boundary(tail, program, image(graph, seed))
    samples = max(2, options.batch)
    return set(compare(client.run, tail, program, state, start, target, rate, seed, samples))


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    networks(),
    choices(),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-4, 1e-2, 0.3]),
    st.booleans(),
)
def test_random_networks(
    client: KernelClient,
    graph: Graph,
    options: TrainOptions,
    seed: int,
    rate: float,
    at_ends: bool,
) -> None:
    rng = np.random.default_rng(seed)
    (output,) = graph.outputs
    target = rng.normal(0, 1, graph.tensors[output].shape).astype(np.float32)
    executed(client, graph, options, target, rate=rate, seed=seed, at_ends=at_ends)


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("radius", [1, 2, 3])
@pytest.mark.parametrize("net", [residual_net, chain_net, odd_net])
def test_networks_of_all_operators(
    client: KernelClient, net: object, radius: int, precision: Precision
) -> None:
    graph = net()  # type: ignore[operator]
    executed(client, graph, TrainOptions(precision=precision, radius=radius), label(1))


def test_every_kernel_runs(client: KernelClient) -> None:
    """Those of the step programs of these networks, and SOFTMAX, are all that there are."""
    ran = {"tinyml_train_begin"}
    for precision in Precision:
        for radius in (1, 2, 4):
            for net in (residual_net, chain_net, odd_net):
                options = TrainOptions(precision=precision, radius=radius)
                ran |= executed(client, net(), options, label(2))
        b = GraphBuilder("mse", 3)
        x = b.input((1, 2, 2, 3), per_tensor(0.02, -5), name="image")
        mse = TrainOptions(precision=precision, loss=LossKind.MEAN_SQUARED_ERROR)
        graph = b.graph(b.conv(x, 2, (1, 1)))
        ran |= executed(client, graph, mse, np.ones((1, 2, 2, 2), np.float32))
    assert {f"tinyml_train_{path.stem}" for path in training_files()} == ran | {
        "tinyml_train_softmax_f32"
    }


def test_kernels_need_no_heap_no_libm_and_no_state(tmp_path: Path) -> None:
    flags = [*include_flags(), "-std=c99", "-O2", "-fno-stack-protector", "-c"]
    subprocess.run([gcc(), *flags, *map(str, training_files())], cwd=tmp_path, check=True)
    objects = sorted(tmp_path.glob("*.o"))
    listed = subprocess.run(["nm", *map(str, objects)], check=True, capture_output=True, text=True)
    entries = [line.split()[-2:] for line in listed.stdout.splitlines() if len(line.split()) >= 2]
    undefined = {name for kind, name in entries if kind == "U"}
    assert undefined <= {"memcpy", "memset", "_GLOBAL_OFFSET_TABLE_"}
    assert not [name for kind, name in entries if kind in "dDbBCsS"]
    public = {name for kind, name in entries if kind == "T"}
    assert public == {f"tinyml_train_{path.stem}" for path in objects}


def test_files_and_prototypes_are_the_same() -> None:
    header = (runtime_dir() / "include" / "tinyml_train.h").read_text(encoding="utf-8")
    declared = set(re.findall(r"^void tinyml_train_(\w+)\(", header, re.MULTILINE))
    assert declared == {path.stem for path in training_files()}
