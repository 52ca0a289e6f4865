"""`--train` and what goes with it, as a user types it."""

from pathlib import Path

import pytest

from tests.cli.conftest import DIGITS, tinyml

LEARNS = ("--train", "last=2", "--filter", "2")


def test_plan() -> None:
    result = tinyml("plan", DIGITS, "--board", "stm32", *LEARNS, "--json").json
    assert {"trained", "sram_bytes", "steps", "saved", "learning", "trade_off"} <= result.keys()
    assert len(result["trained"]) == 2
    shown = tinyml("plan", DIGITS, "--board", "stm32", *LEARNS).stdout
    assert max(map(len, shown.partition("board  ")[0].splitlines())) <= 80
    assert f"{result['sram_bytes']:,} bytes: arena, parameters, momentum" in shown
    floats = ("--precision", "float32", "--json")
    wide = tinyml("plan", DIGITS, "--board", "stm32", *LEARNS, *floats).json
    assert wide["sram_bytes"] > result["sram_bytes"]


def test_build_verify_and_profile(tmp_path: Path) -> None:
    out = tmp_path / "out"
    built = tinyml("build", DIGITS, "--board", "stm32", *LEARNS, "-o", out, "--json").json
    assert built["sram_bytes"] > built["arena_bytes"] > 0
    verified = tinyml("verify", out, "--train-steps", "20", "--json").json
    assert verified["bit_exact"] and verified["steps"] == 20
    assert verified["first_mismatch"] is None and verified["parameters_changed"] > 0
    assert "BIT-EXACT training on stm32" in tinyml("verify", out, "--train-steps", "1").stdout
    assert tinyml("verify", out, "--inputs", "1", "--json").json["bit_exact"]
    profile = tinyml("profile", out, "--train", "--json").json
    assert profile["unit"] == "instructions"
    assert sum(profile["phases"].values()) <= profile["total"]
    assert profile["arena_bytes_touched"] <= profile["arena_bytes"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--filter", "2"), ("--train is not given",)),
        (("--train", "last=99"), ("last=99", "layers with weights", "last=")),
        ((*LEARNS, "--sram", "1K"), ("takes at least", "--sram allows 1,024", "give --sram")),
        ((*LEARNS, "--feed", "rows"), ("--feed rows does not go with --train",)),
        ((*LEARNS, "--loss", "mse"), ("mse cannot pass the SOFTMAX", "cross-entropy")),
        ((*LEARNS, "--classes", "1"), ("1 classes", "2 classes or more")),
        (("--train", "auto"), ("needs a budget", "--sram")),
    ],
)
def test_bad_requests(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    tinyml("plan", DIGITS, "--board", "stm32", *arguments).fails(2, *words)


def test_a_project_that_does_not_learn(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert tinyml("build", DIGITS, "--board", "host", "-o", out).status == 0
    tinyml("verify", out, "--train-steps", "1").fails(2, "does not learn", "--train")
    tinyml("profile", out, "--train").fails(2, "does not learn")
