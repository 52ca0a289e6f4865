"""How a project becomes a program: what is compiled, and the commands."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tinyml.emit.flags import SHARED, SHARED_LINK, Flags
from tinyml.emit.project import Project
from tinyml.toolchain.compilers import Compiler, find_compiler

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Commands; they run in the project's folder, and their paths are relative to it."""

    compiler: str
    """Name and version."""
    sources: tuple[str, ...]
    """What is compiled; files of a core's have absolute paths."""
    compile: Callable[[str, str], Command]
    """A source and its object -> the command."""
    link: Callable[[Sequence[str], str], tuple[Command, ...]]
    """All objects, in the order of their sources, and the product -> the commands."""


def firmware_recipe(project: Project, compiler: str) -> Recipe:
    """With the board's GCC or with Zig: a firmware or process, of which all is in the project."""
    tool = find_compiler(project.board, compiler)
    flags = tool.flags(project.board, project.include_dirs, project.optimize)
    nowhere = _nowhere(project)

    def link(objects: Sequence[str], product: str) -> tuple[Command, ...]:
        link_flags = (*flags.link, nowhere)
        return ((*tool.command, *link_flags, *objects, *flags.libraries, "-o", product),)

    return Recipe(tool.version, project.sources, _compile(project, tool, flags), link)


def shared_recipe(project: Project, compiler: str) -> Recipe:
    """With the same: the model as a shared library, for a board whose programs are processes."""
    tool = find_compiler(project.board, compiler)
    flags = tool.flags(project.board, project.include_dirs, project.optimize)
    processor = project.board.gcc_flags if tool.family == "gcc" else project.board.clang_flags

    def link(objects: Sequence[str], product: str) -> tuple[Command, ...]:
        ends = (*SHARED_LINK, *objects, *flags.libraries, "-o", product)
        return ((*tool.command, *processor, *ends),)

    compile_one = _compile(project, tool, replace(flags, compile=(*flags.compile, *SHARED)))
    return Recipe(tool.version, project.model_sources, compile_one, link)


def library_recipe(project: Project, compiler: str) -> Recipe:
    """All C of a library as one relocatable object, where its ecosystem's core is not here.

    What needs the core's headers, the port to its serial line, is left out.
    """
    tool = find_compiler(project.board, compiler)
    flags = tool.flags(project.board, project.include_dirs, project.optimize)
    sources = tuple(source for source in project.sources if source.endswith(".c"))

    def link(objects: Sequence[str], product: str) -> tuple[Command, ...]:
        chip = project.board.gcc_flags if tool.family == "gcc" else project.board.clang_flags
        return ((*tool.command, *chip, "-r", "-nostdlib", *objects, "-o", product),)

    return Recipe(tool.version, sources, _compile(project, tool, flags), link)


def _compile(project: Project, tool: Compiler, flags: Flags) -> Callable[[str, str], Command]:
    always, hot = (*tool.command, *flags.compile, _nowhere(project), "-c"), project.hot_sources

    def command(source: str, result: str) -> Command:
        more = flags.hot if source in hot else ()
        return (*always, *more, f"-frandom-seed={source}", source, "-o", result)

    return command


def _nowhere(project: Project) -> str:
    """Debug information tells no one where the project was built, and so is the same everywhere,
    as are the names of what is optimised over all files at once."""
    return f"-ffile-prefix-map={project.root.resolve()}=."
