"""A wheel, installed into an empty environment outside the checkout, does the whole job."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits" / "digits_int8.tflite"

pytestmark = pytest.mark.slow


def _run(*command: object, cwd: Path) -> str:
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _json(*command: object, cwd: Path) -> dict[str, Any]:
    value = json.loads(_run(*command, cwd=cwd))
    assert isinstance(value, dict)
    return value


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from an sdist, so that the sdist is proven complete as well."""
    out = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    (path,) = out.glob("*.whl")
    return path


def _files(folder: str) -> set[str]:
    found = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT)) for path in found if "__pycache__" not in path.parts}


def test_wheel_holds_templates_runtime_and_boards(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder in ("codegen", "runtime_c", "boards"):
        expected = {f"tinyml/_data/{name}" for name in _files(folder)}
        assert expected
        assert expected <= names
    assert _files("tinyml") <= names
    assert not any(name.startswith(("tests/", "examples/", "benchmarks/")) for name in names)


def test_installed_wheel_builds_and_verifies(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    pip = (python, "-m", "pip", "--disable-pip-version-check", "--retries", "10", "install")
    _run(*pip, "--quiet", "--constraint", ROOT / "requirements.lock", wheel, cwd=tmp_path)
    where = _run(python, "-c", "import tinyml; print(tinyml.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(tmp_path)

    command = tmp_path / "env" / "bin" / "tinyml"
    built = _json(command, "build", DIGITS, "--board", "stm32", "-o", "fw", "--json", cwd=tmp_path)
    assert Path(built["elf"]).is_relative_to(tmp_path / "fw") or built["elf"].startswith("fw/")
    result = _json(command, "verify", "fw", "--inputs", "3", "--json", cwd=tmp_path)
    assert result["bit_exact"] is True
    assert result["bytes_compared"] == 3 * 10
