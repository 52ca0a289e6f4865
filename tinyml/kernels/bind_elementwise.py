"""Element-wise operators of one and two operands."""

from dataclasses import dataclass

from tinyml.ir import ops
from tinyml.ir.graph import Shape, Tensor
from tinyml.kernels import dsp
from tinyml.kernels.call import ColumnAccess, KernelCall, OpStruct, RowAccess, RowLoop, Span
from tinyml.kernels.registry import Kernel
from tinyml.kernels.site import Fields, Site, raw, scale_fields, table
from tinyml.quant.pairs import (
    AddParams,
    add_params,
    comparison_params,
    mul_params,
    prelu_params,
    squared_difference_params,
)
from tinyml.quant.unary import lut


@dataclass(frozen=True, slots=True)
class _Dim:
    """One dimension of the result; the flags say whether an operand runs along it or repeats."""

    size: int
    a: bool
    b: bool


def _dims(a: Shape, b: Shape) -> list[_Dim]:
    rank = max(len(a), len(b))
    pairs = zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b, strict=True)
    return [_Dim(max(m, n), m == max(m, n), n == max(m, n)) for m, n in pairs]


def _merged(dims: list[_Dim]) -> list[_Dim]:
    """Neighbouring dimensions that both operands treat alike become one."""
    merged: list[_Dim] = []
    for dim in dims:
        if dim.size == 1:
            continue
        if merged and (merged[-1].a, merged[-1].b) == (dim.a, dim.b):
            merged[-1] = _Dim(merged[-1].size * dim.size, dim.a, dim.b)
        else:
            merged.append(dim)
    return merged


@dataclass(frozen=True, slots=True)
class _Operand:
    """How one operand takes part in [N, H, W, C]."""

    rows: RowAccess
    pixel_stride: int
    channel_stride: int


