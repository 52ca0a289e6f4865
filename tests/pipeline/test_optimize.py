"""Code made for size against code made for speed: the same bytes out of fewer bytes of code."""

from pathlib import Path

import pytest

from tests.support.models import model_path
from tinyml import compare, pipeline
from tinyml.emit import open_project
from tinyml.errors import MissingToolError
from tinyml.results import CodeChoice

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits_int8.tflite"


def choices(model: Path, board: str, optimize: str = "speed") -> dict[str, CodeChoice]:
    report = pipeline.plan(model, board, compare=True, optimize=optimize)
    assert [each.optimize for each in report.optimize if each.taken] == [optimize]
    taken = next(each for each in report.optimize if each.taken)
    assert taken.instructions == report.instructions
    return {each.optimize: each for each in report.optimize}


@pytest.mark.parametrize(
    ("board", "share"), [("stm32", 0.8), ("qemu-cortex-m3", 0.9), ("qemu-cortex-m55", 0.8)]
)
def test_size_is_what_was_said(board: str, share: float, tmp_path: Path) -> None:
    """Sizes are those of the firmware, which is bit-exact and uses the memory that is planned."""
    said = choices(DIGITS, board, "size")
    speed, size = said["speed"], said["size"]
    built = pipeline.build(DIGITS, board, tmp_path, optimize="size")
    assert (size.code_bytes, size.const_bytes) == (built.code_bytes, built.const_bytes)
    assert pipeline.verify(tmp_path, inputs=3).bit_exact
    profile = pipeline.profile(tmp_path)
    assert profile.arena_bytes_touched == profile.arena_bytes == built.arena_bytes
    assert size.code_bytes is not None and speed.code_bytes is not None
    assert size.code_bytes < share * speed.code_bytes


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kws_ref_model", "resnet8_cifar10_int8"])
def test_real_models(name: str, tmp_path: Path) -> None:
    said = choices(model_path(name), "qemu-cortex-m4", "size")["size"]
    built = pipeline.build(model_path(name), "qemu-cortex-m4", tmp_path / "p", optimize="size")
    assert (said.code_bytes, said.const_bytes) == (built.code_bytes, built.const_bytes)
    assert pipeline.verify(tmp_path / "p", inputs=2).bit_exact
    count = pipeline.profile(tmp_path / "p").total
    # The general convolution's cost was fitted to windows with padding, which 1x1 layers lack.
    assert said.instructions == pytest.approx(count, rel=0.12)


def test_make_builds_the_same(tmp_path: Path) -> None:
    """The Makefile and the toolchain agree on which source is made for what."""
    for optimize in ("speed", "size"):
        pipeline.build(DIGITS, "qemu-cortex-m3", tmp_path / optimize, optimize=optimize)
        project = open_project(tmp_path / optimize)
        assert project.optimize == optimize
        makefile = (project.root / "Makefile").read_text()
        level = {"speed": "-O2", "size": "-Os"}[optimize]
        assert f" {level} " in makefile
        assert ("HOT" in makefile) == (optimize == "size")
        if optimize == "size":
            assert project.hot_sources
            assert all(f"  {source}" in makefile for source in project.hot_sources)
            assert set(project.hot_sources) < set(project.sources)


def test_rebuilt_in_another_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Optimised over all files at once, a firmware still does not depend on where it was built."""
    monkeypatch.setenv("CCACHE_DISABLE", "1")  # objects of another place are not built in this one
    images = []
    for place in ("here", "some/where/else"):
        built = pipeline.build(DIGITS, "stm32", tmp_path / place, optimize="size")
        images.append(Path(built.elf).read_bytes())
    assert images[0] == images[1]


def test_without_a_compiler_sizes_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise MissingToolError("no compiler", hint="install one")

    monkeypatch.setattr(compare.toolchain, "build", missing)
    for each in choices(DIGITS, "stm32").values():
        assert each.code_bytes is each.const_bytes is None
        assert each.instructions is not None


def test_processes_have_no_flash() -> None:
    assert pipeline.plan(DIGITS, "host", compare=True).optimize == ()
