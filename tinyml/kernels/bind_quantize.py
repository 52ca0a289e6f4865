"""QUANTIZE and DEQUANTIZE."""

from tinyml.ir.graph import DType, Tensor
from tinyml.kernels.bind_elementwise import lookup, unary
from tinyml.kernels.call import KernelCall
from tinyml.kernels.site import Fields, Site, scale_fields
from tinyml.quant.unary import requantize_params


def quantize(site: Site) -> KernelCall:
    """QUANTIZE from float32, and from integers to integers."""
    kernel = site.kernel()
    if site.x.dtype is DType.FLOAT32:
        return unary(site, kernel.name, kernel.struct, _affine(site, site.y))
    if site.x.dtype.itemsize == site.y.dtype.itemsize == 1:
        return lookup(site)
    params = requantize_params(site.graph, site.node)
    fields: Fields = (
        ("input_zero_point", params.input_zero_point),
        ("output_zero_point", params.output_zero_point),
        *scale_fields("output", params.output),
    )
    return unary(site, kernel.name, kernel.struct, fields)


def dequantize(site: Site) -> KernelCall:
    """DEQUANTIZE to float32."""
    kernel = site.kernel()
    return unary(site, kernel.name, kernel.struct, _affine(site, site.x))


def _affine(site: Site, tensor: Tensor) -> Fields:
    if tensor.quant is None or len(tensor.quant.scales) != 1:
        raise site.unsupported(
            tensor, "it has no quantisation of one scale", "quantise activations per tensor"
        )
    return (("scale", tensor.q.scale), ("zero_point", tensor.q.zero_point))
