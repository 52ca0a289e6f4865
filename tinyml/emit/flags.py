"""Compiler and linker arguments of a project: the one place, for the Makefile and the toolchain."""

from dataclasses import dataclass, replace

from tinyml.board import Board

LINKER_SCRIPT = "linker.ld"
FREESTANDING = "freestanding"
"""Folder of the headers that stand in where there is no C library."""

ENTRY = "tinyml_port_reset"
"""Said by the linker script, too, but Zig's own default would overrule that."""

_COMPILE = (
    "-std=c99",
    "-O2",
    "-g",
    "-ffunction-sections",
    "-fdata-sections",
    # Fused multiply-adds would make float results depend on the target.
    "-ffp-contract=off",
)
_WARN = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")


@dataclass(frozen=True, slots=True)
class Flags:
    """Arguments, with paths relative to the project."""

    compile: tuple[str, ...]
    link: tuple[str, ...]
    libraries: tuple[str, ...]
    """What goes after the objects when linking."""


def gcc_flags(board: Board, include_dirs: tuple[str, ...]) -> Flags:
    """For the board's GCC and its C library; on a host for any of cc, gcc and clang."""
    # With a C library, its own headers count.
    includes = tuple(f"-I{folder}" for folder in include_dirs if folder != FREESTANDING)
    target = (*board.gcc_flags, *board.toolchain.libc)
    compile_flags = (*target, *_COMPILE, *_WARN, *board.define_flags, *includes)
    if board.is_process:
        static = ("-static",) if board.kind == "linux" else ()
        return Flags(compile_flags, (*target, *static, "-Wl,--gc-sections"), ("-lm",))
    link = ("-nostartfiles", "-static", "-Wl,--gc-sections")
    return Flags(
        compile_flags,
        (*target, *link, "-Wl,--fatal-warnings", f"-T{LINKER_SCRIPT}"),
        ("-lm",),
    )


def zig_flags(board: Board, include_dirs: tuple[str, ...]) -> Flags:
    """For `zig cc`, a clang that has compiler-rt but, bare metal, no C library."""
    if board.is_process:
        # Zig turns its undefined-behaviour trap on by default; that is for tests.
        flags = gcc_flags(replace(board, gcc_flags=board.clang_flags), include_dirs)
        return Flags((*flags.compile, "-fno-sanitize=undefined"), flags.link, flags.libraries)
    includes = tuple(f"-I{folder}" for folder in include_dirs)
    compile_flags = (*_COMPILE, *_WARN, "-fno-sanitize=undefined", *board.define_flags, *includes)
    return Flags(
        (*board.clang_flags, *compile_flags),
        (*board.clang_flags, "-static", f"-Wl,--gc-sections,--entry={ENTRY}", f"-T{LINKER_SCRIPT}"),
        (),
    )
