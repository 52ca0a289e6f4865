"""Kernels for what a training step does besides inference: saving, losses, gradients, updates."""

from dataclasses import dataclass, replace
from functools import singledispatch
from math import prod

from tinyml.ir.graph import Shape
from tinyml.kernels.call import ConstArray
from tinyml.kernels.site import Fields, within
from tinyml.train import program as pr
from tinyml.train.bind_common import (
    Pointer,
    TrainCall,
    average_pool_layer,
    broadcast_strides,
    changing,
    copy_call,
    floats,
    four,
    ints,
    layer_fields,
    patch_fields,
    reading,
    rounded,
    suffix,
    train_call,
    writing,
)
from tinyml.train.gradient_filter import Window
from tinyml.train.grid import Grid
from tinyml.train.program import Element, LayerKind, LossKind, Precision, Program
from tinyml.train.tail import Tail


@dataclass(frozen=True, slots=True, eq=False)
class _Site:
    """A step's surroundings."""

    tail: Tail
    program: Program

    @property
    def integers(self) -> bool:
        return self.program.precision is Precision.INT8

    @property
    def end(self) -> str:
        """Of the names of functions and structs of which there is one for each precision."""
        return f"_{suffix(self.program.precision)}"

    def shape(self, name: str) -> Shape:
        return self.program.buffers[name].shape

    def size(self, name: str) -> int:
        return prod(self.shape(name))

    def patches(self, name: str, grid: Grid) -> Fields:
        """Those of a buffer [N, H, W, C] or [N, P, Q, C]."""
        shape = self.shape(name)
        return patch_fields(shape[0], shape[3], grid)

    def bounds(self, low: float, high: float) -> Fields:
        """The open interval of a mask."""
        if self.integers:
            return (("low", int(low)), ("high", int(high)))
        return (("low", float(low)), ("high", float(high)))


def bind(tail: Tail, program: Program, step: pr.Step) -> TrainCall:
    """The call for a step that is not of inference."""
    return _bind(step, _Site(tail, program))


@singledispatch
def _bind(step: pr.Step, site: _Site) -> TrainCall:
    raise NotImplementedError(step.name)


