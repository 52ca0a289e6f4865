"""Which input rows (or columns) each output row of a resize reads, as TFLite computes it."""

import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]

BILINEAR_ONE = 1 << 10
"""The weight 1.0 of the integer bilinear resize."""


def nearest(in_size: int, out_size: int, align_corners: bool, half_pixel_centers: bool) -> Int32s:
    """For each of `out_size` positions along one dimension the input position; float32."""
    f32 = np.float32
    if align_corners and out_size > 1:
        scale = f32(in_size - 1) / f32(out_size - 1)
    else:
        scale = f32(in_size) / f32(out_size)
    offset = f32(0.5) if half_pixel_centers else f32(0)
    real = (np.arange(out_size, dtype=np.float32) + offset) * scale
    rounded = np.floor(real.astype(np.float64) + 0.5) if align_corners else np.floor(real)
    return np.clip(rounded.astype(np.int32), 0, in_size - 1)


def bilinear(
    in_size: int, out_size: int, align_corners: bool, half_pixel_centers: bool
) -> tuple[Int32s, Int32s, Int32s]:
    """For each output position (lower, upper, weight of upper in 1/1024) along one dimension.

    The weight of `lower` is BILINEAR_ONE minus the other. At the first position of a
    half-pixel resize the weight may be negative; both positions are the same there.
    """
    if align_corners and out_size > 1:
        scale = (BILINEAR_ONE * (in_size - 1) + (out_size - 1) // 2) // (out_size - 1)
    else:
        scale = (BILINEAR_ONE * in_size + out_size // 2) // out_size
    position = np.arange(out_size, dtype=np.int64) * scale
    if half_pixel_centers:
        position += scale // 2 - BILINEAR_ONE // 2
    # C's division truncates: a negative position is above row 0 and belongs to it.
    lower = np.minimum(np.maximum(position, 0) // BILINEAR_ONE, in_size - 1)
    upper = np.minimum(np.maximum(position + BILINEAR_ONE - 1, 0) // BILINEAR_ONE, in_size - 1)
    weight = position - BILINEAR_ONE * lower
    return lower.astype(np.int32), upper.astype(np.int32), weight.astype(np.int32)
