"""What README and docs say is so: links, paths, operators, boards, commands, the plan shown."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.conftest import DIGITS
from tinyml import cli, pipeline, report
from tinyml.board import list_boards
from tinyml.importers.tflite import OPERATORS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "examples/*/*.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
)
MADE = ("build/", "../")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert target.startswith("http") or (page.parent / target).exists(), target
    for quoted in re.findall(r"`([\w.*/-]+/[\w.*/-]*)`", text):
        for base in (ROOT, ROOT / "tinyml"):
            folder = quoted.partition("/")[0]
            if (base / folder).is_dir() and not quoted.startswith(MADE):
                assert any(base.glob(quoted.rstrip("/"))), quoted


def test_readme_lists_every_operator() -> None:
    section = README.partition("**Operators**:")[2].partition("\n\n")[0]
    assert re.findall(r"\b[A-Z][A-Z0-9_]+\b", section) == list(OPERATORS)


def test_readme_names_every_board() -> None:
    section = README.partition("**Boards**:")[2].partition("\n\n")[0]
    named = re.findall(r"`([\w-]+)`", section)
    full = [f"qemu-cortex{name}" if name.startswith("-m") else name for name in named]
    assert sorted(full) == list_boards()


def test_readme_lists_every_command() -> None:
    section = README.partition("## Commands")[2].partition("\n## ")[0]
    commands = {command.callback.__name__ for command in cli.app.registered_commands}
    commands |= {group.typer_instance.info.name for group in cli.app.registered_groups}
    assert set(re.findall(r"`tinyml (\w+)", section)) == commands


def test_readme_names_targets_that_the_makefile_has() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    mentioned = set(re.findall(r"(?:`|    )make ([a-z]+)\b", README))
    assert {"demo", "test", "setup", "check", "help"} <= mentioned <= targets


def test_readme_shows_the_plan_as_it_is() -> None:
    out = io.StringIO()
    report.layers(Console(file=out, width=80), pipeline.plan(DIGITS, "stm32"))
    for line in out.getvalue().splitlines():
        assert line.rstrip() in README, "paste what `make demo` prints into README.md"
