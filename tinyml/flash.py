"""`tinyml flash`: a project's firmware onto its board, by a tool that is installed, or over ssh."""

import shlex
import shutil
import subprocess
from pathlib import Path

from tinyml.board import Board
from tinyml.emit import Project
from tinyml.emit.ecosystem import load_ecosystem
from tinyml.errors import BoardError, BuildError, LinkError, MissingToolError
from tinyml.results import FlashReport
from tinyml.runners import ssh, usb
from tinyml.runners.flash_tools import FlashTool, command, tools
from tinyml.runners.usb import Ask
from tinyml.toolchain import elf_path, image, library_path, uf2


def flash_project(
    project: Project, *, port: str | None, tool: str | None, dry_run: bool, ask: Ask | None
) -> FlashReport:
    """Puts the project's firmware on its board; with `dry_run`, says only by what command.

    `port` is a serial port, or ssh://user@host for a Linux board; `tool` a name of
    boards/tools.toml, instead of the first that is installed; `ask` lets the user choose
    where several devices could be the board.

    Raises BoardError for a board that nothing is flashed to, BuildError before the build,
    MissingToolError without a tool, LinkError where the board is not found or the tool fails.
    """
    board = project.board
    if board.kind == "linux":
        return _copy(project, port, tool, dry_run=dry_run)
    if port is not None and port.startswith(ssh.SCHEME):
        raise BoardError(f"{board.name} does not run Linux", hint="leave out --port, or name one")
    elf = elf_path(project)
    if board.kind == "library":
        form = load_ecosystem(board.ecosystem)
        if form.flash:
            raise BoardError(
                f"board {board.name} is flashed by its ecosystem's own tool",
                hint=f"{form.flash}, as the README.md of the project says",
            )
        if form.elf:
            elf = project.root.resolve() / form.elf.format(name=project.manifest.name)
    if board.flash is None:
        what = "is this computer" if board.kind == "host" else "is not known how to flash"
        raise BoardError(
            f"board {board.name} {what}", hint="its file may say so: see docs/flashing.md"
        )
    chosen = _choose(board, tool, dry_run=dry_run)
    if chosen.file.endswith(".uf2") and not board.flash.uf2_family:
        raise BoardError(
            f"{chosen.name} takes UF2, and what that calls {board.name}'s chip is not known",
            hint="uf2_family in [flash] of the chip's file",
        )
    device = usb.find(board.name, board.flash.usb, port, ask)
    if device is None and chosen.needs_port:
        raise LinkError(
            f"no {board.name} is connected: no serial port is of USB {', '.join(board.flash.usb)}",
            hint="name it: --port",
        )
    file = elf.with_name(chosen.file)
    line = command(chosen, board, file, device)
    if not dry_run:
        _there(elf)
        if file.suffix == ".bin":
            file.write_bytes(image(elf, board.region("code")))
        elif file.suffix == ".uf2":
            file.write_bytes(uf2(elf, board.flash.uf2_family))
        _run(line, chosen, _there(file).parent if chosen.within else None)
    return FlashReport(
        project=str(project.root),
        board=board.name,
        tool=chosen.name,
        command=(f"cd {shlex.quote(str(file.parent))} && " if chosen.within else "")
        + shlex.join(line),
        port=device.port if device else "",
        done=not dry_run,
    )


def _choose(board: Board, wanted: str | None, *, dry_run: bool) -> FlashTool:
    """The tool by name, or the first that is installed; for a dry run it need not be."""
    assert board.flash is not None
    known = tools(board.flash)
    if wanted is not None:
        known = tuple(each for each in known if each.name == wanted)
        if not known:
            raise BoardError(
                f"board {board.name} is not flashed by {wanted}",
                hint=f"one of {', '.join(board.flash.tools)}",
            )
    for each in known:
        if shutil.which(each.program):
            return each
    if dry_run:
        return known[0]
    others = ", ".join(each.program for each in known[1:])
    raise MissingToolError(
        f"{known[0].program} is not installed" + (f", nor is any of {others}" if others else ""),
        hint=known[0].install,
    )


def _there(path: Path) -> Path:
    if not path.is_file():
        raise BuildError(
            f"there is no '{path}'",
            hint="build it: tinyml build, make in the project's folder, or what its README.md says",
        )
    return path


def _run(line: tuple[str, ...], tool: FlashTool, folder: Path | None) -> None:
    """Runs the tool, whose own words go to standard error; in `folder`, where one is given."""
    try:
        status = subprocess.run(line, stdout=2, check=False, cwd=folder).returncode
    except OSError as error:
        raise LinkError(f"{tool.program} does not start: {error.strerror}") from error
    if status:
        raise LinkError(
            f"{tool.program} ended with status {status}",
            hint="its reason is above; --dry-run shows the command",
        )


def _copy(project: Project, port: str | None, tool: str | None, *, dry_run: bool) -> FlashReport:
    """Program, library, header and Python package, by one connection."""
    if port is None or not port.startswith(ssh.SCHEME):
        raise BoardError(
            f"board {project.board.name} is reached over ssh", hint="--port ssh://user@host"
        )
    if tool not in (None, ssh.PROGRAM):
        raise BoardError(f"board {project.board.name} is not flashed by {tool}", hint=ssh.PROGRAM)
    host, name = ssh.parse(port), project.manifest.name
    if not dry_run:
        package = [path for path in project.manifest.files if path.startswith("python/")]
        files = {
            "firmware": elf_path(project),
            f"{name}.h": project.root / "src" / f"{name}.h",
            "tinyml.h": project.root / "runtime" / "include" / "tinyml.h",
            **{path: project.root / path for path in package},
            library_path(project).relative_to(project.root.resolve()).as_posix(): library_path(
                project
            ),
        }
        ssh.copy(host, project.root, {to: _there(path) for to, path in files.items()})
    return FlashReport(
        project=str(project.root),
        board=project.board.name,
        tool=ssh.PROGRAM,
        command=shlex.join(ssh.copy_command(host, project.root)),
        port=port,
        done=not dry_run,
    )
