"""Firmware that learns: the same bits as the host reference, in the memory that was planned."""

import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.link.faults import Fault, FaultyStream
from tests.support.kernel_build import SANITIZE, STRICT, gcc
from tests.support.models import model_path
from tests.support.tflite_writer import write
from tests.train.nets import chain_net, constant_net, residual_net
from tinyml import pipeline
from tinyml.emit import Project, open_project
from tinyml.errors import ModelError
from tinyml.ir.graph import Graph
from tinyml.link import Client, Lesson
from tinyml.runners import host
from tinyml.toolchain import elf_path
from tinyml.train import reference
from tinyml.train.target import verify
from tinyml.train.target.request import TrainRequest, drawn_samples, recorded
from tinyml.verify import deployed_graph


def built(folder: Path, graph: Graph, board: str, **asked: Any) -> Path:
    """The project of a network that learns."""
    model = folder / f"{graph.name}.tflite"
    model.write_bytes(write(graph))
    out = folder / f"{graph.name}-{board}"
    nodes = deployed_graph(model, "int8").nodes
    last = [node.name for node in nodes if node.op.kind == "CONV_2D"][-1]
    asked = {**asked, "update": asked.get("update", "full").replace("LAST", last)}
    pipeline.build_learning(model, board, TrainRequest(**asked), out)
    return out


@pytest.mark.parametrize(
    "asked",
    [
        {"train": "last=7", "filter": "2"},
        {"train": "last=5", "optimizer": "momentum", "batch": 2, "update": "channels=1/2"},
        {"train": "last=2", "filter": "2", "classes": 5, "update": "bias"},
        {"train": "last=7", "filter": "2", "precision": "float32"},
        {"train": "last=5", "optimizer": "momentum", "batch": 2, "precision": "float32"},
        {"train": "last=1", "classes": 5, "update": "channels=1/2", "precision": "float32"},
    ],
    ids=["filtered", "momentum", "classes", "real", "real momentum", "real classes"],
)
def test_every_operator(tmp_path: Path, asked: dict[str, Any]) -> None:
    """Convolutions, pools, add, concatenation, mean, dense layers, on the host."""
    project = built(tmp_path, residual_net(size=5), "host", **asked)
    report = pipeline.verify_learning(project, steps=6)
    assert report.bit_exact, report.first_mismatch
    assert report.parameters_changed
    assert report.arena_bytes_touched <= report.arena_bytes
    assert pipeline.verify(project, inputs=3).bit_exact


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_constants_that_are_no_weights(tmp_path: Path, precision: str) -> None:
    """They stay in flash, in step and inference, wherever they stand."""
    project = built(tmp_path, constant_net(), "host", train="last=2", precision=precision)
    assert pipeline.verify_learning(project, steps=3).bit_exact
    assert pipeline.verify(project, inputs=2).bit_exact


@pytest.mark.parametrize(
    "asked",
    [
        {"train": "last=5", "filter": "2"},
        {"train": "last=4", "filter": "3", "loss": "mse"},
        {"train": "last=3", "filter": "2", "update": "full,LAST:bias", "batch": 3},
        {"train": "last=5", "filter": "2", "precision": "float32"},
    ],
    ids=["shares", "squares", "mixed", "real"],
)
def test_on_a_cortex_m4(tmp_path: Path, asked: dict[str, Any]) -> None:
    """Neighbours that hand each other patches, with two losses."""
    project = built(tmp_path, chain_net(), "qemu-cortex-m4", **asked)
    report = pipeline.verify_learning(project, steps=20, seed=3)
    assert report.bit_exact, report.first_mismatch
    assert report.parameters_changed
    assert 0 <= report.arena_bytes - report.arena_bytes_touched < 8
    assert report.stack_bytes_used > 0
    instructions = _float_instructions(open_project(project))
    assert {"vmul.f32", "vadd.f32"} <= instructions
    assert not {name for name in instructions if re.match("vfn?m", name)}


def _float_instructions(project: Project) -> set[str]:
    """Those of single precision in the firmware, which calls no function for such arithmetic."""
    elf = str(elf_path(project))

    def said(tool: str, *arguments: str) -> str:
        command = [f"arm-none-eabi-{tool}", *arguments, elf]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert not re.findall(r"__aeabi_(?:f|[iu]l?2f)\w+", said("nm"))
    return set(re.findall(r"\bv\w+\.f32", said("objdump", "-d")))


def test_a_keyword_network_on_a_cortex_m4(tmp_path: Path) -> None:
    """The least that has to stand: 20 steps, int8, every byte."""
    out = tmp_path / "kws"
    asked = TrainRequest(train="last=3", filter="2")
    pipeline.build_learning(model_path("kws_ref_model"), "qemu-cortex-m4", asked, out)
    report = pipeline.verify_learning(out, steps=20)
    assert report.bit_exact, report.first_mismatch
    assert report.parameters_changed > 1000
    assert report.arena_bytes_touched == report.arena_bytes
    profile = pipeline.profile_learning(out)
    assert profile.unit == "instructions"
    assert set(profile.phases) == {"backbone", "forward", "backward", "update"}
    assert all(step.count for step in profile.steps if "update" in step.name)