@_bind.register
def _save_pooled(step: pr.SavePooled, site: _Site) -> TrainCall:
    ((x,), (saved,)) = step.reads, step.writes
    if step.grid is None:
        unit = 1 if site.integers else 4
        inner = site.shape(saved)[-1] * unit
        rows = site.size(saved) * unit // inner
        return copy_call(x, saved, rows, inner, (0, site.size(x) // rows * unit), (0, inner))
    zero_point = site.tail.head.tensors[x].q.zero_point if site.integers else 0
    fields: Fields = (
        *within("patches", site.patches(saved, step.grid)),
        ("in_channels", site.shape(x)[3]),
        ("zero_point", zero_point),
    )
    pointers = (*reading(x), writing(saved))
    return train_call(f"save_pooled{site.end}", "save_pooled_op", fields, pointers)


@_bind.register
def _save_mask(step: pr.SaveMask, site: _Site) -> TrainCall:
    ((y,), (mask,)) = step.reads, step.writes
    fields: Fields = (("count", site.size(y)), *site.bounds(step.low, step.high))
    pointers = (*reading(y), writing(mask))
    return train_call(f"save_mask{site.end}", f"mask{site.end}_op", fields, pointers)


@_bind.register
def _save_share(step: pr.SaveShare, site: _Site) -> TrainCall:
    ((y,), (share,)) = step.reads, step.writes
    fields: Fields = (
        *within("patches", site.patches(share, step.grid)),
        *site.bounds(step.low, step.high),
    )
    pointers = (*reading(y), writing(share))
    return train_call(f"save_share{site.end}", f"share{site.end}_op", fields, pointers)


@_bind.register
def _loss(step: pr.Loss, site: _Site) -> TrainCall:
    name = "cross_entropy" if step.kind is LossKind.CROSS_ENTROPY else "mse"
    count = site.size(step.reads[0])
    fields: Fields = (
        ("count", count),
        ("scale", rounded(step.scale)),
        ("zero_point", step.zero_point),
        ("gradient_factor", rounded(2 / count)),
        ("loss_factor", rounded(1 / count)),
    )
    pointers = (*reading(*step.reads), *map(writing, step.writes))
    return train_call(f"{name}{site.end}", "loss_op", fields, pointers)


@_bind.register
def _mask_by_bits(step: pr.MaskByBits, site: _Site) -> TrainCall:
    gradient, mask = step.reads
    pointers = (*reading(mask), changing(gradient))
    return train_call("mask_bits", "count_op", (("count", site.size(gradient)),), pointers)


@_bind.register
def _mask_by_value(step: pr.MaskByValue, site: _Site) -> TrainCall:
    gradient, y = step.reads
    fields: Fields = (("count", site.size(y)), *site.bounds(step.low, step.high))
    pointers = (*reading(y), changing(gradient))
    return train_call(f"mask_value{site.end}", f"mask{site.end}_op", fields, pointers)


def _inverses(grid: Grid, factor: float) -> ConstArray:
    """factor / n for n pixels of a patch, 0 for n = 0."""
    most = int(grid.counts().max(initial=0))
    return floats([0.0, *(factor / n for n in range(1, most + 1))])


@_bind.register
def _pool(step: pr.Pool, site: _Site) -> TrainCall:
    ((gradient,), (g,)) = step.reads, step.writes
    fields: Fields = (
        *within("patches", site.patches(g, step.grid)),
        ("inverses", _inverses(step.grid, step.factor)),
    )
    return train_call("pool_f32", "pool_op", fields, (*reading(gradient), writing(g)))


@_bind.register
def _pool_share(step: pr.PoolShare, site: _Site) -> TrainCall:
    (dx, *active), (g,) = step.reads, step.writes
    pointers, in_place = (*reading(*step.reads), writing(g)), ((dx, g),)
    if not active:
        fields: Fields = (("count", site.size(g)), ("factor", rounded(step.factor)))
        call = train_call("scale_f32", "scale_op", fields, pointers)
        return replace(call, in_place=in_place)
    bits = "bits_" if site.program.buffers[active[0]].element is Element.BIT else ""
    fields = (
        *within("patches", site.patches(g, step.grid)),
        ("inverses", _inverses(step.grid, step.factor)),
    )
    call = train_call(f"pool_share_{bits}f32", "pool_op", fields, pointers)
    return replace(call, in_place=in_place)


@_bind.register
def _spread(step: pr.Spread, site: _Site) -> TrainCall:
    ((patches,), (dx,)) = step.reads, step.writes
    fields = site.patches(patches, step.grid)
    return train_call("spread_f32", "patches", fields, (*reading(patches), writing(dx)))


@_bind.register
def _input_gradient(step: pr.InputGradient, site: _Site) -> TrainCall:
    (g, weights), (dx,), layer = step.reads, step.writes, step.layer
    places = _places(layer, step.grid)
    fields: Fields = (
        *within("layer", layer_fields(layer)),
        ("places", layer.x[0] * places),
        ("weights_zero_point", step.weights_zero_point),
        ("scales", floats(step.scales) if step.scales else None),
    )
    kernel = f"input_grad_{_kind(layer, pooled=places > 0)}{site.end}"
    return train_call(kernel, "input_grad_op", fields, (*reading(g, weights), writing(dx)))


def _places(layer: pr.Layer, grid: Grid | None) -> int:
    """Of an image, for layers whose places each meet one of the input; 0 for others.

    These are patches, rows of a dense layer, and pixels where the kernel is 1x1: the sums of
    all three take the same terms in the same order.
    """
    if grid is not None:
        return prod(grid.shape)
    if layer.kind is LayerKind.DENSE:
        return 1
    plain = layer.window == Window((1, 1), dilation=layer.window.dilation)
    return prod(layer.y[1:3]) if plain else 0


def _kind(layer: pr.Layer, *, pooled: bool) -> str:
    """Which kernels serve a layer; a dense one has rows for patches."""
    if pooled:
        return "depthwise_filtered" if layer.multiplier else "filtered"
    return layer.kind.value


def _parameter(step: pr.Update) -> Fields:
    fields: Fields = (
        ("ordinal", step.ordinal),
        ("limit", step.limit),
        ("factors", floats(step.factors) if step.factors else None),
    )
    return within("parameter", fields)


def _written(step: pr.Update) -> tuple[Pointer, ...]:
    """The parameter and its momentum, NULL for none."""
    parameter, *momentum = step.writes
    return changing(parameter), changing(momentum[0] if momentum else None)


@_bind.register
def _update_bias(step: pr.UpdateBias, site: _Site) -> TrainCall:
    gradient = step.reads[0]
    if step.shared:
        assert step.grid is not None
        active = step.reads[1]
        bits = site.program.buffers[active].element is Element.BIT
        fields: Fields = (
            *_parameter(step),
            *within("patches", site.patches(gradient, step.grid)),
            ("bits", int(bits)),
        )
        pointers = (*reading(gradient, active), *_written(step))
        kernel = f"update_bias_share{site.end}"
        return train_call(kernel, "update_bias_share_op", fields, pointers, takes_sample=True)
    channels = site.size(step.writes[0])
    images = site.shape(gradient)[0] if step.grid is not None else 1
    fields = (
        *_parameter(step),
        ("images", images),
        ("places", site.size(gradient) // channels // images),
        ("channels", channels),
        ("pixels", ints(step.grid.counts()) if step.grid is not None else None),
    )
    pointers = (*reading(gradient), *_written(step))
    return train_call(
        f"update_bias{site.end}", "update_bias_op", fields, pointers, takes_sample=True
    )


@_bind.register
def _update_weights(step: pr.UpdateWeights, site: _Site) -> TrainCall:
    (g, x), layer = step.reads[:2], step.layer
    grid = step.x_grid
    places = _places(layer, grid)
    pixels = ints(grid.counts()) if grid is not None and site.integers else None
    fields: Fields = (
        *_parameter(step),
        *within("layer", layer_fields(layer)),
        ("channels", step.channels),
        ("x_zero_point", step.x_zero_point),
        ("images", layer.x[0]),
        ("places", places),
        ("pixels", pixels),
    )
    kernel = f"update_{_kind(layer, pooled=places > 0)}{site.end}"
    pointers = (*reading(g, x), *_written(step))
    return train_call(kernel, "update_op", fields, pointers, takes_sample=True)


@_bind.register
def _copy(step: pr.Copy, site: _Site) -> TrainCall:
    ((gradient,), (into,)) = step.reads, step.writes
    return copy_call(gradient, into, 1, 4 * site.size(into), (0, 0), (0, 0))


@_bind.register
def _accumulate(step: pr.Accumulate, site: _Site) -> TrainCall:
    gradient, more = step.reads
    pointers = (*reading(more), changing(gradient))
    return train_call("accumulate", "count_op", (("count", site.size(gradient)),), pointers)


@_bind.register
def _average_pool(step: pr.AveragePoolGradient, site: _Site) -> TrainCall:
    ((gradient,), (dx,)) = step.reads, step.writes
    fields = average_pool_layer(step.window, site.shape(dx), site.shape(gradient))
    return train_call("avg_pool_grad", "layer", fields, (*reading(gradient), writing(dx)))


@_bind.register
def _mean(step: pr.MeanGradient, site: _Site) -> TrainCall:
    ((gradient,), (dx,)) = step.reads, step.writes
    shape = site.shape(dx)
    kept = tuple(1 if axis in step.axes else size for axis, size in enumerate(shape))
    fields: Fields = (
        ("dims", ints(four(shape, dx))),
        ("strides", ints(broadcast_strides(four(kept, dx)))),
        ("factor", rounded(1 / prod(shape[axis] for axis in step.axes))),
    )
    return train_call("mean_grad", "mean_grad_op", fields, (*reading(gradient), writing(dx)))


@_bind.register
def _slice(step: pr.Slice, site: _Site) -> TrainCall:
    ((gradient,), (part,)) = step.reads, step.writes
    whole, shape, axis = site.shape(gradient), site.shape(part), step.axis
    inner = 4 * prod(shape[axis + 1 :])
    rows, stride = prod(shape[:axis]), inner * whole[axis]
    source = (inner * step.start, stride)
    return copy_call(gradient, part, rows, inner * shape[axis], source, (0, inner * shape[axis]))
