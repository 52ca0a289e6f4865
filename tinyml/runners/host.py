"""The firmware as a native process: the link runs over its standard input and output."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinyml.errors import LinkError
from tinyml.runners.process import child
from tinyml.runners.stream import FileStream, Stream


@contextmanager
def run(program: Path) -> Iterator[Stream]:
    """Run `program` for as long as the context lasts."""
    pipe = subprocess.PIPE
    try:
        running = child([str(program)], program.name, stdin=pipe, stdout=pipe)
        with running as target:
            stdin, stdout = target.process.stdin, target.process.stdout
            assert stdin is not None and stdout is not None
            yield FileStream(stdout.fileno(), stdin.fileno(), target.describe_end)
    except OSError as error:
        raise LinkError(f"{program} does not start: {error.strerror}") from error
