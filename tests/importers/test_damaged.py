"""Damaged files: a graph that passes the checker, or one clear line; nothing else, ever."""

import time
import tracemalloc
import warnings

import flatbuffers
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tests.importers.common import small_models
from tests.support.tflite_writer import edited
from tinyml.errors import ModelError, TinymlError
from tinyml.importers.tflite import read
from tinyml.ir.check import check

EDGES = (0, 1, 2, 4, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)


def survives(data: bytes) -> bool:
    """Whether the file is read; any error but a clear one fails the test."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            graph = read(data, "m")
    except TinymlError as error:
        assert error.what
        assert error.what.isprintable()
        return False
    check(graph)
    return True


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bits, bytes, words or spans changed, now and then the end cut off."""
    found = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(len(found)))
        match rng.integers(6):
            case 0:
                found[at] ^= 1 << int(rng.integers(8))
            case 1:
                found[at] = int(rng.integers(256))
            case 2 | 3:
                at = at // 4 * 4
                near = at + int(rng.integers(-64, 64))
                value = int(rng.choice([*EDGES, at, len(found), near]))
                found[at : at + 4] = (value % 2**32).to_bytes(4, "little")
            case 4:
                source, size = int(rng.integers(len(found))), int(rng.integers(1, 64))
                found[at : at + size] = found[source : source + size]
            case _:
                if at and rng.integers(4) == 0:
                    del found[at:]
    return bytes(found)


@pytest.mark.parametrize("name", sorted(small_models()))
def test_sound_files_are_read(name: str) -> None:
    assert survives(small_models()[name])


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(small_models())), st.integers(0, 2**32 - 1))
def test_mutated(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(30):
        survives(mutated(small_models()[name], rng))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=200))
def test_noise_behind_the_identifier(noise: bytes) -> None:
    assert not survives(noise)
    assert not survives(b"\x10\0\0\0TFL3" + noise)


@pytest.mark.parametrize("name", sorted(small_models()))
def test_truncated(name: str) -> None:
    data = small_models()[name]
    for size in {*range(min(len(data), 300)), *range(0, len(data), 97)}:
        with pytest.raises(ModelError):
            read(data[:size], "m")


def test_every_word_set_to_extremes() -> None:
    data = small_models()["convolutional"]
    for at in range(0, len(data) - 3, 4):
        for value in (0, 1, 2**31 - 1, 2**32 - 1):
            survives(data[:at] + value.to_bytes(4, "little") + data[at + 4 :])


def repeated_tensor(count: int, name_bytes: int) -> bytes:
    """A small file whose vector of tensors points `count` times to the same tensor."""
    builder = flatbuffers.Builder(1024)
    name = builder.CreateString("x" * name_bytes)
    schema.TensorStart(builder)
    schema.TensorAddName(builder, name)
    tensor = schema.TensorEnd(builder)
    schema.SubGraphStartTensorsVector(builder, count)
    for _ in range(count):
        builder.PrependUOffsetTRelative(tensor)
    tensors = builder.EndVector()
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    subgraph = schema.SubGraphEnd(builder)
    schema.ModelStartSubgraphsVector(builder, 1)
    builder.PrependUOffsetTRelative(subgraph)
    subgraphs = builder.EndVector()
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, 3)
    schema.ModelAddSubgraphs(builder, subgraphs)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def test_overlapping_parts_cost_neither_time_nor_memory() -> None:
    """100,000 tensors that share a name of 100 kB would take 10 GB."""
    data = repeated_tensor(100_000, 100_000)
    tracemalloc.start()
    started = time.process_time()
    with pytest.raises(ModelError, match="overlap"):
        read(data, "m")
    assert time.process_time() - started < 2
    assert tracemalloc.get_traced_memory()[1] < 10 * len(data)
    tracemalloc.stop()


def test_alike_names_cost_no_time() -> None:
    """Making 20,000 equal names unique is not quadratic."""

    def many(model) -> None:
        (subgraph,) = model.subgraphs
        extra = [schema.TensorT(name="x", shape=[1]) for _ in range(20_000)]
        first = len(subgraph.tensors)
        subgraph.tensors += extra
        subgraph.inputs = [*subgraph.inputs, *range(first, len(subgraph.tensors))]

    data = edited(small_models()["moving"], many)
    started = time.process_time()
    assert len(read(data, "m").inputs) == 20_001
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no TFL3 identifier"),
        (b"PK\3\4 a zip archive", "no TFL3 identifier"),
        (b"\x10\0\0\0TFL3", "lies outside the file"),
    ],
)
def test_one_clear_line(data: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        read(data, "some")
    assert "'some'" in str(caught.value)
    assert "\n" not in str(caught.value)
