"""What the bindings of training kernels share: the call itself, and pieces of op structs."""

from dataclasses import dataclass, replace
from enum import Enum
from math import prod

import numpy as np

from tinyml.errors import UnsupportedError
from tinyml.ir.graph import Shape
from tinyml.kernels.call import ConstArray, OpStruct
from tinyml.kernels.site import Fields, within
from tinyml.train.gradient_filter import Window
from tinyml.train.grid import Grid
from tinyml.train.program import Element, Layer, LayerKind, Precision

PREFIX = "tinyml_train_"
"""Of all C functions of training; each has a file of its own, called like the rest of its name."""

CTYPES = {
    Element.BIT: "uint8_t",
    Element.INT8: "int8_t",
    Element.UINT8: "uint8_t",
    Element.INT32: "int32_t",
    Element.FLOAT32: "float",
}
"""The C type of the elements of a buffer."""


class Access(Enum):
    """What a call does to a buffer."""

    READ = "read"
    WRITE = "write"
    CHANGE = "change"
    """Reads and writes it."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """An argument: where a buffer of the program lies, NULL for none."""

    buffer: str | None
    access: Access = Access.READ


@dataclass(frozen=True, slots=True, eq=False)
class TrainCall:
    """One call: `function(&struct, pointers ...[, sample][, scratch])`."""

    function: str
    """The C function."""
    struct: OpStruct
    """Its constant op."""
    pointers: tuple[Pointer, ...]
    takes_sample: bool = False
    """Whether a `const tinyml_train_sample *` follows, which `tinyml_train_begin` filled in."""
    scratch_bytes: int = 0
    """If there are any, a `void *` to so many, aligned to 4, comes last."""
    scratch_macro: str = ""
    """C expression that must be <= scratch_bytes."""
    in_place: tuple[tuple[str, str], ...] = ()
    """(read, written) buffers of one size that may lie at the same address."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Buffers that it reads, in the order of the arguments."""
        return self._buffers(Access.READ, Access.CHANGE)

    @property
    def writes(self) -> tuple[str, ...]:
        """Buffers that it writes, in the order of the arguments."""
        return self._buffers(Access.WRITE, Access.CHANGE)

    @property
    def sources(self) -> tuple[str, ...]:
        """C files, relative to the runtime's folder."""
        return (f"src/train/{self.function.removeprefix(PREFIX)}.c",)

    def _buffers(self, *access: Access) -> tuple[str, ...]:
        return tuple(p.buffer for p in self.pointers if p.buffer is not None and p.access in access)


def reading(*buffers: str | None) -> tuple[Pointer, ...]:
    """Arguments that are read."""
    return tuple(Pointer(name) for name in buffers)


def writing(buffer: str) -> Pointer:
    """An argument that is written."""
    return Pointer(buffer, Access.WRITE)


def changing(buffer: str | None) -> Pointer:
    """An argument that is read and written."""
    return Pointer(buffer, Access.CHANGE)


def suffix(precision: Precision) -> str:
    """How the names of functions for a precision end."""
    return "s8" if precision is Precision.INT8 else "f32"


def floats(values: object) -> ConstArray:
    """A table of float32 numbers, each rounded once."""
    return ConstArray("float", np.asarray(values, np.float64).astype(np.float32).reshape(-1))


def ints(values: object) -> ConstArray:
    """A table of int32 numbers."""
    return ConstArray("int32_t", np.asarray(values, np.int32).reshape(-1))


def rounded(value: float) -> float:
    """Rounded once to float32."""
    return float(np.float32(value))


def layer_fields(layer: Layer) -> Fields:
    """A `tinyml_train_layer`; a dense one has a row to an image of one pixel."""
    x, y = ((s[0], 1, 1, s[1]) if len(s) == 2 else s for s in (layer.x, layer.y))
    return (
        ("images", x[0]),
        ("in_height", x[1]),
        ("in_width", x[2]),
        ("in_channels", x[3]),
        ("out_height", y[1]),
        ("out_width", y[2]),
        ("out_channels", y[3]),
        ("multiplier", layer.multiplier),
        *within("window", window_fields(layer.window)),
    )


def window_fields(window: Window) -> Fields:
    """A `tinyml_train_window`."""
    return (
        ("kernel_height", window.kernel[0]),
        ("kernel_width", window.kernel[1]),
        ("stride_y", window.stride[0]),
        ("stride_x", window.stride[1]),
        ("dilation_y", window.dilation[0]),
        ("dilation_x", window.dilation[1]),
        ("pad_top", window.pads.top),
        ("pad_left", window.pads.left),
    )


def patch_fields(images: int, channels: int, grid: Grid) -> Fields:
    """A `tinyml_train_patches`."""
    axes = (("rows", grid.rows), ("columns", grid.columns))
    blocks = tuple(
        (f"grid.{axis}.{name}", value)
        for axis, b in axes
        for name, value in (
            ("size", b.size),
            ("extent", b.extent),
            ("count", b.count),
            ("pad", b.pad),
        )
    )
    return (("images", images), ("channels", channels), *blocks)


def average_pool_layer(window: Window, x: Shape, y: Shape) -> Fields:
    """A `tinyml_train_layer` for a pool: depthwise, one output to a channel."""
    return layer_fields(Layer("", LayerKind.DEPTHWISE, x, y, window, 1))


def train_call(
    kernel: str,
    struct: str,
    fields: Fields,
    pointers: tuple[Pointer, ...],
    *,
    takes_sample: bool = False,
) -> TrainCall:
    """A call of `kernel`, whose constants are a `struct`, both without the prefix."""
    op = OpStruct(PREFIX + struct, fields)
    return TrainCall(PREFIX + kernel, op, pointers, takes_sample)


def copy_call(
    source: str,
    result: str,
    rows: int,
    nbytes: int,
    source_at: tuple[int, int],
    result_at: tuple[int, int],
) -> TrainCall:
    """`rows` pieces of `nbytes`; what is copied and what to: offset and stride, in bytes."""
    fields: Fields = (
        ("rows", rows),
        ("bytes", nbytes),
        ("from_offset", source_at[0]),
        ("from_stride", source_at[1]),
        ("to_offset", result_at[0]),
        ("to_stride", result_at[1]),
    )
    call = train_call("copy", "copy_op", fields, (*reading(source), writing(result)))
    same = rows == 1 and source_at[0] == result_at[0]
    return replace(call, in_place=((source, result),)) if same else call


RANK = 4
"""Dimensions that the kernels which broadcast or average know."""


def four(shape: Shape, tensor: str) -> Shape:
    """`shape` with ones before it."""
    if len(shape) > RANK:
        raise UnsupportedError(
            f"cannot train through '{tensor}': it has {len(shape)} dimensions",
            hint=f"train only layers behind it, or reshape it to {RANK} dimensions",
        )
    return (1,) * (RANK - len(shape)) + tuple(shape)


def strides(shape: Shape) -> tuple[int, ...]:
    """Elements from one index to the next, of each dimension of a dense array."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def broadcast_strides(shape: Shape) -> tuple[int, ...]:
    """The same, 0 along dimensions of one element, which serve all."""
    return tuple(
        stride if size > 1 else 0 for size, stride in zip(shape, strides(shape), strict=True)
    )
