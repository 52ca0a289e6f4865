"""docs/ops.md says what the tables say, and names all of TFLite Micro's operators."""

import re
import runpy
from pathlib import Path

import pytest
import tflite
import tflite_micro

from tests.support.builder import per_tensor
from tests.support.tflite_writer import write_operator
from tinyml.errors import UnsupportedError
from tinyml.importers.tflite import OPERATORS, read
from tinyml.ir.graph import DType, Tensor

ROOT = Path(__file__).parent.parent.parent
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "ops_page.py"))


def test_is_up_to_date() -> None:
    found = (ROOT / "docs" / "ops.md").read_text(encoding="utf-8")
    assert found == SCRIPT["page"](), "run python scripts/ops_page.py"


def test_every_operator_of_tflm_is_there_or_listed_as_missing() -> None:
    """By the names of the functions with which the oracle registers its operators."""
    (library,) = Path(tflite_micro.__file__).parent.rglob("_runtime.so")
    registered = {
        name.decode() for name in re.findall(rb"Register_([A-Z0-9_]+)Ev", library.read_bytes())
    }
    assert len(registered) > 90
    builtin = {name for name in vars(tflite.BuiltinOperator) if name.isupper()}
    assert (registered & builtin) <= {*OPERATORS, *SCRIPT["MISSING"]}
    assert not {*OPERATORS} & {*SCRIPT["MISSING"]}
    assert {*SCRIPT["MISSING"]} <= registered


@pytest.mark.parametrize("kind", sorted(SCRIPT["MISSING"]))
def test_what_is_missing_is_refused_by_name(kind: str) -> None:
    quant = per_tensor(0.1)
    x, y = Tensor("x", (1, 4), DType.INT8, quant), Tensor("y", (1, 4), DType.INT8, quant)
    with pytest.raises(UnsupportedError, match=rf"{kind} 'y': is not supported"):
        read(write_operator(kind, [x, x], [y]), "m")
