"""Compiler and linker arguments of a project: the one place, for the Makefile and the toolchain."""

from dataclasses import dataclass, replace

from tinyml.board import Board

LINKER_SCRIPT = "linker.ld"
FREESTANDING = "freestanding"
"""Folder of the headers that stand in where there is no C library."""

ENTRY = "tinyml_port_reset"
"""Said by the linker script, too, but Zig's own default would overrule that."""

_CODE = (
    "-std=c99",
    "-g",
    "-ffunction-sections",
    "-fdata-sections",
    # Fused multiply-adds would make float results depend on the target.
    "-ffp-contract=off",
)
WARN = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")

SHARED = ("-fPIC",)
SHARED_LINK = ("-shared", "-pthread", "-Wl,--gc-sections", "-Wl,--no-undefined")
"""What makes a shared library of a process board's objects, compiling and linking."""

_SPEED, _SIZE = "-O2", "-Os"
_ALL_AT_ONCE = "-flto"
"""Inlines what is called once across files, and leaves out arguments that are always the same."""
_ALONE = "-fno-lto"
"""For hot sources: compiled with all others, GCC goes by the level of these, and at -Os it keeps
from the upper registers of Armv6-M, which the kernels need."""


@dataclass(frozen=True, slots=True)
class Flags:
    """Arguments, with paths relative to the project."""

    code: tuple[str, ...]
    """Of `compile`, what goes for all code, on whatever processor."""
    compile: tuple[str, ...]
    hot: tuple[str, ...]
    """What comes on top for the sources in which most time goes by."""
    link: tuple[str, ...]
    libraries: tuple[str, ...]
    """What goes after the objects when linking."""


def gcc_flags(board: Board, include_dirs: tuple[str, ...], optimize: str = "speed") -> Flags:
    """For the board's GCC and its C library; on a host for any of cc, gcc and clang.

    `optimize` is that of `PlanOptions`.
    """
    # With a C library, its own headers count.
    includes = tuple(f"-I{folder}" for folder in include_dirs if folder != FREESTANDING)
    target = (*board.gcc_flags, *board.toolchain.libc)
    level, hot = _levels(optimize)
    code: tuple[str, ...] = (level, *_CODE)
    if optimize == "size" and board.kind == "baremetal":
        code, hot = (*code, _ALL_AT_ONCE), (*hot, _ALONE)
    compile_flags = (*target, *code, *WARN, *board.define_flags, *includes)
    if board.is_process:
        static = ("-static",) if board.kind == "linux" else ()
        link = (*target, *static, "-pthread", "-Wl,--gc-sections")
        return Flags(code, (*compile_flags, "-pthread"), hot, link, ("-lm",))
    link = ("-nostartfiles", "-static", "-Wl,--gc-sections")
    if _ALL_AT_ONCE in code:
        link = (level, _ALL_AT_ONCE, *link)
    return Flags(
        code,
        compile_flags,
        hot,
        (*target, *link, "-Wl,--fatal-warnings", f"-T{LINKER_SCRIPT}"),
        ("-lm",),
    )


def _levels(optimize: str) -> tuple[str, tuple[str, ...]]:
    """What the compiler is told of speed, and on top for hot sources."""
    return (_SIZE, (_SPEED,)) if optimize == "size" else (_SPEED, ())


def zig_flags(board: Board, include_dirs: tuple[str, ...], optimize: str = "speed") -> Flags:
    """For `zig cc`, a clang that has compiler-rt but, bare metal, no C library."""
    if board.is_process:
        # Zig turns its undefined-behaviour trap on by default; that is for tests.
        flags = gcc_flags(replace(board, gcc_flags=board.clang_flags), include_dirs, optimize)
        return replace(flags, compile=(*flags.compile, "-fno-sanitize=undefined"))
    includes = tuple(f"-I{folder}" for folder in include_dirs)
    level, hot = _levels(optimize)
    code: tuple[str, ...] = (level, *_CODE)
    rest = ("-fno-sanitize=undefined", *board.define_flags, *includes)
    return Flags(
        code,
        (*board.clang_flags, *code, *WARN, *rest),
        hot,
        (*board.clang_flags, "-static", f"-Wl,--gc-sections,--entry={ENTRY}", f"-T{LINKER_SCRIPT}"),
        (),
    )
