"""From a trained model file to a verified firmware, with every step looked at."""

from pathlib import Path

from tests.cli.conftest import tinyml
from tests.frameworks.conftest import Data

BOARD = "stm32"


def deploys(model: Path, data: Data, folder: Path) -> None:
    """Converted twice to the same bytes, as good as the float model, bit-exact in QEMU."""
    quantised, floats, again = (folder / f"{name}.tflite" for name in ("int8", "float", "again"))
    command = ("convert", model, "--data", data.train)
    outcome = tinyml(*command, "-o", quantised, "--float", floats, "--json")
    assert outcome.status == 0, outcome.stderr
    assert outcome.json["unsupported"] == "" and outcome.json["samples"] == 100
    assert tinyml(*command, "-o", again).status == 0
    assert again.read_bytes() == quantised.read_bytes()
    found = tinyml("inspect", quantised, "--json").json
    assert [each["dtype"] for each in (*found["inputs"], *found["outputs"])] == ["int8", "int8"]
    assert found["inputs"][0]["shape"] == [1, 12, 12, 3], "channels last"

    outcome = tinyml(
        *("evaluate", quantised, "--data", data.test),
        *("--float", floats, "--board", BOARD, "--json"),
    )
    assert outcome.status == 0, outcome.stderr
    result = outcome.json
    assert result["float_score"]["accuracy"] > 0.95, "it has learnt"
    assert result["int8_score"]["accuracy"] > result["float_score"]["accuracy"] - 0.02
    assert result["target_score"]["bit_exact"] is True
    assert not result["unmatched"] and not result["hurting"]
    assert all(layer["snr_db"] is None or layer["snr_db"] > 15 for layer in result["layers"])

    project = folder / "project"
    outcome = tinyml("build", model, "--data", data.train, "--board", BOARD, "-o", project)
    assert outcome.status == 0, outcome.stderr
    assert (project / "model.tflite").read_bytes() == quantised.read_bytes()
    assert tinyml("verify", project, "--inputs", 5, "--json").json["bit_exact"] is True
