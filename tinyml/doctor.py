"""Is everything here that tinyml needs? Programs and packages, with versions."""

import importlib.metadata
import shutil
import subprocess
import sys
from dataclasses import dataclass

from tinyml.results import DoctorReport, ToolCheck


@dataclass(frozen=True, slots=True)
class _Program:
    name: str
    needed_for: str
    package: str


_PROGRAMS = (
    _Program("arm-none-eabi-gcc", "building firmware for Cortex-M", "gcc-arm-none-eabi"),
    _Program("qemu-system-arm", "running firmware without a board", "qemu-system-arm"),
    _Program("aarch64-linux-gnu-gcc", "building for 64-bit Linux boards", "gcc-aarch64-linux-gnu"),
    _Program("arm-linux-gnueabihf-gcc", "the same of 32 bits", "gcc-arm-linux-gnueabihf"),
    _Program("qemu-aarch64", "running programs of these without a board", "qemu-user"),
    _Program("avr-gcc", "building Arduino sketches for AVR", "arduino-core-avr gcc-avr avr-libc"),
    _Program(
        "riscv64-unknown-elf-gcc",
        "building firmware for RISC-V (qemu-riscv32)",
        "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf",
    ),
    _Program("qemu-system-riscv32", "running it without a board", "qemu-system-misc"),
    _Program("gcc", "building for this computer (--board host)", "gcc"),
)

_PACKAGES = (
    *(
        "numpy",
        "scipy",
        "jinja2",
        "pyserial",
        "cobs",
        "pyelftools",
        "capstone",
        "tflite",
        "flatbuffers",
    ),
    *("typer", "rich"),
)


def diagnose() -> DoctorReport:
    """Look for every program and package; `ok` when all that is needed is there.

    The compiler for Cortex-M may be arm-none-eabi-gcc or the `ziglang` package:
    either is enough. What Linux boards, RISC-V and AVR need is not asked for.
    """
    programs = [_program(program) for program in _PROGRAMS]
    zig = _package("ziglang", "building where there is no arm-none-eabi-gcc or gcc")
    packages = [_package(name, "tinyml itself") for name in _PACKAGES]
    found = {check.name for check in (*programs, zig) if check.found}
    compilers = {"arm-none-eabi-gcc", "gcc"} <= found or "ziglang" in found
    ok = compilers and "qemu-system-arm" in found and all(check.found for check in packages)
    return DoctorReport(ok=ok, checks=(*programs, zig, *packages))


def _program(program: _Program) -> ToolCheck:
    path = shutil.which(program.name)
    version = ""
    if path:
        try:
            done = subprocess.run(
                [path, "--version"], capture_output=True, text=True, timeout=10, check=False
            )
            version = (done.stdout or done.stderr).partition("\n")[0].strip()
        except (OSError, subprocess.TimeoutExpired) as error:
            version = f"does not run: {error}"
            path = None
    return ToolCheck(
        program.name, bool(path), version, program.needed_for, f"apt-get install {program.package}"
    )


def _package(name: str, needed_for: str) -> ToolCheck:
    try:
        version, found = importlib.metadata.version(name), True
    except importlib.metadata.PackageNotFoundError:
        version, found = "", False
    return ToolCheck(name, found, version, needed_for, f"{sys.executable} -m pip install {name}")
