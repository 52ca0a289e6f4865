"""Builds the toy firmware, and says what it must compute."""

import random
import subprocess
import zlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tinyml.board import Board, load_board
from tinyml.resources import codegen_dir, runtime_dir

SOURCE = Path(__file__).with_name("toy.c")
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror"]

ARENA_BYTES = 1024
TOUCHED = 796 + 200
X, Y, Z, P, Q = (364, 64), (428, 64), (492, 300), (792, 4), (796, 200)
ROWS, ROW_BYTES = 100, 2
OPS, RECORDS = 5, 6
LOOP_UNIT, ROW_UNIT = 1000, 5
FAULT, HANG, OVERFLOW, REFUSE = 0xED, 0xEC, 0xEE, 0xEB


def build(board: Board, folder: Path, *extra: str, compiler: str = "") -> Path:
    """The toy firmware for `board`, compiled strictly; the path of the program."""
    elf = folder / f"toy-{board.name}"
    runtime = runtime_dir()
    sources = [SOURCE, *sorted(runtime.glob("link/*.c"))]
    for port in board.port:
        sources += sorted((runtime / "port" / port).glob("*.c"))
    command = [compiler or board.toolchain.gcc[0]]
    command += [*STRICT, "-O2", "-ffp-contract=off", f"-I{runtime / 'include'}", *extra]
    target = (*board.gcc_flags, *board.toolchain.libc, *board.define_flags)
    command += [*target, *map(str, sources), "-o", str(elf)]
    if board.kind == "linux":
        command += ["-static"]
    if not board.is_process:
        script = folder / f"{board.name}.ld"
        script.write_text(linker_script(board))
        command += ["-nostartfiles", f"-T{script}", "-Wl,--fatal-warnings"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return elf


def linker_script(board: Board) -> str:
    templates = Environment(loader=FileSystemLoader(codegen_dir()), undefined=StrictUndefined)
    return templates.get_template("project/linker.ld.j2").render(board=board)


def build_host(folder: Path) -> Path:
    sanitize = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    return build(load_board("host"), folder, *sanitize)


def inputs(seed: int = 0, *, turns: int = 0, fate: int = 0) -> list[bytes]:
    source = random.Random(seed)
    a = bytes([turns, fate]) + source.randbytes(62)
    return [a, source.randbytes(300)]


def outputs(given: list[bytes]) -> list[bytes]:
    x = bytes((byte + 1) & 0xFF for byte in given[0])
    return [bytes(byte ^ 0x55 for byte in x), given[1][::-1]]


def rows(given: list[bytes]) -> tuple[bytes, bytes]:
    """What ops 3 and 4 compute row by row."""
    p = bytes((byte + 3) & 0xFF for byte in outputs(given)[1][: ROWS * ROW_BYTES])
    before = bytes(ROW_BYTES) + p
    return p, bytes(a ^ b for a, b in zip(p, before, strict=False))


def checksums(given: list[bytes]) -> list[tuple[int, int, int, int]]:
    """(op, output, bytes, CRC) of every observed output."""
    x = bytes((byte + 1) & 0xFF for byte in given[0])
    y, z = outputs(given)
    p, q = rows(given)
    seen = [(0, 0, x), (1, 0, x), (2, 0, z), (2, 1, y), (3, 0, p), (4, 0, q)]
    return [(op, output, len(data), zlib.crc32(data)) for op, output, data in seen]
