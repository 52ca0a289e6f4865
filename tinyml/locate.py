"""Finds where on the target an op's output first differs from what it should be."""

import zlib
from collections.abc import Sequence

from tinyml.emit.pieces import Piece, joined
from tinyml.fill import Fill
from tinyml.link import Client


def first_wrong_piece(
    client: Client,
    inputs: Sequence[bytes | Fill],
    where: tuple[int, int],
    pieces: Sequence[Piece],
    want: bytes,
    *,
    earlier: Sequence[Sequence[bytes | Fill]] = (),
) -> tuple[Piece, bytes]:
    """Of output `where` (op, output), known to differ from `want`, a piece that is wrong.

    `pieces` are all of the output in the order in which they are computed, `want` is the
    tensor. Which piece it is, and what the target has there: all of the tensor, or the first
    wrong row or part of a row where the op computes such. That takes as many runs as the number
    of pieces has binary digits, because only the last ones are in memory at any time, and
    each run tells the checksum of all pieces up to one. Before each, the model runs on the
    `earlier` inputs, from a reset on.

    Only if the target does not compute the same in every run may the piece be right.
    """
    right, wrong = 0, len(pieces)
    while wrong - right > 1:
        count = (right + wrong) // 2
        _run(client, earlier)
        if _agrees(client, inputs, where, joined(want, pieces[:count]), resume=bool(earlier)):
            right = count
        else:
            wrong = count
    piece = pieces[right]
    until = sum(piece.bytes for piece in pieces[: right + 1])
    _run(client, earlier)
    client.invoke(inputs, stop_after=where, stop_bytes=until, resume=bool(earlier))
    return piece, client.read_arena(piece.place, piece.bytes)


def _run(client: Client, earlier: Sequence[Sequence[bytes | Fill]]) -> None:
    for at, inputs in enumerate(earlier):
        client.invoke(inputs, resume=at > 0)


def _agrees(
    client: Client,
    inputs: Sequence[bytes | Fill],
    where: tuple[int, int],
    want: bytes,
    *,
    resume: bool,
) -> bool:
    """Whether the output begins with `want`, a number of whole pieces."""
    run = client.invoke(
        inputs, checksums=True, stop_after=where, stop_bytes=len(want), resume=resume
    )
    found = [r for r in run.records if (r.op, r.output) == where]
    return [(r.bytes, r.crc) for r in found] == [(len(want), zlib.crc32(want))]
