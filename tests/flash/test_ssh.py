"""Linux boards over ssh: a stand-in for ssh runs commands here, in the processor's emulator."""

import json
import platform
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import DIGITS, tinyml
from tinyml import pipeline
from tinyml.board import load_board
from tinyml.errors import LinkError, TinymlError
from tinyml.runners import ssh

BOARD = "raspberry-pi-4"
URL = "ssh://pi@berry:2222"

_SSH = """#!/usr/bin/env python3
import json, os, subprocess, sys
arguments = sys.argv[1:]
remote = arguments[-1]
with open("{log}", "a") as log:
    log.write(json.dumps(arguments) + "\\n")
print("Welcome to berry, it is a nice day", flush=True)
{before}
os.chdir("{home}")
os.execvp("sh", ["sh", "-c", remote.replace("exec ", "exec {emulator} ")])
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a project's") / "digits pi"
    pipeline.build(DIGITS, BOARD, folder)
    return folder


class Berry:
    """A computer that ssh reaches: its home, and how ssh was called."""

    def __init__(self, folder: Path) -> None:
        self.home, self.log, self.bin = folder / "home", folder / "log", folder / "bin"
        self.home.mkdir()
        self.bin.mkdir()
        self.set_up()

    def set_up(self, before: str = "") -> None:
        emulator = load_board(BOARD).user_emulator
        assert emulator is not None
        here = platform.machine() == emulator.machine
        line = "" if here else " ".join((emulator.program, *emulator.args))
        script = _SSH.format(log=self.log, home=self.home, emulator=line, before=before)
        (self.bin / "ssh").write_text(script)
        (self.bin / "ssh").chmod(0o755)

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
def berry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Berry:
    found = Berry(tmp_path)
    monkeypatch.setenv("PATH", str(found.bin), prepend=":")
    return found


def test_copied_and_verified_over_one_connection_each(project: Path, berry: Berry) -> None:
    outcome = tinyml("flash", project, "--port", URL)
    assert outcome.status == 0, outcome.stderr
    there = berry.home / "tinyml" / project.name
    assert sorted(str(path.relative_to(there)) for path in there.rglob("*") if path.is_file()) == [
        "digits_int8.h",
        "firmware",
        "python/digits_int8/__init__.py",
        "python/digits_int8/libdigits_int8.so",
        "python/digits_int8/library.py",
        "tinyml.h",
    ]
    assert (there / "firmware").read_bytes() == (project / "build/firmware").read_bytes()
    assert berry.calls[0][:4] == ["-p", "2222", "--", "pi@berry"]
    outcome = tinyml("verify", project, "--port", URL, "--inputs", 2)
    assert outcome.status == 0 and "BIT-EXACT" in outcome.stdout, outcome.stderr
    assert len(berry.calls) == 2


def test_a_second_copy_replaces_the_first(project: Path, berry: Berry) -> None:
    for _ in range(2):
        assert tinyml("flash", project, "--port", URL).status == 0
        (berry.home / "tinyml" / project.name / "firmware").write_text("old")
    assert tinyml("flash", project, "--port", URL).status == 0
    assert tinyml("verify", project, "--port", URL, "--inputs", 1).status == 0


def test_a_dry_run_prints_the_command(project: Path, berry: Berry) -> None:
    outcome = tinyml("flash", project, "--port", "ssh://berry", "--dry-run")
    assert outcome.stdout.startswith("ssh -- berry 'mkdir -p ")
    assert not berry.log.exists()


def test_what_was_not_copied_cannot_be_verified(project: Path, berry: Berry) -> None:
    tinyml("verify", project, "--port", URL).fails(2, "ssh ended with status", "tinyml flash")


def test_another_program_is_found_out(project: Path, berry: Berry, tmp_path: Path) -> None:
    assert tinyml("flash", project, "--port", URL).status == 0
    other = shutil.copytree(project, tmp_path / project.name)
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["identity"] = "0" * 64
    (other / "manifest.json").write_text(json.dumps(manifest))
    tinyml("verify", other, "--port", URL).fails(1, "the target runs another firmware")


def test_a_refused_connection_is_told(project: Path, berry: Berry) -> None:
    berry.set_up(before="sys.exit('Permission denied (publickey).')")
    tinyml("flash", project, "--port", URL).fails(2, "ended with status 1", "ssh pi@berry")
    tinyml("verify", project, "--port", URL).fails(2, "Permission denied")


def test_a_host_that_says_nothing_is_given_up(
    project: Path, berry: Berry, monkeypatch: pytest.MonkeyPatch
) -> None:
    berry.set_up(before="import time; time.sleep(30)")
    monkeypatch.setattr(ssh, "_CONNECT_SECONDS", 0.3)
    tinyml("verify", project, "--port", URL).fails(2, "does not answer within 0.3 s")


def test_without_ssh(project: Path, berry: Berry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    for command in ("flash", "verify"):
        tinyml(command, project, "--port", URL).fails(3, "apt-get install openssh-client")


def test_a_port_is_needed(project: Path) -> None:
    tinyml("flash", project).fails(2, "reached over ssh", "--port ssh://user@host")
    tinyml("flash", project, "--port", "/dev/ttyUSB0").fails(2, "reached over ssh")
    tinyml("flash", project, "--port", URL, "--tool", "pyocd").fails(2, "not flashed by pyocd")
    tinyml("verify", project, "--port", "/dev/ttyUSB0").fails(2, "ssh://user@host")


@pytest.mark.parametrize(
    "url",
    [
        "ssh://",
        "ssh://-oProxyCommand=x",
        "ssh://me:secret@there",
        "ssh://there/folder",
        "ssh://a:b",
    ],
)
def test_a_url_that_names_no_computer(url: str) -> None:
    with pytest.raises(TinymlError) as caught:
        ssh.parse(url)
    assert isinstance(caught.value, LinkError) and "ssh://user@host" in caught.value.hint
