"""The model alone as a CMake package that others find, and as a CMSIS-Pack by its rules."""

import io
import re
import subprocess
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.ecosystems.forms import cmake
from tests.ecosystems.test_zephyr import chain
from tests.support.emitted import run_tool
from tinyml import importers, pipeline
from tinyml.emit import open_project
from tinyml.errors import BoardError, BuildError
from tinyml.reference import run

MAIN = """
#include <chain.h>
#include <stdio.h>
static uint8_t arena[CHAIN_ARENA_BYTES] __attribute__((aligned(TINYML_ALIGNMENT)));
int main(void) {
  static int8_t input[CHAIN_INPUT_BYTES], output[CHAIN_OUTPUT_BYTES];
  chain_t model;
  if (fread(input, 1, sizeof input, stdin) != sizeof input) return 1;
  if (chain_init(&model, arena, sizeof arena) != TINYML_OK) return 2;
  if (chain_invoke(&model, input, output) != TINYML_OK) return 3;
  return fwrite(output, 1, sizeof output, stdout) != sizeof output;
}
"""
CONSUMER = """
cmake_minimum_required(VERSION 3.15)
project(consumer C)
{how}
add_executable(consumer main.c)
target_link_libraries(consumer chain::chain)
"""
DCORES = {"Cortex-M0", "Cortex-M0+", "Cortex-M3", "Cortex-M4", "Cortex-M7", "Cortex-M33"}
CATEGORIES = {"doc", "include", "header", "sourceC"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chain(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def host(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("host") / "project"
    pipeline.build(model, "host", root, io="int8")
    return root


@pytest.fixture(scope="module")
def stm32(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("stm32") / "project"
    pipeline.build(model, "nucleo-f446re", root)
    return root


def computes(program: Path, model: Path) -> bool:
    """Whether the consumer's outputs are the reference's."""
    graph = importers.load(model)
    (name,) = graph.inputs
    shape = graph.tensors[name].shape
    given = np.random.default_rng(3).integers(-128, 128, shape).astype(np.int8)
    done = subprocess.run([program], input=given.tobytes(), capture_output=True, check=True)
    (expected,) = run(graph, {name: given}).values()
    return done.stdout == expected.tobytes()


def consumer(folder: Path, how: str, *arguments: str) -> Path:
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(CONSUMER.format(how=how))
    (folder / "main.c").write_text(MAIN)
    cmake(folder, folder / "out", *arguments)
    return folder / "out/consumer"


def test_an_installed_package_is_found_and_runs(host: Path, model: Path, tmp_path: Path) -> None:
    package = Path(pipeline.package(host, "cmake", tmp_path / "made").path)
    cmake(package, tmp_path / "built")
    run_tool("cmake", "--install", tmp_path / "built", "--prefix", tmp_path / "prefix")
    prefix = f"-DCMAKE_PREFIX_PATH={tmp_path / 'prefix'}"
    version = open_project(host).manifest.version
    found = consumer(tmp_path / "mine", f"find_package(chain {version} REQUIRED)", prefix)
    assert computes(found, model)
    with pytest.raises(AssertionError, match="version"):
        consumer(tmp_path / "newer", "find_package(chain 99.0 REQUIRED)", prefix)


def test_a_folder_of_a_project_runs(host: Path, model: Path, tmp_path: Path) -> None:
    package = Path(pipeline.package(host, "cmake", tmp_path).path)
    assert computes(consumer(tmp_path / "mine", f"add_subdirectory({package} chain)"), model)


def test_a_package_has_the_model_alone(host: Path, stm32: Path) -> None:
    for project in (host, stm32):
        package = Path(pipeline.package(project, "cmake").path)
        assert package == project / "build" / "chain"
        names = {path.name for path in package.rglob("*.[ch]")}
        assert {"chain.c", "chain.h", "chain_weights.c", "tinyml.h"} <= names
        others = {"main.c", "port.c", "link.c", "crc32.c", "tinyml_link.h", "tinyml_port.h"}
        assert not others & names
    assert pipeline.package(host, "cmake").files > 8  # again, over itself
    (host / "build/chain/mine.txt").write_text("")
    with pytest.raises(BuildError, match=r"holds 'mine\.txt'"):
        pipeline.package(host, "cmake")


def test_a_pack_by_the_rules_of_its_schema(stm32: Path, tmp_path: Path) -> None:
    pack = Path(pipeline.package(stm32, "cmsis-pack", tmp_path).path)
    version = open_project(stm32).manifest.version
    assert pack.name == f"tinyml.chain.{version}.pack"
    with zipfile.ZipFile(pack) as packed:
        names = packed.namelist()
        root = ElementTree.fromstring(packed.read("tinyml.chain.pdsc"))
    assert root.tag == "package" and re.fullmatch(r"1\.\d+(\.\d+)?", root.attrib["schemaVersion"])
    texts = {child.tag: (child.text or "") for child in root}
    assert len(texts) == len(root)  # each at most once
    assert set(texts) == {
        *("vendor", "name", "description", "url", "releases"),
        *("keywords", "conditions", "components"),
    }
    assert all(re.fullmatch(r"[\-_A-Za-z0-9]+", texts[tag]) for tag in ("vendor", "name"))
    assert f"{texts['vendor']}.{texts['name']}.pdsc" in names and texts["url"].endswith("/")
    assert len(texts["description"]) <= 256
    (release,) = root.iterfind("releases/release")
    assert release.attrib == {"version": version} and re.fullmatch(r"\d+\.\d+\.\d+", version)
    (condition,) = root.iterfind("conditions/condition")
    (require,) = condition.iterfind("require")
    assert require.attrib == {"Dcore": "Cortex-M4"} and require.attrib["Dcore"] in DCORES
    (component,) = root.iterfind("components/component")
    assert [child.tag for child in component] == ["description", "files"]
    assert set(component.attrib) == {
        *("Cvendor", "Cclass", "Cgroup", "Csub", "Cversion", "condition"),
    }
    assert component.attrib["condition"] == condition.attrib["id"]
    assert all(2 <= len(component.attrib[key]) <= 32 for key in ("Cclass", "Cgroup", "Csub"))
    listed = [each.attrib for each in component.iterfind("files/file")]
    assert all(set(each) == {"category", "name"} for each in listed)
    assert {each["category"] for each in listed} == CATEGORIES
    for each in listed:
        inside = [name for name in names if name.startswith(each["name"])]
        assert inside and (each["category"] == "include") == each["name"].endswith("/")
    in_pack = {name for name in names if name.endswith(".c")}
    assert in_pack == {each["name"] for each in listed if each["category"] == "sourceC"}


def test_a_pack_asks_for_the_extension_that_a_core_may_lack(model: Path, tmp_path: Path) -> None:
    for board, wanted in (("qemu-cortex-m33", True), ("nucleo-f446re", False)):
        pipeline.build(model, board, tmp_path / board)
        pack = Path(pipeline.package(tmp_path / board, "cmsis-pack").path)
        with zipfile.ZipFile(pack) as packed:
            assert (b' Ddsp="DSP"' in packed.read("tinyml.chain.pdsc")) is wanted


def test_the_sources_of_a_pack_compile_with_what_it_lists(stm32: Path, tmp_path: Path) -> None:
    pack = Path(pipeline.package(stm32, "cmsis-pack", tmp_path).path)
    with zipfile.ZipFile(pack) as packed:
        packed.extractall(tmp_path / "pack")
    flags = ("-mcpu=cortex-m4", "-mthumb", "-std=gnu11", "-O1", "-Wall", "-Werror", "-Iinclude")
    sources = sorted(str(p) for p in (tmp_path / "pack").rglob("*.c"))
    run_tool("arm-none-eabi-gcc", *flags, "-c", *sources, cwd=tmp_path / "pack")


def test_the_bytes_of_a_pack_depend_on_nothing_else(
    model: Path, stm32: Path, tmp_path: Path
) -> None:
    pipeline.build(model, "nucleo-f446re", tmp_path / "again")
    packs = [
        Path(pipeline.package(root, "cmsis-pack", tmp_path / str(i)).path).read_bytes()
        for i, root in enumerate((stm32, tmp_path / "again"))
    ]
    assert packs[0] == packs[1]
    with zipfile.ZipFile(io.BytesIO(packs[0])) as packed:
        assert {entry.date_time for entry in packed.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert packed.namelist() == sorted(packed.namelist())


def test_refusals(host: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="unknown form 'zip'"):
        pipeline.package(host, "zip", tmp_path)
    with pytest.raises(BoardError, match="is for Cortex-M, and board host has host"):
        pipeline.package(host, "cmsis-pack", tmp_path)
    pipeline.build(model, "rp2040", tmp_path / "pico")
    with pytest.raises(BuildError, match="is a library already, of pico"):
        pipeline.package(tmp_path / "pico", "cmake", tmp_path)