def _operand(
    tensor: Tensor, sizes: tuple[int, ...], along: tuple[bool, ...], *, merged: bool
) -> _Operand:
    _, height, width, channels = (n if used else 1 for n, used in zip(sizes, along, strict=True))
    row = width * channels
    access = RowAccess(
        count=1,
        height=height,
        row_bytes=row,
        stride=int(along[1]),
        batch_bytes=height * row if along[0] else 0,
        constant=raw(tensor) if tensor.is_const else None,
        columns=None if merged else ColumnAccess(width, channels, stride=int(along[2])),
    )
    return _Operand(access, channels if along[2] else 0, int(along[3]))


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two operands in [N, H, W, C]: the fields of a `tinyml_broadcast`, and the loop."""

    channels: int
    shape: Fields
    loop: RowLoop
    in_place: tuple[int, ...]

    def call(self, kernel: Kernel, fields: Fields) -> KernelCall:
        struct = OpStruct(kernel.struct, fields)
        return KernelCall(kernel.name, struct, self.loop, in_place=self.in_place)


def _pair(site: Site) -> _Pair:
    a, b, y = site.x, site.operand(1), site.y
    site.require(b, a.dtype)
    dims = _dims(a.shape, b.shape)
    merged = site.flatten or len(dims) > 4
    if merged:
        dims = _merged(dims)
    if len(dims) > 4:
        raise site.unsupported(
            b, f"broadcasting {a.shape} with {b.shape} needs more than 4 dimensions", "reshape both"
        )
    dims = [_Dim(1, True, True)] * (4 - len(dims)) + dims
    sizes = tuple(dim.size for dim in dims)
    batches, height, width, channels = sizes
    left = _operand(a, sizes, tuple(dim.a for dim in dims), merged=merged)
    right = _operand(b, sizes, tuple(dim.b for dim in dims), merged=merged)
    fields: Fields = (
        ("shape.channels", channels),
        ("shape.a_pixel_stride", left.pixel_stride),
        ("shape.a_channel_stride", left.channel_stride),
        ("shape.b_pixel_stride", right.pixel_stride),
        ("shape.b_channel_stride", right.channel_stride),
    )
    loop = RowLoop(
        batches=batches,
        out_height=height,
        out_row_bytes=width * channels,
        inputs=(left.rows, right.rows),
        span=Span(width, width, 0),
    )
    in_place = tuple(i for i, t in enumerate((a, b)) if t.size == y.size and not t.is_const)
    return _Pair(channels, fields, loop, in_place)


def _binary(site: Site, params: Fields, *features: str) -> KernelCall:
    pair = _pair(site)
    return pair.call(site.kernel(*features), (*pair.shape, *params))


def add(site: Site) -> KernelCall:
    """ADD and SUB."""
    p = add_params(site.graph, site.node)
    same = site.x.shape == site.operand(1).shape
    quick = dsp.add_fields(p) if same else None
    features = (*(("same shape",) if same else ()), *(() if quick is None else ("quick",)))
    kernel = site.kernel(*features)
    if quick is not None and kernel.requires == "quick":
        pair = _pair(site)
        return pair.call(kernel, (("channels", pair.channels), *quick))
    return _binary(site, _add_fields(p), *features)


def _add_fields(p: AddParams) -> Fields:
    return (
        ("a_zero_point", p.input1_zero_point),
        ("b_zero_point", p.input2_zero_point),
        ("output_zero_point", p.output_zero_point),
        ("left_shift", p.left_shift),
        *scale_fields("a", p.input1),
        *scale_fields("b", p.input2),
        *scale_fields("output", p.output),
        ("act_min", p.act_min),
        ("act_max", p.act_max),
    )


def squared_difference(site: Site) -> KernelCall:
    """SQUARED_DIFFERENCE."""
    return _binary(site, _add_fields(squared_difference_params(site.graph, site.node)))


def compare(site: Site) -> KernelCall:
    """EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL."""
    op = site.node.op
    assert isinstance(op, ops.Compare)
    p = comparison_params(site.graph, site.node)
    return _binary(
        site,
        (
            ("a_zero_point", p.input1_zero_point),
            ("b_zero_point", p.input2_zero_point),
            ("left_shift", p.left_shift),
            *scale_fields("a", p.input1),
            *scale_fields("b", p.input2),
            ("less", int(op.less)),
            ("equal", int(op.equal)),
            ("greater", int(op.greater)),
        ),
    )


def mul(site: Site) -> KernelCall:
    """MUL."""
    p = mul_params(site.graph, site.node)
    return _binary(
        site,
        (
            ("a_zero_point", p.input1_zero_point),
            ("b_zero_point", p.input2_zero_point),
            ("output_zero_point", p.output_zero_point),
            *scale_fields("output", p.output),
            ("act_min", p.act_min),
            ("act_max", p.act_max),
        ),
    )


def extremum(site: Site) -> KernelCall:
    """MINIMUM and MAXIMUM; LOGICAL_AND and LOGICAL_OR are these of bytes that are 0 or 1."""
    return _binary(site, ())


def prelu(site: Site) -> KernelCall:
    """PRELU."""
    p = prelu_params(site.graph, site.node)
    return _binary(
        site,
        (
            ("a_zero_point", p.input_zero_point),
            ("b_zero_point", p.alpha_zero_point),
            ("output_zero_point", p.output_zero_point),
            *scale_fields("positive", p.positive),
            *scale_fields("negative", p.negative),
        ),
    )


def unary(
    site: Site, kernel: str, struct: str, params: Fields, in_place: tuple[int, ...] = ()
) -> KernelCall:
    """A kernel that maps every element of a row by itself; its struct begins with `channels`."""
    x, y = site.x, site.y
    shape: tuple[int, ...] = (1, 1, 1, x.size)
    merged = site.flatten or len(x.shape) > 4
    if not merged:
        shape = (1,) * (4 - len(x.shape)) + x.shape
    batches, height, width, channels = shape
    pixel = channels * x.dtype.itemsize
    access = RowAccess(
        count=1,
        height=height,
        row_bytes=width * pixel,
        batch_bytes=height * width * pixel,
        columns=None if merged else ColumnAccess(width, pixel),
    )
    loop = RowLoop(
        batches=batches,
        out_height=height,
        out_row_bytes=width * channels * y.dtype.itemsize,
        inputs=(access,),
        span=Span(width, width, 0),
    )
    op = OpStruct(struct, (("channels", channels), *params))
    return KernelCall(kernel, op, loop, in_place=in_place)


def lookup(site: Site) -> KernelCall:
    """Operators from bytes to bytes, by a table of all 256 results."""
    kernel = site.kernel()
    fields: Fields = (("table", table("int8_t", lut(site.graph, site.node))),)
    return unary(site, kernel.name, kernel.struct, fields, in_place=(0,))
