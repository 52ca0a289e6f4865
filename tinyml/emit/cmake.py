"""The CMake project of a board without an operating system, and what editors want beside it.

It opens in VS Code (CMake Tools, Cortex-Debug) and as a CMake project in STM32CubeIDE.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

from tinyml.board import Board
from tinyml.emit.flags import FREESTANDING, LINKER_SCRIPT, WARN, Flags
from tinyml.emit.render import render
from tinyml.emit.view import ModelView

_TOOLCHAIN: Final = "cmake/toolchain.cmake"
_PRESET: Final = "firmware"
_PORT: Final = "port/"
"""Folder of the board's own sources."""
_ELF: Final = "build/firmware.elf"


def cmake_files(
    view: ModelView,
    board: Board,
    *,
    sources: Iterable[str],
    model_sources: Iterable[str],
    hot_sources: Iterable[str],
    include_dirs: Iterable[str],
    flags: Flags,
) -> dict[str, bytes]:
    """Path in the project -> content; the arguments are those of the project's Makefile."""
    model = tuple(model_sources)
    rest = [source for source in sources if source not in model]
    # What selects the processor and the C library is in the toolchain file, and may be said once.
    target = (*board.gcc_flags, *board.toolchain.libc)
    lists = render(
        "project/baremetal/CMakeLists.txt.j2",
        model=view,
        board=board,
        model_sources=model,
        port_sources=[source for source in rest if source.startswith(_PORT)],
        firmware_sources=[source for source in rest if not source.startswith(_PORT)],
        include_dirs=[folder for folder in include_dirs if folder != FREESTANDING],
        code=flags.code,
        hot=flags.hot,
        hot_sources=tuple(hot_sources),
        warn=WARN,
        compile=[
            flag for flag in flags.compile if flag not in target and not flag.startswith("-I")
        ],
        link=[flag for flag in flags.link if flag not in target and not flag.startswith("-T")],
        script=LINKER_SCRIPT,
    )
    values = {
        "CMakePresets.json": _presets(board),
        ".vscode/tasks.json": _tasks(board),
        ".vscode/extensions.json": {
            "recommendations": ["ms-vscode.cmake-tools", "marus25.cortex-debug"]
        },
    }
    if board.flash is not None:
        values[".vscode/launch.json"] = _launch(board)
    return {
        "CMakeLists.txt": lists.encode(),
        _TOOLCHAIN: render(
            "project/baremetal/toolchain.cmake.j2", board=board, target=target
        ).encode(),
        **{path: (json.dumps(value, indent=2) + "\n").encode() for path, value in values.items()},
    }


def _presets(board: Board) -> dict[str, Any]:
    return {
        "version": 3,
        "configurePresets": [
            {
                "name": _PRESET,
                "displayName": board.title,
                "binaryDir": "${sourceDir}/build/cmake",
                "toolchainFile": "${sourceDir}/" + _TOOLCHAIN,
                "cacheVariables": {"CMAKE_EXPORT_COMPILE_COMMANDS": "ON"},
            }
        ],
        "buildPresets": [{"name": _PRESET, "configurePreset": _PRESET}],
    }


def _tasks(board: Board) -> dict[str, Any]:
    folder = {"cwd": "${workspaceFolder}"}
    build = f"cmake --preset {_PRESET} && cmake --build --preset {_PRESET}"
    commands = {"build": build, "verify": "tinyml verify ."}
    if board.flash is not None:
        commands |= {"flash": "tinyml flash .", "verify": "tinyml verify . --port ${input:port}"}
    tasks: list[dict[str, Any]] = [
        {"label": label, "type": "shell", "command": command, "options": folder}
        for label, command in commands.items()
    ]
    tasks[0]["group"] = {"kind": "build", "isDefault": True}
    port = {"id": "port", "type": "promptString", "description": "Serial port of the board"}
    inputs = [port] if board.flash is not None else []
    return {"version": "2.0.0", "tasks": tasks, "inputs": inputs}


def _launch(board: Board) -> dict[str, Any]:
    """Configurations of Cortex-Debug, for the tools of the board that are debug servers."""
    assert board.flash is not None
    told = dict(board.flash.arguments)
    servers: dict[str, dict[str, Any]] = {}
    if "openocd" in told:
        servers["openocd"] = {"configFiles": [word for word in told["openocd"] if word != "-f"]}
    if "pyocd" in told:
        servers["pyocd"] = {"targetId": told["pyocd"][-1]}
    return {
        "version": "0.2.0",
        "configurations": [
            {
                "name": f"{board.name} by {server}",
                "type": "cortex-debug",
                "request": "launch",
                "servertype": server,
                "executable": _ELF,
                "cwd": "${workspaceFolder}",
                "runToEntryPoint": "main",
                "preLaunchTask": "build",
                **values,
            }
            for server, values in servers.items()
        ],
    }
