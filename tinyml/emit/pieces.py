"""The pieces in which a target computes and reports a tensor, from a project's manifest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tinyml.emit.manifest import Manifest, SegmentEntry, TensorEntry


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a tensor that the observer is told of in one call, or that are read in one."""

    start: int
    """In the tensor."""
    bytes: int
    place: int
    """In the arena."""


def output_pieces(manifest: Manifest, op: int, output: int) -> list[Piece]:
    """Those of an op's output, in the order in which the target computes them.

    All of it at once, its rows, or the parts of them that tiles compute: then those that tiles
    share come once for each, and what no op needs is missing.
    """
    entry = manifest.ops[op].outputs[output]
    segment = next(segment for segment in manifest.segments if op in segment.ops)
    return list(_pieces(entry, segment, segment.ops.index(op)))


def input_pieces(manifest: Manifest) -> list[Piece]:
    """Those of the first input: one, or as it is read where it is pulled."""
    return list(_pieces(manifest.inputs[0], manifest.segments[0], -1))


def joined(data: bytes, pieces: Sequence[Piece]) -> bytes:
    """The pieces of a tensor with these bytes, one after the other."""
    return b"".join(data[piece.start : piece.start + piece.bytes] for piece in pieces)


def _pieces(entry: TensorEntry, segment: SegmentEntry, at: int) -> Iterator[Piece]:
    def place(row: int, start: int) -> int:
        return entry.offset + (row % entry.ring_rows * entry.pitch if entry.ring_rows else start)

    size = entry.row_bytes
    if not size:
        yield Piece(0, entry.bytes, entry.offset)
    elif not entry.pixel_bytes:
        for row in range(entry.bytes // size):
            yield Piece(row * size, size, place(row, row * size))
    else:
        for band in segment.rows:
            for strip in segment.columns:
                first, stop = (column * entry.pixel_bytes for column in strip[at])
                for row in range(*band[at]):
                    start = row * size + first
                    yield Piece(start, stop - first, place(row, start))
