"""What `tinyml boards` says of each board's tests is what is done here."""

from pathlib import Path

import pytest

from tests.support.builder import GraphBuilder
from tests.support.tflite_writer import write
from tinyml import pipeline
from tinyml.board import list_boards, load_board
from tinyml.errors import BoardError


def boards(tested: str) -> list[str]:
    return [name for name in list_boards() if load_board(name).tested == tested]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    net = GraphBuilder("small")
    x = net.conv(net.input((1, 5, 5, 2)), 4)
    path = tmp_path_factory.mktemp("model") / "small.tflite"
    path.write_bytes(write(net.graph(net.dense(x, 3))))
    return path


@pytest.mark.parametrize("name", boards("run"))
def test_is_run(name: str, model: Path, tmp_path: Path) -> None:
    pipeline.build(model, name, tmp_path / "out")
    assert pipeline.verify(tmp_path / "out", inputs=2).bit_exact


@pytest.mark.parametrize("name", boards("compiled"))
def test_is_compiled_and_cannot_be_run(name: str, model: Path, tmp_path: Path) -> None:
    assert pipeline.build(model, name, tmp_path / "out").code_bytes > 500
    with pytest.raises(BoardError, match="has no emulator"):
        pipeline.verify(tmp_path / "out", inputs=2)


def test_nothing_is_known_of_others() -> None:
    """A board that could at least be compiled says so."""
    assert boards("data") == []
