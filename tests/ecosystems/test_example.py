"""The commands of examples/arduino/README.md, as they stand there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "examples" / "arduino" / "README.md"


def test_the_commands_do_what_they_say(tmp_path: Path) -> None:
    commands = re.findall(r"^    (\S.*)$", README.read_text(), re.MULTILINE)
    assert 4 <= len(commands) <= 10
    ours = [line for line in commands if line.startswith("tinyml ") and "--port" not in line]
    said = ""
    for line in ours:
        words = [
            word.replace("build/digits", str(tmp_path / "digits")) for word in shlex.split(line)
        ]
        command = [sys.executable, "-m", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        said += done.stdout
    assert "BIT-EXACT on arduino-mega2560" in said and "cycles" in said
