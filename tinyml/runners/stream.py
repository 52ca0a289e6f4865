"""Bytes in, bytes out: what the link needs of a target, whatever it is."""

import os
import select
import time
from collections.abc import Callable
from typing import Protocol

from tinyml.errors import LinkError


class Stream(Protocol):
    """A byte pipe to a target. Every call ends: by its result, its time-out or a LinkError."""

    def read(self, seconds: float) -> bytes:
        """The bytes that are there, waiting up to `seconds` for the first; b"" if none came."""

    def write(self, data: bytes) -> None:
        """Send all of `data`; LinkError if the other side does not take it."""


class FileStream:
    """A stream over file descriptors (pipes, a socket), which it does not own."""

    def __init__(
        self,
        read_fd: int,
        write_fd: int,
        describe_end: Callable[[], str],
        *,
        write_seconds: float = 10.0,
    ) -> None:
        """`describe_end` says why the other side is gone, once it is."""
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._describe_end = describe_end
        self._write_seconds = write_seconds
        os.set_blocking(write_fd, False)

    def read(self, seconds: float) -> bytes:
        """See Stream."""
        ready, _, _ = select.select([self._read_fd], [], [], max(0.0, seconds))
        if not ready:
            return b""
        try:
            data = os.read(self._read_fd, 65536)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise LinkError(f"{self._describe_end()}: {error.strerror}") from error
        if not data:
            raise LinkError(self._describe_end())
        return data

    def write(self, data: bytes) -> None:
        """See Stream."""
        deadline = time.monotonic() + self._write_seconds
        view = memoryview(data)
        while view:
            left = deadline - time.monotonic()
            _, ready, _ = select.select([], [self._write_fd], [], max(0.0, left))
            if not ready:
                raise LinkError(
                    f"the target took no bytes for {self._write_seconds:g} s",
                    hint="is its firmware running?",
                )
            try:
                view = view[os.write(self._write_fd, view) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise LinkError(f"{self._describe_end()}: {error.strerror}") from error
