"""Inputs from a seed: host and target make the same bytes."""

import ctypes
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.link import toy
from tests.link.test_protocol import BOUNDED
from tinyml.fill import Fill, FillKind, constant, random_floats, random_words
from tinyml.link import Client
from tinyml.resources import runtime_dir
from tinyml.runners import host

WORD = st.integers(0, 0xFFFF_FFFF)
FLOAT = st.floats(width=32, allow_nan=False, allow_infinity=False)


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """fill.c for this computer."""
    library = tmp_path_factory.mktemp("fill") / "fill.so"
    source = runtime_dir() / "link" / "fill.c"
    command = ["gcc", *toy.STRICT, "-O2", "-ffp-contract=off", "-shared", "-fPIC"]
    subprocess.run([*command, str(source), "-o", str(library)], check=True, timeout=60)
    return ctypes.CDLL(str(library))


def made(device: ctypes.CDLL, fill: Fill, size: int, start: int = 0) -> bytes:
    """What the C code makes from byte `start` on, with a canary behind it."""
    out = ctypes.create_string_buffer(b"\xa5" * (size + 4), size + 4)
    name = "tinyml_fill_words" if fill.kind is FillKind.WORDS else "tinyml_fill_floats"
    numbers = (ctypes.c_uint32(n) for n in (fill.seed, fill.first, fill.second))
    getattr(device, name)(out, ctypes.c_size_t(start), ctypes.c_size_t(size), *numbers)
    assert out.raw[size:] == b"\xa5" * 4
    return out.raw[:size]


@given(seed=WORD, mask=WORD, pattern=WORD, size=st.integers(0, 70))
@BOUNDED
def test_words(device: ctypes.CDLL, seed: int, mask: int, pattern: int, size: int) -> None:
    fill = Fill(FillKind.WORDS, seed, mask, pattern)
    assert made(device, fill, size) == fill.data(size)


@given(seed=WORD, mask=WORD, start=st.integers(0, 70), size=st.integers(0, 70))
@BOUNDED
def test_parts(device: ctypes.CDLL, seed: int, mask: int, start: int, size: int) -> None:
    """A row of an input is what it is in the whole, wherever it begins."""
    fill = Fill(FillKind.WORDS, seed, mask, ~seed & 0xFFFF_FFFF)
    assert made(device, fill, size, start) == fill.data(start + size)[start:]
    floats = random_floats(seed, -1.0, 2.0)
    start, size = start // 4 * 4, size // 4 * 4
    assert made(device, floats, size, start) == floats.data(start + size)[start:]


@given(seed=WORD, low=FLOAT, high=FLOAT, count=st.integers(0, 40))
@BOUNDED
def test_floats(device: ctypes.CDLL, seed: int, low: float, high: float, count: int) -> None:
    low, high = min(low, high, key=abs), max(low, high, key=abs)
    if not np.isfinite(np.float32(high - low)):
        low = 0.0
    fill = random_floats(seed, low, high)
    assert made(device, fill, 4 * count) == fill.data(4 * count)


def test_kinds_mean_what_they_say() -> None:
    assert constant(b"\x80").data(5) == b"\x80" * 5
    assert constant(struct.pack("<f", 1.5)).data(8) == struct.pack("<ff", 1.5, 1.5)
    floats = np.frombuffer(random_floats(7, -2.0, 3.0).data(40_000), np.float32)
    assert (
        -2 <= floats.min() < -1.99 and 2.99 < floats.max() <= 3 and abs(floats.mean() - 0.5) < 0.1
    )
    counts = np.bincount(np.frombuffer(random_words(1).data(100_000), np.uint8), minlength=256)
    assert counts.min() > 250, "every byte comes about as often as any other"
    assert set(random_words(3, 0x0101_0101).data(64)) == {0, 1}


@given(seed=WORD, kind=st.sampled_from(FillKind), first=FLOAT, second=FLOAT)
@BOUNDED
def test_the_target_runs_on_what_it_made(
    host_toy: Path, seed: int, kind: FillKind, first: float, second: float
) -> None:
    """An inference states the CRC of its inputs: it only runs if both sides made the same."""
    fill = Fill(kind, seed, *struct.unpack("<II", struct.pack("<ff", first, second / 2**30)))
    plain = toy.inputs(seed % 100)[0]
    with host.run(host_toy) as stream:
        results = Client(stream).infer([plain, fill])
    assert results == toy.outputs([plain, fill.data(300)])
