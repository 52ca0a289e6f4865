"""Real numbers to and from a tensor's integers: real = scale * (q - zero_point)."""

import numpy as np
import numpy.typing as npt

from tinyml.ir.graph import Array, DType, Tensor


def quantised(real: Array, tensor: Tensor) -> Array:
    """`real` in the steps of `tensor`, rounded to even and saturated; as it is for float32."""
    if tensor.dtype is DType.FLOAT32 or tensor.quant is None:
        return real.astype(tensor.dtype.numpy)
    limits = np.iinfo(tensor.dtype.value)
    steps = np.round(real.astype(np.float32) / np.float32(tensor.q.scale)) + tensor.q.zero_point
    found: Array = np.clip(steps, limits.min, limits.max).astype(tensor.dtype.numpy)
    return found


def real(values: Array, tensor: Tensor) -> npt.NDArray[np.float64]:
    """What the integers of `tensor` stand for; numbers without a quantisation as they are."""
    floats = values.astype(np.float64)
    if tensor.dtype is DType.FLOAT32 or tensor.quant is None:
        return floats
    return (floats - tensor.q.zero_point) * tensor.q.scale
