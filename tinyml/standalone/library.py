"""A model in a shared library, called with NumPy arrays. Part of a generated project.

The structures are those of runtime/include/tinyml.h, which the library was built with.
"""

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_OK, _MORE = 0, 2
_ALIGNMENT = 64
"""Of the arena, in bytes: a line of the cache."""


@dataclass(frozen=True, slots=True)
class End:
    """An input or output; `scale` is None where there is no single one."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None

    def quantize(self, real: npt.ArrayLike) -> Array:
        """Real numbers as this end has them; TypeError where it has no scale."""
        if self.scale is None or self.zero_point is None:
            raise TypeError(f"{self.name} is not quantised by one scale")
        limits = np.iinfo(self.dtype)
        steps = np.round(np.asarray(real, np.float64) / self.scale) + self.zero_point
        return np.clip(steps, limits.min, limits.max).astype(self.dtype).reshape(self.shape)

    def dequantize(self, quantized: Array) -> Array:
        """The real numbers, float32; TypeError where there is no scale."""
        if self.scale is None or self.zero_point is None:
            raise TypeError(f"{self.name} is not quantised by one scale")
        steps = quantized.astype(np.float64) - self.zero_point
        return (steps * self.scale).astype(np.float32)


class _Instance(ctypes.Structure):
    _fields_ = [
        ("arena", ctypes.c_void_p),
        ("observer", ctypes.c_void_p),
        ("step", ctypes.c_uint32),
        ("more", ctypes.c_void_p),
    ]


class _Region(ctypes.Structure):
    _fields_ = [("offset", ctypes.c_uint32), ("bytes", ctypes.c_uint32)]


_INSTANCE = ctypes.POINTER(_Instance)
_READ = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    *(ctypes.c_int32, ctypes.c_int32, ctypes.c_int32),
    ctypes.c_void_p,
)


class _Info(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("identity", ctypes.c_char_p),
        ("arena_bytes", ctypes.c_uint32),
        ("more_bytes", ctypes.c_uint32),
        ("op_count", ctypes.c_uint16),
        ("input_count", ctypes.c_uint16),
        ("output_count", ctypes.c_uint16),
        ("inputs", ctypes.POINTER(_Region)),
        ("outputs", ctypes.POINTER(_Region)),
        ("invoke", ctypes.CFUNCTYPE(ctypes.c_int, _INSTANCE)),
        ("row_bytes", ctypes.c_uint32),
        ("pixel_bytes", ctypes.c_uint32),
        ("push_row", ctypes.CFUNCTYPE(ctypes.c_int, _INSTANCE, ctypes.c_void_p)),
        ("pull", ctypes.CFUNCTYPE(ctypes.c_int, _INSTANCE, _READ, ctypes.c_void_p)),
        ("reset", ctypes.CFUNCTYPE(ctypes.c_int, _INSTANCE)),
    ]


class Library:
    """An instance of a model, with memory of its own; not for several threads at a time."""

    def __init__(
        self, path: Path, name: str, inputs: tuple[End, ...], outputs: tuple[End, ...]
    ) -> None:
        """Loads the library at `path`; OSError where it is not there or for another processor."""
        self.inputs, self.outputs = inputs, outputs
        self._library = ctypes.CDLL(str(path))
        self._info = _Info.in_dll(self._library, f"{name}_info")
        bytes_ = self._info.arena_bytes
        memory = np.zeros(bytes_ + _ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % _ALIGNMENT
        self._arena = memory[start : start + bytes_]
        self._instance = _Instance()
        address = ctypes.c_void_p(self._arena.ctypes.data)
        start_up = self._library[f"{name}_init"]
        _check(start_up(ctypes.byref(self._instance), address, ctypes.c_size_t(bytes_)), "init")

    @property
    def identity(self) -> str:
        """64 hex digits over model, plan and generator."""
        return bytes(self._info.identity).decode()

    def reset(self) -> None:
        """Forgets all inferences: the next one begins as the first did."""
        if self._info.reset:
            _check(self._info.reset(ctypes.byref(self._instance)), "reset")

    def __call__(self, *inputs: Array) -> tuple[Array, ...]:
        """One inference: arrays of the inputs' shapes and types in, of the outputs' out."""
        if len(inputs) != len(self.inputs):
            raise ValueError(f"{len(self.inputs)} inputs are needed, {len(inputs)} are given")
        given = [_as_wanted(end, array) for end, array in zip(self.inputs, inputs, strict=True)]
        instance = ctypes.byref(self._instance)
        if self._info.pixel_bytes:
            _check(self._pull(given[0]), "pull")
        elif self._info.row_bytes:
            self._instance.step = 0
            rows = given[0].reshape(-1, self._info.row_bytes)
            for index, row in enumerate(rows):
                wanted = _OK if index == len(rows) - 1 else _MORE
                _check(self._info.push_row(instance, row.ctypes.data), "push_row", wanted)
        else:
            for index, data in enumerate(given):
                self._bytes(self._info.inputs[index])[:] = data
            _check(self._info.invoke(instance), "invoke")
        return tuple(
            self._bytes(self._info.outputs[index]).view(end.dtype).reshape(end.shape).copy()
            for index, end in enumerate(self.outputs)
        )

    def _bytes(self, region: _Region) -> npt.NDArray[np.uint8]:
        return self._arena[region.offset : region.offset + region.bytes]

    def _pull(self, data: npt.NDArray[np.uint8]) -> int:
        row, pixel = self._info.row_bytes, self._info.pixel_bytes

        def read(user: int, y: int, x: int, width: int, to: int) -> int:
            start = y * row + x * pixel
            ctypes.memmove(to, data.ctypes.data + start, width * pixel)
            return 0

        return int(self._info.pull(ctypes.byref(self._instance), _READ(read), None))


def _as_wanted(end: End, array: Array) -> npt.NDArray[np.uint8]:
    """The bytes of the array; TypeError or ValueError where it is another than the end has."""
    if array.dtype != np.dtype(end.dtype):
        raise TypeError(f"{end.name} takes {end.dtype}, not {array.dtype}")
    if array.shape != end.shape:
        raise ValueError(f"{end.name} has the shape {end.shape}, not {array.shape}")
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _check(status: int, what: str, wanted: int = _OK) -> None:
    if status != wanted:
        raise RuntimeError(f"{what} returned status {status}: see tinyml.h")
