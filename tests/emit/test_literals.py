"""Values and names as C text."""

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyml.emit import literals
from tinyml.emit.names import Namer, model_name, short

SETTINGS = settings(derandomize=True, deadline=None, max_examples=200)


@SETTINGS
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_float32_is_exact(value: float) -> None:
    text = literals.number(value)
    assert re.fullmatch(r"-?[0-9][0-9.]*(e[+-]?[0-9]+)?f", text)
    assert "." in text or "e" in text
    assert np.float32(text[:-1]) == np.float32(value)
    assert len(text) <= 18


@SETTINGS
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_double_is_exact(value: float) -> None:
    text = literals.number(value)
    assert float(text.removesuffix("f")) == value or np.float32(text[:-1]) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_has_no_literal_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="no literal"):
        literals.number(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-1, "-1"),
        (-(2**31), "INT32_MIN"),
        (-(2**63), "INT64_MIN"),
        (2**31 - 1, "2147483647"),
    ],
)
def test_integers(value: int, text: str) -> None:
    assert literals.number(value) == text


@SETTINGS
@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=200), st.integers(0, 8))
def test_arrays_fill_the_page(values: list[int], indent: int) -> None:
    lines = literals.array(np.array(values, np.int64), indent)
    words = " ".join(lines).removesuffix(",").split(", ")
    assert [-(2**31) if w == "INT32_MIN" else int(w) for w in words] == values
    assert all(len(line) + indent <= literals.WIDTH for line in lines)
    for line, following in pairwise(lines):
        assert len(line) + indent + 1 + len(following.split()[0]) > literals.WIDTH


@SETTINGS
@given(st.text(max_size=300))
def test_comments_and_strings_hold_any_text(text: str) -> None:
    lines = literals.comment(text, 3)
    joined = "\n".join(lines)
    assert "*/" not in joined
    assert "/*" not in joined
    assert joined.isascii()
    assert "\\" not in joined
    parts = literals.string(text, 8)
    for part in parts:
        assert re.fullmatch(r'"([ !#->@-\[\]-~]|\\[0-7]{3})*"', part)
        assert len(part) + 8 < literals.WIDTH
    literal = "".join(part[1:-1] for part in parts)
    octal = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), literal)
    assert octal.encode("latin-1").decode() == text


@SETTINGS
@given(st.text(max_size=80))
def test_identifiers_are_identifiers(text: str) -> None:
    for name in (model_name(text), short(text)):
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert len(name) <= 28
        assert "__" not in name


def test_names_say_what_the_path_ends_with() -> None:
    assert short("net/block_1/conv/Relu;net/block_1/bias") == "conv_relu"
    assert short("functional_1/dense/BiasAdd:0") == "biasadd_0"
    assert model_name("KWS ref-model.v2") == "kws_ref_model_v2"


@SETTINGS
@given(st.lists(st.sampled_from(["a", "a_2", "a_3", "b"]), max_size=20))
def test_namer_never_repeats(wanted: list[str]) -> None:
    namer = Namer(["b"])
    given_names = [namer(w) for w in wanted]
    assert len(set(given_names)) == len(given_names)
    assert "b" not in given_names


def test_calls_wrap_under_the_parenthesis() -> None:
    lines = literals.call("tinyml_kernel", [f"argument_{i}" for i in range(12)], ";", 2)
    assert len(lines) > 1
    assert all(len(line) + 2 <= literals.WIDTH for line in lines)
    assert all(line.startswith(" " * 14 + "argument") for line in lines[1:])
    assert " ".join(line.strip() for line in lines).count("argument") == 12
    assert literals.call("f", ["a", "b"], ";", 0) == ("f(a, b);",)


def test_truth_values_are_numbers() -> None:
    assert literals.array(np.array([True, False]), 0) == ("1, 0,",)
