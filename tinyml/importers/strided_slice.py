"""The bounds of STRIDED_SLICE, whose masks say what the numbers mean."""

from collections.abc import Sequence
from dataclasses import dataclass

from tinyml.ir.graph import Shape
from tinyml.ir.ops import StridedSlice

_MAX_ENTRIES = 32
"""What the masks have bits for."""


@dataclass(frozen=True, slots=True)
class Masks:
    """Bit i speaks of entry i of begin, end and strides."""

    begin: int = 0
    """Start at the edge."""
    end: int = 0
    """Go on to the edge."""
    ellipsis: int = 0
    """Take as many whole dimensions as the other entries leave."""
    new_axis: int = 0
    """Insert a dimension of 1 in the output."""
    shrink: int = 0
    """Take the element at begin and drop the dimension."""


def resolve(
    shape: Shape, begin: Sequence[int], end: Sequence[int], strides: Sequence[int], masks: Masks
) -> StridedSlice:
    """The slice of an input of `shape` without masks; a single element has stride 1.

    Indices are clamped as TFLite Micro clamps them (a start to the last element).
    Raises ValueError when the entries do not fit the shape.
    """
    count = len(begin)
    if count > _MAX_ENTRIES:
        raise ValueError(f"has {count} entries")
    if not len(end) == len(strides) == count:
        raise ValueError(f"has {count} begins, {len(end)} ends and {len(strides)} strides")
    if 0 in strides:
        raise ValueError("a stride is 0")

    def bit(mask: int, entry: int) -> bool:
        return bool(mask >> entry & 1)

    whole = [i for i in range(count) if bit(masks.ellipsis, i)]
    new = [i for i in range(count) if bit(masks.new_axis, i) and i not in whole]
    spare = len(shape) - (count - len(whole) - len(new))
    if len(whole) > 1 or spare < 0:
        raise ValueError(f"{count} entries do not fit {len(shape)} dimensions")

    parts: list[tuple[int, int, int]] = []
    result: list[int] = []

    def take_whole(dims: Shape) -> None:
        parts.extend((0, dim, 1) for dim in dims)
        result.extend(dims)

    for i in range(count):
        dim = len(parts)
        if i in whole:
            take_whole(shape[dim : dim + spare])
        elif i in new:
            result.append(1)
        else:
            first = None if bit(masks.begin, i) else begin[i]
            last = None if bit(masks.end, i) else end[i]
            start, size = _range(shape[dim], first, last, strides[i])
            if bit(masks.shrink, i):
                parts.append((start, 1, 1))
            else:
                parts.append((start, size, strides[i] if size > 1 else 1))
                result.append(size)
    take_whole(shape[len(parts) :])
    return StridedSlice(
        begin=tuple(part[0] for part in parts),
        sizes=tuple(part[1] for part in parts),
        strides=tuple(part[2] for part in parts),
        shape=tuple(result),
    )


def _range(dim: int, first: int | None, last: int | None, stride: int) -> tuple[int, int]:
    """Start and element count along a dimension; None is the edge, negatives count back."""
    forward = stride > 0
    if first is None:
        start = 0 if forward else dim - 1
    else:
        start = min(max(first + dim if first < 0 else first, 0), dim - 1)
    if last is None:
        stop = dim if forward else -1
    else:
        low, high = (0, dim) if forward else (-1, dim - 1)
        stop = min(max(last + dim if last < 0 else last, low), high)
    return start, max(-((start - stop) // stride), 0)
