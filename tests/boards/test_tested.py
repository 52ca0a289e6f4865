"""What `tinyml boards` says of each board's tests is what is done here.

What runs is a real network, the largest of three that the planner finds room for on the board.
"""

from pathlib import Path

import pytest

from tests.cli.conftest import DIGITS
from tests.support.builder import GraphBuilder
from tests.support.models import MODELS
from tests.support.tflite_writer import write
from tinyml import pipeline
from tinyml.board import list_boards, load_board
from tinyml.errors import BoardError, MissingToolError, PlanError
from tinyml.results import BuildReport


def boards(tested: str) -> list[str]:
    return [name for name in list_boards() if load_board(name).tested == tested]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    net = GraphBuilder("small")
    x = net.conv(net.input((1, 5, 5, 2)), 4)
    path = tmp_path_factory.mktemp("model") / "small.tflite"
    path.write_bytes(write(net.graph(net.dense(x, 3))))
    return path


NETWORKS = (MODELS / "kws_ref_model.tflite", MODELS / "micro_speech_quantized.tflite", DIGITS)
"""The largest first; the last is always there."""

SMALL_BOARDS = ("arduino-mega2560",)
"""Which have no room for the first. All others have."""

INSTRUCTIONS_AT_MOST = {"raspberry-pi-3": 2_000_000, "raspberry-pi-5": 2_000_000}
SRAM_AT_MOST = {"arduino-mega2560": 5_499}
"""What the largest network that fits may cost: the kernels written for the board are bound."""

CONSTANTS_AT_LEAST = {"arduino-mega2560": 16_001}
"""So many bytes would not fit the board's memory: they stay where programs are."""


def build_largest(name: str, out: Path) -> tuple[Path, BuildReport]:
    """The largest network, of those that are there, that fits the board."""
    for network in NETWORKS:
        if network.is_file():
            try:
                return network, pipeline.build(network, name, out)
            except PlanError:
                assert network != NETWORKS[-1]
    raise AssertionError


@pytest.mark.slow
@pytest.mark.parametrize("name", boards("run"))
def test_is_run(name: str, tmp_path: Path) -> None:
    """Bit-exact; what it touches is what was planned, and layers cost what the whole does."""
    network, built = build_largest(name, tmp_path / "out")
    report = pipeline.verify(tmp_path / "out", inputs=4)
    assert report.bit_exact and report.inputs == 4 and report.bytes_compared > 0
    profile = pipeline.profile(tmp_path / "out")
    board = load_board(name)
    units = {"host": "nanoseconds", "arduino-mega2560": "cycles"}
    assert profile.unit == units.get(name, "instructions")
    assert profile.arena_bytes_touched == profile.arena_bytes == built.arena_bytes
    if not board.is_process:
        assert 0 < profile.stack_bytes_used < built.stack_bytes
        assert built.sram_bytes + built.stack_bytes <= sum(
            region.bytes for region in board.regions if region.kind == "ram"
        )
    if profile.unit == "instructions":
        rest = profile.total - sum(layer.count for layer in profile.layers)
        # Of a machine, ticks are more than one instruction, and every number is rounded by itself.
        assert (0 if board.is_process else -len(profile.layers) / 2) <= rest < 2000
    wanted = NETWORKS[1 if name in SMALL_BOARDS else 0]
    if not wanted.is_file():
        pytest.skip(f"ran {network.name} alone: shared model {wanted.name} is not there")
    assert network == wanted
    assert profile.total <= INSTRUCTIONS_AT_MOST.get(name, profile.total)
    assert built.sram_bytes <= SRAM_AT_MOST.get(name, built.sram_bytes)
    assert built.const_bytes >= CONSTANTS_AT_LEAST.get(name, 0)


@pytest.mark.parametrize("name", boards("compiled"))
def test_is_compiled_and_cannot_be_run(name: str, model: Path, tmp_path: Path) -> None:
    assert pipeline.build(model, name, tmp_path / "out").code_bytes > 500
    with pytest.raises(BoardError, match="has no emulator"):
        pipeline.verify(tmp_path / "out", inputs=2)


@pytest.mark.parametrize("name", boards("data"))
def test_is_written_and_cannot_be_compiled(name: str, model: Path, tmp_path: Path) -> None:
    """A board that could at least be compiled says so: there is no compiler for it in Debian."""
    assert load_board(name).toolchain.package == ""
    with pytest.raises(MissingToolError, match="no Debian package"):
        pipeline.build(model, name, tmp_path / "out")
    assert (tmp_path / "out" / "README.md").is_file()
