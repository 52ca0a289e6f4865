"""Frames of the serial link: COBS between zero bytes, closed by a CRC-32."""

import struct
import zlib

from cobs import cobs


def encode(command: int, sequence: int, payload: bytes) -> bytes:
    """A frame for the line, its delimiters included."""
    body = struct.pack("<BH", command, sequence) + payload
    encoded: bytes = cobs.encode(body + struct.pack("<I", zlib.crc32(body)))
    return b"\0" + encoded + b"\0"


def decode(frame: bytes) -> tuple[int, int, bytes] | None:
    """Command, sequence number and payload of what lay between two delimiters; None if damaged."""
    try:
        body: bytes = cobs.decode(frame)
    except cobs.DecodeError:
        return None
    if len(body) < 7 or zlib.crc32(body[:-4]) != int.from_bytes(body[-4:], "little"):
        return None
    command, sequence = struct.unpack_from("<BH", body)
    return command, sequence, body[3:-4]
