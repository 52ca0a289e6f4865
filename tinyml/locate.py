"""Finds where on the target an op's output first differs from what it should be."""

import zlib
from collections.abc import Sequence

from tinyml.emit.manifest import TensorEntry
from tinyml.fill import Fill
from tinyml.link import Client


def first_wrong_piece(
    client: Client,
    inputs: Sequence[bytes | Fill],
    where: tuple[int, int],
    entry: TensorEntry,
    want: bytes,
) -> tuple[int, bytes]:
    """Of output `where` (op, output), known to differ from `want`, a piece that is wrong.

    Where it begins in the tensor, in bytes, and what the target has there: the whole
    tensor, or the first wrong row where the op runs row by row. That takes as many runs as
    the number of rows has binary digits, because only the last rows are in memory at any
    time, and each run tells the checksum of all rows up to one.

    Only if the target does not compute the same in every run may the piece be right.
    """
    if not entry.row_bytes:
        client.invoke(inputs, stop_after=where)
        return 0, client.read_arena(entry.offset, entry.bytes)
    right, wrong = 0, entry.bytes // entry.row_bytes
    while wrong - right > 1:
        rows = (right + wrong) // 2
        if _agrees(client, inputs, where, want[: rows * entry.row_bytes]):
            right = rows
        else:
            wrong = rows
    start = right * entry.row_bytes
    client.invoke(inputs, stop_after=where, stop_bytes=start + entry.row_bytes)
    slot = right % entry.ring_rows if entry.ring_rows else right
    return start, client.read_arena(entry.offset + slot * entry.row_bytes, entry.row_bytes)


def _agrees(
    client: Client, inputs: Sequence[bytes | Fill], where: tuple[int, int], want: bytes
) -> bool:
    """Whether the output begins with `want`, a number of whole rows."""
    run = client.invoke(inputs, checksums=True, stop_after=where, stop_bytes=len(want))
    found = [r for r in run.records if (r.op, r.output) == where]
    return [(r.bytes, r.crc) for r in found] == [(len(want), zlib.crc32(want))]
