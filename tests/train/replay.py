"""Recorded calls of training kernels, replayed on other cores by a program of their own."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.kernel_build import STRICT, include_flags, training_files
from tests.support.kernel_server import Function
from tinyml.emit.literals import number
from tinyml.kernels.call import ConstArray, OpStruct

SCRIPT = """
MEMORY { code : ORIGIN = 0, LENGTH = 4M
  ram : ORIGIN = 0x20000000, LENGTH = 4M }
ENTRY(reset)
SECTIONS {
  .text : { *(.vectors) *(.text*) *(.rodata*) *(.ARM.ex*) } > code
  .data : { *(.data*) *(.bss*) *(COMMON) } > ram
  stack_top = ORIGIN(ram) + LENGTH(ram);
}
"""


@dataclass(frozen=True)
class Core:
    """A compiler with its flags, and what runs the program."""

    gcc: str
    flags: tuple[str, ...]
    emulator: tuple[str, ...]
    bare: bool = True


def _mps2(machine: str) -> tuple[str, ...]:
    return (
        *("qemu-system-arm", "-M", machine, "-nographic", "-icount", "shift=0"),
        *("-semihosting-config", "enable=on,target=native", "-kernel"),
    )


HARD = ("-mthumb", "-mfloat-abi=hard")
CORES = {
    "M0": Core("arm-none-eabi-gcc", ("-mcpu=cortex-m0", "-mthumb"), _mps2("mps2-an385")),
    "M4": Core(
        "arm-none-eabi-gcc",
        ("-mcpu=cortex-m4", *HARD, "-mfpu=fpv4-sp-d16"),
        _mps2("mps2-an386"),
    ),
    "M7": Core(
        "arm-none-eabi-gcc", ("-mcpu=cortex-m7", *HARD, "-mfpu=fpv5-d16"), _mps2("mps2-an500")
    ),
    "A53": Core(
        "aarch64-linux-gnu-gcc",
        ("-mcpu=cortex-a53", "-static"),
        ("qemu-aarch64",),
        bare=False,
    ),
}


@dataclass(frozen=True)
class Recorded:
    """A call, and what its pointers hold afterwards."""

    request: Function
    results: tuple[bytes, ...]


def _array(ctype: str, name: str, data: bytes) -> str:
    words = ",".join(map(str, data))
    return f"static {ctype} uint8_t {name}[] __attribute__((aligned(8))) = {{{words}}};"


def _struct(name: str, op: OpStruct) -> list[str]:
    lines, fields = [], []
    for field, value in op.fields:
        if isinstance(value, ConstArray):
            table = f"{name}_{field.replace('.', '_')}"
            numbers = ",".join(number(v) for v in value.data.tolist())
            lines.append(f"static const {value.ctype} {table}[] = {{{numbers}}};")
            text = table
        else:
            text = "0" if value is None else number(value)
        fields.append(f".{field} = {text}")
    return [*lines, f"static const {op.ctype} {name} = {{{', '.join(fields)}}};"]


def source(recorded: list[Recorded]) -> str:
    """The C header with all calls."""
    lines = ['#include "tinyml_train.h"', f"#define CALLS {len(recorded)}u"]
    lines.append("typedef struct { const void *got, *want; uint32_t bytes; } result;")
    table = []
    for i, one in enumerate(recorded):
        request = one.request
        lines += _struct(f"op{i}", request.struct)
        arguments, results = [f"&op{i}"], []
        for k, (given, want) in enumerate(zip(request.pointers, one.results, strict=True)):
            if given is None:
                arguments.append("0")
                continue
            lines += [_array("", f"b{i}_{k}", given), _array("const", f"w{i}_{k}", want)]
            arguments.append(f"(void *)b{i}_{k}")
            results.append(f"{{b{i}_{k}, w{i}_{k}, {len(want)}}}")
        before = []
        if request.sample is not None:
            schedule, rate, seed, at = request.sample
            lines += _struct(f"schedule{i}", schedule)
            before.append("tinyml_train_sample s;")
            rate_text = number(rate).removesuffix("f") + "f"
            before.append(f"tinyml_train_begin(&schedule{i}, {rate_text}, {seed}u, {at}u, &s);")
            arguments.append("&s")
        if request.scratch_bytes:
            lines.append(f"static uint64_t scratch{i}[{-(-request.scratch_bytes // 8)}];")
            arguments.append(f"scratch{i}")
        call = f"{request.kernel}({', '.join(arguments)});"
        lines.append(f"static void run{i}(void) {{ {' '.join(before)} {call} }}")
        lines.append(f"static const result r{i}[] = {{{', '.join(results)}}};")
        table.append(f'{{"{request.kernel}", run{i}, r{i}, {len(results)}u}}')
    lines.append("static const struct { const char *name; void (*run)(void);")
    lines.append("  const result *results; uint32_t count; } calls[] = {")
    return "\n".join((*lines, ",\n".join(table), "};", ""))


def replay(recorded: list[Recorded], core: Core, folder: Path) -> list[str]:
    """What the program says: a line for each call, with its ticks, and where it differs."""
    (folder / "replay.h").write_text(source(recorded), encoding="utf-8")
    program = folder / "replay.elf"
    command = [core.gcc, *STRICT, "-O2", "-ffp-contract=off", *core.flags]
    command += [*include_flags(), f"-I{folder}", *map(str, training_files())]
    command += [str(Path(__file__).with_name("replay.c")), "-o", str(program)]
    if core.bare:
        (folder / "replay.ld").write_text(SCRIPT, encoding="utf-8")
        command += ["-nostartfiles", "-nodefaultlibs", f"-T{folder / 'replay.ld'}", "-lgcc"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    run = [*core.emulator, str(program)]
    out = subprocess.run(run, capture_output=True, text=True, timeout=120, check=False)
    lines = (out.stdout + out.stderr).splitlines()
    assert lines and lines[-1] == "end", lines[-3:]
    return lines[:-1]
