"""Arduino libraries: valid by arduino-lint's rules, built by the real core, right on an AVR."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from tests.support.builder import GraphBuilder
from tests.support.tflite_writer import write
from tinyml import pipeline
from tinyml.board import list_boards, load_board
from tinyml.emit import Project, open_project
from tinyml.errors import BoardError, PlanError
from tinyml.runners import open_target
from tinyml.toolchain import arduino, build

BOARDS = [name for name in list_boards() if load_board(name).ecosystem == "arduino"]
MEGA = "arduino-mega2560"


def chain(folder: Path, side: int = 8, classes: int = 5, features: int = 6) -> Path:
    """A small network; all its layers can run by rows."""
    net = GraphBuilder("chain")
    x = net.input((1, side, side, 3))
    x = net.conv(x, features, kernel=(3, 3))
    x = net.depthwise(x, kernel=(3, 3))
    x = net.conv(x, 5)
    path = folder / "chain.tflite"
    path.write_bytes(write(net.graph(net.dense(x, classes))))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chain(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module", params=BOARDS)
def library(
    request: pytest.FixtureRequest, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    root = tmp_path_factory.mktemp("library") / "chain"
    pipeline.build(model, request.param, root)
    return open_project(root)


# ---- The rules of arduino-lint, by its identifiers ----------------------------------------------

CATEGORIES = {
    "Display",
    "Communication",
    "Signal Input/Output",
    "Sensors",
    "Device Control",
    "Timing",
    "Data Storage",
    "Data Processing",
    "Other",
}
FIELDS = {
    *("name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url"),
    *("architectures", "depends", "dot_a_linkage", "includes", "precompiled", "ldflags"),
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\- ]*")
SEMVER = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")


def properties(project: Project) -> dict[str, str]:
    """What library.properties says; a line that is no field is an error."""
    lines = (project.root / "library.properties").read_text().splitlines()
    pairs = [line.split("=", 1) for line in lines]
    assert all(len(pair) == 2 for pair in pairs), lines
    assert len({key for key, _ in pairs}) == len(pairs)
    return dict(map(tuple, pairs))  # type: ignore[arg-type]


def sketches(project: Project) -> list[Path]:
    return sorted((project.root / "examples").glob("*/*.ino"))


def own_files(project: Project) -> list[Path]:
    return [Path(path) for path in project.manifest.files]


def code(project: Project) -> str:
    """All C and C++ of the library."""
    paths = [path for path in own_files(project) if path.suffix in (".c", ".cpp", ".h")]
    return "".join((project.root / path).read_text() for path in paths)


Rule = Callable[[Project], bool]

RULES: dict[str, Rule] = {
    "LS001": lambda p: (p.root / "src" / f"{p.manifest.name}.h").is_file(),
    "LS002": lambda p: len(p.root.name) <= 63,
    "LS003": lambda p: bool(NAME.fullmatch(p.root.name)) and " " not in p.root.name,
    "LS005": lambda p: not any(path.is_symlink() for path in p.root.rglob("*")),
    "LS006": lambda p: not (p.root / ".development").exists(),
    "LS007": lambda p: not any(path.suffix == ".exe" for path in own_files(p)),
    "LS008": lambda p: (p.root / "src" / f"{properties(p)['name']}.h").is_file(),
    "LS009": lambda p: "src" in {path.parts[0] for path in own_files(p)},
    "LS010": lambda p: not any("utility" in path.parts for path in own_files(p)),
    "LP001": lambda p: (p.root / "library.properties").is_file(),
    "LP004": lambda p: [f.name for f in own_files(p)].count("library.properties") == 1,
    "LP005": lambda p: bool(properties(p)),
    "LP006": lambda p: set(properties(p)) <= FIELDS,
    "LP007": lambda p: "name" in properties(p),
    "LP008": lambda p: len(properties(p)["name"]) > 0,
    "LP009": lambda p: len(properties(p)["name"]) <= 63,
    "LP010": lambda p: len(properties(p)["name"]) <= 32,
    "LP011": lambda p: bool(NAME.fullmatch(properties(p)["name"])),
    "LP012": lambda p: not properties(p)["name"].lower().startswith("arduino"),
    "LP015": lambda p: " " not in properties(p)["name"],
    "LP019": lambda p: "version" in properties(p),
    "LP020": lambda p: bool(SEMVER.fullmatch(properties(p)["version"])),
    "LP021": lambda p: bool(SEMVER.fullmatch(properties(p)["version"])),
    "LP023": lambda p: "author" in properties(p),
    "LP024": lambda p: len(properties(p)["author"]) > 0,
    "LP025": lambda p: "maintainer" in properties(p),
    "LP026": lambda p: len(properties(p)["maintainer"]) > 0,
    "LP027": lambda p: not properties(p)["maintainer"].lower().startswith("arduino"),
    "LP028": lambda p: "email" not in properties(p),
    "LP031": lambda p: "sentence" in properties(p),
    "LP032": lambda p: len(properties(p)["sentence"]) > 0,
    "LP034": lambda p: "paragraph" in properties(p),
    "LP036": lambda p: properties(p)["sentence"] not in properties(p)["paragraph"],
    "LP037": lambda p: "category" in properties(p),
    "LP038": lambda p: properties(p)["category"] in CATEGORIES,
    "LP040": lambda p: "url" in properties(p),
    "LP041": lambda p: urlsplit(properties(p)["url"]).scheme == "https",
    "LP043": lambda p: "architectures" in properties(p),
    "LP044": lambda p: len(properties(p)["architectures"]) > 0,
    "LP046": lambda p: properties(p)["architectures"].islower(),
    "LP047": lambda p: "depends" not in properties(p),
    "LP049": lambda p: properties(p)["dot_a_linkage"] == "true",
    "LP050": lambda p: (p.root / "src").is_dir(),
    "LP051": lambda p: len(properties(p)["includes"]) > 0,
    "LP052": lambda p: (p.root / "src" / properties(p)["includes"]).is_file(),
    "LP056": lambda p: len(properties(p)["url"]) > 0,
    "LC001": lambda p: "<arduino.h>" not in code(p),
    "LD001": lambda p: (p.root / "README.md").is_file(),
    "LD003": lambda p: all(f.parts[0] == "examples" for f in own_files(p) if f.suffix == ".ino"),
    "LD004": lambda p: len(sketches(p)) >= 2,
    "SS001": lambda p: all(path.stem == path.parent.name for path in sketches(p)),
    "SS002": lambda p: all(NAME.fullmatch(path.stem) is not None for path in sketches(p)),
    "SS003": lambda p: all(len(path.stem) <= 63 for path in sketches(p)),
}
"""What must hold, of what applies to a library that is made, not published."""


@pytest.mark.parametrize("rule", RULES)
def test_lint(rule: str, library: Project) -> None:
    assert RULES[rule](library), properties(library)


def test_the_rules_find_mistakes(model: Path, tmp_path: Path) -> None:
    pipeline.build(model, "arduino-uno-r4", tmp_path / "chain")
    project = open_project(tmp_path / "chain")
    path = project.root / "library.properties"
    wrong = path.read_text().replace("category=Data", "category=Date").replace("author=", "auhtor=")
    path.write_text(wrong)
    (project.root / "src" / "chain.h").rename(project.root / "src" / "other.h")
    rules = set(RULES) - {"LC001", "LP024"}  # these need what was taken away
    broken = {rule for rule in rules if not RULES[rule](project)}
    assert broken == {"LS001", "LS008", "LP006", "LP023", "LP038", "LP052"}


def test_keywords_are_separated_by_single_tabs_and_exist(library: Project) -> None:
    header = (library.root / "src" / f"{library.manifest.name}.h").read_text()
    header += (library.root / "src" / "tinyml.h").read_text()
    rows = [line.split("\t") for line in (library.root / "keywords.txt").read_text().splitlines()]
    assert all(len(row) == 2 and row[1] in ("KEYWORD1", "KEYWORD2", "LITERAL1") for row in rows)
    assert all(re.search(rf"\b{word}\b", header) for word, _ in rows)


def test_headers_are_found_from_the_folder_that_sketches_see(library: Project) -> None:
    assert library.include_dirs == ("src",)


# ---- Built by the core, run on an AVR -----------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [{}, {"feed": "rows", "io": "int8"}, {"feed": "pull", "io": "int8"}, {"schedule": "patch"}],
    ids=["whole", "rows", "pull", "patch"],
)
def test_bit_exact_on_a_mega(arguments: dict[str, str], model: Path, tmp_path: Path) -> None:
    built = pipeline.build(model, MEGA, tmp_path / "chain", **arguments)  # type: ignore[arg-type]
    assert built.sram_bytes + built.stack_bytes <= load_board(MEGA).region("data").bytes
    report = pipeline.verify(tmp_path / "chain", inputs=3)
    assert report.bit_exact and report.bytes_compared > 0
    (shape,) = (end.shape for end in pipeline.inspect(model).inputs)
    sample = np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)
    assert pipeline.verify(tmp_path / "chain", samples=[[sample]]).bit_exact


def test_a_sketch_that_computes_anything_else_is_found_out(model: Path, tmp_path: Path) -> None:
    pipeline.build(model, MEGA, tmp_path / "chain")
    weights = tmp_path / "chain" / "src" / "chain_weights.c"
    text = weights.read_text()
    changed = re.sub(
        r"(int32_t \w+_channels\[\d+\] = \{\n\s+)(-?\d+)", r"\g<1>99999", text, count=1
    )
    assert changed != text
    weights.write_text(changed)
    build(open_project(tmp_path / "chain"))
    assert not pipeline.verify(tmp_path / "chain", inputs=3).bit_exact


@pytest.mark.parametrize("feed", ["whole", "rows", "pull"])
def test_the_example_for_people_compiles(feed: str, model: Path, tmp_path: Path) -> None:
    io = "model" if feed == "whole" else "int8"
    pipeline.build(model, MEGA, tmp_path / "chain", feed=feed, io=io)
    build(open_project(tmp_path / "chain"), sketch="examples/Inference/Inference.ino")


def test_a_table_longer_than_pointers_reach_is_refused(tmp_path: Path) -> None:
    wide = chain(tmp_path, side=32, classes=16, features=4)
    with pytest.raises(PlanError, match=r"a table has \d{5} bytes, .* at most 32767 \(op \d+ "):
        pipeline.build(wide, MEGA, tmp_path / "out")


def test_more_constants_than_short_pointers_reach_are_refused(tmp_path: Path) -> None:
    net = GraphBuilder("wide")
    x = net.input((1, 150))
    for _ in range(4):
        x = net.dense(x, 150)
    path = tmp_path / "wide.tflite"
    path.write_bytes(write(net.graph(x)))
    with pytest.raises(PlanError, match=r"region 'flash' has 65536 bytes, .* constants 9\d{4}"):
        pipeline.build(path, MEGA, tmp_path / "out")


def test_without_its_core_a_library_is_compiled_but_not_run(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "arduino-uno-r4"
    built = pipeline.build(model, name, tmp_path / "chain")
    assert built.elf.endswith(".o") and built.code_bytes > 1000
    project = open_project(tmp_path / "chain")
    with (
        pytest.raises(BoardError, match="has no emulator"),
        open_target(project.board, tmp_path / "chain" / "build" / "firmware.elf"),
    ):
        pass
    monkeypatch.setattr(arduino, "SYSTEM", tmp_path)
    assert arduino.find_core(load_board(MEGA)) is None
