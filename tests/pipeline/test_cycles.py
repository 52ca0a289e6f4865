"""Estimated cycles: blocks of code are counted exactly, and cost what the models say."""

from pathlib import Path

import capstone
import pytest

from tests.support.builder import GraphBuilder
from tests.support.tflite_writer import write
from tinyml import pipeline
from tinyml.cycles.code import Instruction, instruction
from tinyml.cycles.cores import cortex_m4, cortex_m7
from tinyml.errors import BoardError


def network() -> bytes:
    builder = GraphBuilder("network")
    x = builder.conv(builder.input((1, 12, 12, 4)), 16)
    return write(builder.graph(builder.dense(x, 8)))


def decoded(*code: int) -> list[Instruction]:
    """Thumb code, given as half-words."""
    decoder = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    decoder.detail = True
    data = b"".join(half.to_bytes(2, "little") for half in code)
    return [instruction(each) for each in decoder.disasm(data, 0)]


LDR_R1_R0, LDR_R2_R0 = 0x6801, 0x6842  # ldr r1, [r0]; ldr r2, [r0, #4]
ADD_R3_R1 = 0x1C4B  # adds r3, r1, #1
ADD_R5_R4 = 0x1C65  # adds r5, r4, #1
PUSH = 0xB470  # push {r4, r5, r6}
SDIV = (0xFB90, 0xF2F1)  # sdiv r2, r0, r1
SMLAD = (0xFB21, 0x4302)  # smlad r3, r1, r2, r4
LDRD = (0xE9D0, 0x1200)  # ldrd r1, r2, [r0]


@pytest.mark.parametrize(
    ("code", "cycles"),
    [
        ((ADD_R3_R1,), 1),
        ((LDR_R1_R0,), 2),
        ((LDR_R1_R0, LDR_R2_R0), 3),  # the second overlaps with the first
        ((LDR_R1_R0, ADD_R3_R1, LDR_R2_R0), 5),
        ((PUSH,), 4),
        (LDRD, 3),
        (SMLAD, 1),
        (SDIV, 7),
    ],
)
def test_cortex_m4(code: tuple[int, ...], cycles: int) -> None:
    assert cortex_m4(decoded(*code)) == cycles


@pytest.mark.parametrize(
    ("code", "cycles"),
    [
        ((ADD_R3_R1, ADD_R5_R4), 1),  # two in a cycle
        ((LDR_R1_R0, LDR_R2_R0), 1),
        ((LDR_R1_R0, ADD_R3_R1), 3),  # has to wait for the load
        ((*SMLAD, *SMLAD), 2),  # one multiplier
    ],
)
def test_cortex_m7(code: tuple[int, ...], cycles: int) -> None:
    assert cortex_m7(decoded(*code)) == cycles


def test_counted_instructions_are_those_of_the_profile(tmp_path: Path) -> None:
    model = tmp_path / "small.tflite"
    model.write_bytes(network())
    pipeline.build(model, "stm32", tmp_path / "project")
    report = pipeline.profile(tmp_path / "project", cycles=True)
    assert report.estimated_cycles is not None and "Cortex-M4" in report.cycles_model
    assert 1.0 < report.estimated_cycles / report.total < 2.5


def test_a_core_without_a_model_is_refused(tmp_path: Path) -> None:
    model = tmp_path / "small.tflite"
    model.write_bytes(network())
    pipeline.build(model, "qemu-cortex-m3", tmp_path / "project")
    with pytest.raises(BoardError, match="no model of the cycles of cortex-m3"):
        pipeline.profile(tmp_path / "project", cycles=True)
