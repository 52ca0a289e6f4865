"""Linux boards over ssh: programs are copied there, and run with the link over the connection."""

import io
import os
import select
import shlex
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tinyml.errors import LinkError, MissingToolError
from tinyml.runners.process import Child, child
from tinyml.runners.stream import FileStream, Stream

SCHEME = "ssh://"
PROGRAM = "ssh"
INSTALL = "sudo apt-get install openssh-client"

_READY = b"tinyml-ready\n"
"""Said before the program starts: until then, the connection is made, and greetings come."""
_CONNECT_SECONDS = 60.0
"""Within which that has to be; time enough to type a password."""
_FORM = "ssh://user@host or ssh://user@host:port"


@dataclass(frozen=True, slots=True)
class Host:
    """A computer that ssh reaches."""

    name: str
    """[user@]host"""
    port: int | None

    def command(self, remote: str) -> tuple[str, ...]:
        """The command line that runs `remote` in a shell there, in the user's home."""
        port = () if self.port is None else ("-p", str(self.port))
        return (PROGRAM, *port, "--", self.name, remote)


def parse(url: str) -> Host:
    """The computer of an ssh:// URL; LinkError where it is none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise LinkError(f"'{url}': {error}", hint=_FORM) from error
    rest = parts.path.strip("/") or parts.query or parts.fragment or parts.password
    if parts.scheme != "ssh" or not host or host.startswith("-") or rest:
        raise LinkError(f"'{url}' does not name a computer", hint=_FORM)
    user = f"{parts.username}@" if parts.username else ""
    return Host(user + host, port)


def folder(project: Path) -> str:
    """Where the project of that folder goes, in the user's home there."""
    return f"tinyml/{project.resolve().name}"


def copy_command(host: Host, project: Path) -> tuple[str, ...]:
    """The command line that unpacks an archive on its standard input in the project's folder."""
    there = shlex.quote(folder(project))
    return host.command(f"mkdir -p {there} && tar -xf - -C {there}")


def copy(host: Host, project: Path, files: Mapping[str, Path]) -> None:
    """Copies files there; each comes under its name, `/` in which makes folders."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, path in files.items():
            tar.add(path, name)
    try:
        done = subprocess.run(
            _installed(copy_command(host, project)), input=archive.getvalue(), stdout=2, check=False
        )
    except OSError as error:
        raise LinkError(f"{PROGRAM} does not start: {error.strerror}") from error
    if done.returncode:
        raise LinkError(
            f"{PROGRAM} to {host.name} ended with status {done.returncode}",
            hint=f"does this work: {PROGRAM} {host.name}",
        )


@contextmanager
def run(url: str, program: Path) -> Iterator[Stream]:
    """Run what `copy` brought there of the project that built `program`, as long as this lasts."""
    host = parse(url)
    there = shlex.quote(f"{folder(program.parents[1])}/{program.name}")
    ready = _READY.decode().strip()
    line = _installed(host.command(f"test -x {there} && echo {ready} && exec {there}"))
    pipe = subprocess.PIPE
    with child(line, PROGRAM, stdin=pipe, stdout=pipe) as target:
        stdin, stdout = target.process.stdin, target.process.stdout
        assert stdin is not None and stdout is not None
        _skip_greeting(stdout.fileno(), target, host)
        yield FileStream(stdout.fileno(), stdin.fileno(), target.describe_end)


def _skip_greeting(descriptor: int, target: Child, host: Host) -> None:
    """Reads what comes before the program, byte by byte, for what follows is the link's."""
    deadline = time.monotonic() + _CONNECT_SECONDS
    seen = b""
    while not seen.endswith(_READY):
        left = deadline - time.monotonic()
        if not select.select([descriptor], [], [], max(0.0, left))[0]:
            raise LinkError(
                f"{host.name} does not answer within {_CONNECT_SECONDS:g} s",
                hint=f"does this work: {PROGRAM} {host.name}",
            )
        byte = os.read(descriptor, 1)
        if not byte:
            raise LinkError(target.describe_end(), hint="tinyml flash copies it there")
        seen += byte


def _installed(line: tuple[str, ...]) -> list[str]:
    found = shutil.which(line[0])
    if found is None:
        raise MissingToolError(f"{line[0]} is not installed", hint=INSTALL)
    return [found, *line[1:]]