def test_a_difference_is_found_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host forgets to scale one gradient."""
    project = built(tmp_path, chain_net(), "host", train="last=2")
    made = reference.train_step

    def wrong(*given: Any, **more: Any) -> Any:
        tail, program, state, start, target, rate, seed = given
        return made(tail, program, state, start, target, rate * 1.5, seed, **more)

    monkeypatch.setattr(verify.reference, "train_step", wrong)
    report = pipeline.verify_learning(project, steps=4)
    assert not report.bit_exact
    assert report.first_mismatch is not None
    assert report.first_mismatch.step.startswith("update")


def test_a_bad_line_teaches_nothing_twice(tmp_path: Path) -> None:
    """Requests and answers get lost, damaged and doubled; every sample is learned once."""
    project = open_project(built(tmp_path, chain_net(), "host", train="last=2", filter="2"))
    known = verify.learner(project)
    tail, program = known.prepared.tail, known.prepared.program
    writes = {i: Fault(("duplicate", "drop", "flip")[i % 3], 0.5) for i in range(3, 300, 7)}
    reads = {i: Fault(("drop", "truncate")[i % 2], 0.5) for i in range(5, 300, 9)}
    state = reference.initial_state(tail, program)
    with host.run(elf_path(project)) as stream:
        line = FaultyStream(stream, writes, reads)
        client = Client(line, patience=4.0, silence=4.0, first_resend=0.02)
        for number, sample in enumerate(drawn_samples(tail, program, 6)):
            lesson = Lesson(sample.target.tobytes(), 0.05, 1, number)
            run = client.invoke([a.tobytes() for a in sample.inputs.values()], lesson=lesson)
            start = reference.boundary(tail, program, sample.inputs)
            outcome = reference.train_step(tail, program, state, start, sample.target, 0.05, 1)
            state = outcome.state
            assert np.float32(run.loss) == np.float32(outcome.loss)
        parameters, _ = client.read_parameters(state=False)
    assert parameters == known.learning.parameters.packed(state.parameters)


def test_what_does_not_learn_cannot_be_trained(tmp_path: Path) -> None:
    model = tmp_path / "chain.tflite"
    model.write_bytes(write(chain_net()))
    pipeline.build(model, "host", tmp_path / "out")
    with pytest.raises(ModelError, match="does not learn"):
        pipeline.verify_learning(tmp_path / "out", steps=1)


APPLICATION = r"""
#include <stdio.h>
#include "chain_train.h"

static uint8_t arena[CHAIN_ARENA_BYTES] __attribute__((aligned(TINYML_ALIGNMENT)));
static uint8_t slots[2 * 4096];

static void show(float loss) {
  fwrite(&loss, sizeof loss, 1, stdout);
  fwrite(&chain_parameters, sizeof chain_parameters, 1, stdout);
}

int main(void) {
  int8_t input[8 * 8 * 3];
  int32_t label;
  float loss = 0.0f;
  chain_t model;
  tinyml_storage_ram storage = tinyml_storage_in_ram(slots, 4096);

  if (chain_init(&model, arena, sizeof arena) != TINYML_OK) return 1;
  if (chain_params_load(&storage.storage) != TINYML_STORAGE_EMPTY) return 2;
  chain_train_restart(9);
  while (fread(input, sizeof input, 1, stdin) == 1 && fread(&label, sizeof label, 1, stdin) == 1) {
    float before;
    if (chain_loss(&model, input, label, &before) != TINYML_OK) return 3;
    if (chain_train_step(&model, input, label, 0.01f, &loss) != TINYML_OK) return 4;
    if (before != loss) return 5;
    show(loss);
  }
  if (chain_params_save(&storage.storage) != TINYML_STORAGE_OK) return 6;
  if (chain_train_step(&model, input, label, 1.0f, NULL) != TINYML_OK) return 7;
  if (chain_params_load(&storage.storage) != TINYML_STORAGE_OK) return 8;
  show(loss);
  if (chain_train_step(&model, input, 3, 0.01f, NULL) != TINYML_ERROR_TARGET) return 9;
  if (chain_train_step(&model, input, -1, 0.01f, NULL) != TINYML_ERROR_TARGET) return 10;
  if (chain_train_step(NULL, input, 0, 0.01f, NULL) != TINYML_ERROR_NULL) return 11;
  return 0;
}
"""


def test_as_a_library(tmp_path: Path) -> None:
    """Train, ask for the loss, save, spoil and load, in an application of one's own."""
    project = built(tmp_path, chain_net(), "host", train="last=3", filter="2")
    source = tmp_path / "application.c"
    source.write_text(APPLICATION)
    own = [*project.glob("src/*.c"), *project.glob("runtime/**/*.c")]
    own += [*project.glob("storage/*.c"), project / "link" / "crc32.c"]
    folders = [project / "src", project / "runtime" / "include", project / "runtime" / "src"]
    flags = [f"-I{folder}" for folder in (*folders, project / "link")]
    program = tmp_path / "application"
    command = [gcc(), *STRICT, *SANITIZE, "-O0", "-ffp-contract=off", *flags, str(source)]
    subprocess.run([*command, *map(str, own), "-lm", "-o", str(program)], check=True)

    record = open_project(project).manifest.training
    assert record is not None
    prepared = recorded(deployed_graph(project / "model.tflite", "int8"), record)
    known = verify.learner(open_project(project))
    samples = drawn_samples(prepared.tail, prepared.program, 5, 4)
    fed = b"".join(next(iter(s.inputs.values())).tobytes() + s.target.tobytes() for s in samples)
    done = subprocess.run([str(program)], input=fed, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()

    state = reference.initial_state(prepared.tail, prepared.program)
    shown = b""
    for sample in samples:
        start = reference.boundary(prepared.tail, prepared.program, sample.inputs)
        outcome = reference.train_step(
            prepared.tail, prepared.program, state, start, sample.target, 0.01, 9
        )
        state = outcome.state
        shown += struct.pack("<f", outcome.loss) + known.learning.parameters.packed(
            state.parameters
        )
    last = shown[-4 - known.learning.parameters.nbytes :]
    assert done.stdout == shown + last
    assert np.frombuffer(shown, np.uint8).any()
