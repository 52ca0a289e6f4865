"""Starting targets, and every way in which that fails."""

import dataclasses
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.link import toy
from tinyml.board import load_board
from tinyml.errors import BoardError, BuildError, LinkError, MissingToolError
from tinyml.link import Client
from tinyml.runners import host, open_target, serial_port
from tinyml.runners.process import child
from tinyml.runners.stream import FileStream


def test_open_target_on_the_host(host_toy: Path) -> None:
    with open_target(load_board("host"), host_toy) as stream:
        assert Client(stream).infer(toy.inputs()) == toy.outputs(toy.inputs())


def test_a_terminal_device_by_name(host_toy: Path) -> None:
    ours, theirs = os.openpty()
    name = os.ttyname(theirs)
    # pyserial sets the line to raw mode before the firmware says anything.
    with (
        serial_port.run(name, 115200) as stream,
        child([str(host_toy)], "toy", stdin=ours, stdout=ours),
    ):
        assert Client(stream).infer(toy.inputs()) == toy.outputs(toy.inputs())
    os.close(ours)
    os.close(theirs)


def test_a_socket_url(host_toy: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"

        def serve() -> None:
            line, _ = server.accept()
            with line, child([str(host_toy)], "toy", stdin=line.fileno(), stdout=line.fileno()):
                done.wait(20)

        done = threading.Event()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with open_target(load_board("stm32"), Path("unused"), url) as stream:
                assert Client(stream).infer(toy.inputs()) == toy.outputs(toy.inputs())
        finally:
            done.set()
            thread.join()


@pytest.mark.parametrize("port", ["/dev/ttyNOPE", "socket://127.0.0.1:1", "nonsense://x", "COM99"])
def test_a_wrong_port_is_one_clear_line(port: str) -> None:
    with (
        pytest.raises(LinkError, match="cannot open") as caught,
        open_target(load_board("stm32"), Path("unused"), port),
    ):
        pass
    assert port in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.hint


def test_a_port_where_nobody_answers() -> None:
    ours, theirs = os.openpty()
    with (
        serial_port.run(os.ttyname(theirs), 115200) as stream,
        pytest.raises(LinkError, match="does not answer"),
    ):
        Client(stream, patience=0.5).identity()
    os.close(ours)
    os.close(theirs)


def test_a_target_that_dies_says_how(host_toy: Path) -> None:
    with (
        host.run(host_toy) as stream,
        pytest.raises(LinkError, match="toy-host ended with status -"),
    ):
        Client(stream).infer(toy.inputs(fate=toy.FAULT))


def test_a_target_that_hangs_is_given_up(host_toy: Path) -> None:
    started = time.monotonic()
    with host.run(host_toy) as stream, pytest.raises(LinkError, match="does not answer"):
        Client(stream, patience=0.5, silence=1.0).infer(toy.inputs(fate=toy.HANG))
    assert time.monotonic() - started < 5


def test_nothing_is_left_running(host_toy: Path) -> None:
    with child([str(host_toy)], "toy") as target:
        process = target.process
    assert process.poll() is not None


def test_a_target_that_reads_nothing_does_not_block_the_host() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = FileStream(ours.fileno(), ours.fileno(), lambda: "gone", write_seconds=0.2)
        with pytest.raises(LinkError, match="took no bytes"):
            stream.write(bytes(1 << 24))


def test_no_firmware_and_no_emulator(tmp_path: Path, host_toy: Path) -> None:
    stm32 = load_board("stm32")
    with pytest.raises(BuildError, match="tinyml build"), open_target(stm32, tmp_path / "no.elf"):
        pass
    bare = dataclasses.replace(stm32, emulator=None)
    with pytest.raises(BoardError, match="--port"), open_target(bare, host_toy):
        pass
    host_board = load_board("host")
    with (
        pytest.raises(BoardError, match="leave out --port"),
        open_target(host_board, host_toy, "/dev/null"),
    ):
        pass
    assert stm32.emulator
    absent = dataclasses.replace(stm32.emulator, program="qemu-system-nope")
    missing = dataclasses.replace(stm32, emulator=absent)
    install = "sudo apt-get install qemu-system-arm"
    with pytest.raises(MissingToolError, match=install) as caught, open_target(missing, host_toy):
        pass
    assert caught.value.exit_status == 3


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("not a program")
    with pytest.raises(LinkError, match="does not start"), open_target(load_board("host"), text):
        pass


def test_an_emulator_that_refuses_says_why(tmp_path: Path) -> None:
    garbage = tmp_path / "firmware.elf"
    garbage.write_bytes(b"\x7fELF" + bytes(60))
    stm32 = load_board("stm32")
    assert stm32.emulator
    wrong = dataclasses.replace(stm32.emulator, machine="nope")
    with (
        open_target(dataclasses.replace(stm32, emulator=wrong), garbage) as stream,
        pytest.raises(LinkError, match="unsupported machine type"),
    ):
        Client(stream).identity()
