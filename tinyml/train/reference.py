"""The host reference: executes the program of a training step, in stated order.

The forward pass of an int8 head is the int8 reference; everything in float32 follows the
rules of `floats`, so that a target that keeps them too has the same parameters, bit for bit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import singledispatch
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyml.reference import run
from tinyml.reference.registry import kernel_for
from tinyml.train import forward
from tinyml.train import gradient_filter as gf
from tinyml.train import program as pr
from tinyml.train.autodiff import LOSS, TARGET
from tinyml.train.floats import Floats
from tinyml.train.grid import Grid
from tinyml.train.losses import LOSSES
from tinyml.train.program import LayerKind, Precision, Program, Role
from tinyml.train.rounding import draws, stepped
from tinyml.train.tail import Tail

Values = npt.NDArray[Any]
"""Arrays whose types the program says."""


Watcher = Callable[[int, Mapping[str, Values]], None]


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What lasts from one training step to the next."""

    step: int
    parameters: Mapping[str, Values]
    """Every constant of the head, by name: int8, int32, or float32."""
    momenta: Mapping[str, Floats]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a training step came to."""

    state: State
    loss: float
    gradients: Mapping[str, Floats]
    """Of every parameter that learns, as its update used it (`Update`: s * factors)."""


def initial_state(tail: Tail, program: Program) -> State:
    """The parameters as the model has them (float32: dequantised); no momentum."""
    is_float = program.precision is Precision.FLOAT32
    parameters: dict[str, Values] = {
        tensor.name: forward.dequantized(tensor, tensor.values) if is_float else tensor.values
        for tensor in tail.head.tensors.values()
        if tensor.is_const
    }
    momenta = {
        buffer.name: np.zeros(buffer.shape, np.float32)
        for buffer in program.buffers.values()
        if buffer.role is Role.STATE
    }
    return State(0, parameters, momenta)


def boundary(tail: Tail, program: Program, inputs: Mapping[str, Values]) -> dict[str, Values]:
    """What the frozen backbone gives the head for `inputs` of the network."""
    values = run(tail.backbone, {name: inputs[name] for name in tail.backbone.inputs})
    if program.precision is Precision.INT8:
        return values
    return {
        name: forward.dequantized(tail.head.tensors[name], value) for name, value in values.items()
    }


def infer(tail: Tail, program: Program, state: State, start: Mapping[str, Values]) -> Values:
    """The network's output with the parameters of `state`, from what `boundary` gave."""
    run_ = _Run(tail, program, state, {**state.parameters, **start})
    for node in tail.head.nodes:
        run_.infer(node.name)
    return run_.values[tail.head.outputs[0]]


def train_step(
    tail: Tail,
    program: Program,
    state: State,
    start: Mapping[str, Values],
    target: Values,
    rate: float,
    seed: int = 0,
    watch: Watcher | None = None,
) -> Outcome:
    """One sample: `start` is what `boundary` gave.

    Parameters change with the last sample of a batch. `target` is the label, int32 [1], or
    float32 of the output's shape; `rate` is rounded to float32. The same arguments give the
    same bits. `watch` is told of the values after every step, by its index.
    """
    values = {**state.parameters, **state.momenta, **start, TARGET: target}
    run_ = _Run(tail, program, state, values, np.float32(rate), seed)
    for index, step in enumerate(program.steps):
        _execute(step, run_)
        if watch is not None:
            watch(index, run_.values)
    after = State(
        state.step + 1,
        {name: run_.values[name] for name in state.parameters},
        {name: run_.values[name] for name in state.momenta},
    )
    return Outcome(after, float(run_.values[LOSS][0]), run_.gradients)


class _Run:
    """The values of one training step."""

    def __init__(
        self,
        tail: Tail,
        program: Program,
        state: State,
        values: dict[str, Values],
        rate: np.float32 = np.float32(0),  # noqa: B008 - a number
        seed: int = 0,
    ) -> None:
        self.tail, self.program, self.state = tail, program, state
        self.values = values
        self.rate, self.seed = rate, seed
        self.gradients: dict[str, Floats] = {}

    @property
    def integers(self) -> bool:
        """Whether the head is int8."""
        return self.program.precision is Precision.INT8

    def reads(self, step: pr.Step) -> list[Values]:
        """What `step` reads, in its order."""
        return [self.values[name] for name in step.reads]

    def infer(self, name: str) -> None:
        """Run a node of the head."""
        graph, node = self.tail.head, self.tail.layer(name)
        operands = tuple(None if n is None else self.values[n] for n in node.inputs)
        if self.integers:
            results = kernel_for(graph, node)(graph, node, operands)
        else:
            results = (forward.infer(graph, node, operands),)
        self.values.update(zip(node.outputs, results, strict=True))


@singledispatch
def _execute(step: pr.Step, run: _Run) -> None:
    raise NotImplementedError(step.name)


@_execute.register
def _infer(step: pr.Infer, run: _Run) -> None:
    run.infer(step.node)


@_execute.register
def _save_pooled(step: pr.SavePooled, run: _Run) -> None:
    ((x,), (saved,)) = run.reads(step), step.writes
    if step.grid is None:
        shape = run.program.buffers[saved].shape
        run.values[saved] = x.reshape(*shape[:-1], -1)[..., : step.channels]
        return
    x = x[..., : step.channels]
    if not run.integers:
        run.values[saved] = gf.block_sums(x, step.grid)
        return
    # Sums of a patch are far below 2^24, where float32 is exact.
    sums = gf.block_sums(x.astype(np.float32), step.grid).astype(np.int64)
    counts = step.grid.counts()[None, :, :, None]
    mean = np.sign(sums) * ((np.abs(sums) + counts // 2) // np.maximum(counts, 1))
    zero_point = run.tail.head.tensors[step.reads[0]].q.zero_point
    run.values[saved] = np.where(counts > 0, mean, zero_point).astype(np.int8)


def _between(y: Values, low: float, high: float) -> gf.Bools:
    inside: gf.Bools = (y > low) & (y < high)
    return inside


@_execute.register
def _save_mask(step: pr.SaveMask, run: _Run) -> None:
    (y,) = run.reads(step)
    run.values[step.writes[0]] = _between(y, step.low, step.high)


@_execute.register
def _save_share(step: pr.SaveShare, run: _Run) -> None:
    (y,) = run.reads(step)
    active = _between(y, step.low, step.high).astype(np.float32)
    run.values[step.writes[0]] = gf.block_sums(active, step.grid).astype(np.uint8)


@_execute.register
def _loss(step: pr.Loss, run: _Run) -> None:
    logits, target = run.reads(step)
    if run.integers:
        steps = (logits.astype(np.int32) - step.zero_point).astype(np.float32)
        logits = steps * np.float32(step.scale)
    compute = LOSSES[step.kind]
    gradient, loss = compute(logits.astype(np.float32), target)
    run.values[step.writes[0]] = gradient
    run.values[step.writes[1]] = np.array([loss], np.float32)


@_execute.register
def _mask_by_bits(step: pr.MaskByBits, run: _Run) -> None:
    gradient, mask = run.reads(step)
    run.values[step.writes[0]] = np.where(mask, gradient, np.float32(0))


@_execute.register
def _mask_by_value(step: pr.MaskByValue, run: _Run) -> None:
    gradient, y = run.reads(step)
    inside = _between(y, step.low, step.high)
    run.values[step.writes[0]] = np.where(inside, gradient, np.float32(0))


@_execute.register
def _pool(step: pr.Pool, run: _Run) -> None:
    (gradient,) = run.reads(step)
    run.values[step.writes[0]] = gf.block_means(gradient, step.grid, step.factor)


def _counts(active: Values, grid: Grid) -> Floats:
    """Active pixels of every patch, from bytes or from the bits of the map."""
    as_floats = active.astype(np.float32)
    return gf.block_sums(as_floats, grid) if active.dtype == np.bool_ else as_floats


@_execute.register
def _pool_share(step: pr.PoolShare, run: _Run) -> None:
    dx, *active = run.reads(step)
    if active:
        inverse = gf.inverse_counts(step.grid, step.factor)[None, :, :, None]
        run.values[step.writes[0]] = dx * (_counts(active[0], step.grid) * inverse)
    else:
        run.values[step.writes[0]] = dx * np.float32(step.factor)


@_execute.register
def _spread(step: pr.Spread, run: _Run) -> None:
    (dx,) = run.reads(step)
    run.values[step.writes[0]] = gf.spread(dx, step.grid)


def _per_output(values: tuple[float, ...], weights: Values, layer: pr.Layer) -> Floats:
    """Numbers per output channel, shaped to multiply weights or their gradients."""
    numbers = np.array(values, np.float32)
    if layer.multiplier:
        return numbers[: weights.shape[-1]]
    return numbers.reshape(-1, *(1 for _ in weights.shape[1:]))


@_execute.register
def _input_gradient(step: pr.InputGradient, run: _Run) -> None:
    g, stored = run.reads(step)
    layer = step.layer
    weights = (stored.astype(np.float32) - np.float32(step.weights_zero_point)).astype(np.float32)
    if layer.kind is LayerKind.DENSE:
        g = g.reshape(layer.y)
    if step.scales:
        g = g * np.array(step.scales, np.float32)
    if layer.kind is LayerKind.DENSE:
        dx = gf.dense_input_gradient(g, weights)
    elif step.grid is not None:
        dx = gf.filtered_input_gradient(g, gf.kernel_sums(weights), layer.multiplier)
    else:
        dx = gf.input_gradient(g, weights, layer.x, layer.window, layer.multiplier)
    run.values[step.writes[0]] = dx.reshape(run.program.buffers[step.writes[0]].shape)


@_execute.register
def _update_bias(step: pr.UpdateBias, run: _Run) -> None:
    gradient = run.values[step.reads[0]]
    if step.grid is not None:
        if step.shared:
            times = _counts(run.values[step.reads[1]], step.grid)
        else:
            times = step.grid.counts().astype(np.float32)[None, :, :, None]
        gradient = gradient * times
    total = gf.bias_gradient(gradient)
    scaled = total * np.array(step.factors, np.float32) if step.factors else total
    _update(step, run, scaled, (slice(None),))


@_execute.register
def _update_weights(step: pr.UpdateWeights, run: _Run) -> None:
    g, x = run.reads(step)[:2]
    layer = step.layer
    if run.integers:
        x = (x.astype(np.int32) - step.x_zero_point).astype(np.float32)
        if step.x_grid is not None:
            x = x * step.x_grid.counts().astype(np.float32)[None, :, :, None]
    if layer.kind is LayerKind.DENSE:
        x = x.reshape(layer.x[0], -1)[:, : step.channels]
        dw = gf.dense_weight_gradient(g.reshape(layer.y), x)
    elif step.x_grid is not None:
        dw = gf.filtered_weight_gradient(g, x, step.channels, layer.multiplier)
    else:
        dw = gf.weight_gradient(g, x, step.channels, layer.window, layer.multiplier)
    if step.factors:
        dw = dw * _per_output(step.factors, dw, layer)
    _update(step, run, dw, (..., slice(dw.shape[-1])), shared_by_taps=step.x_grid is not None)


def _update(
    step: pr.Update,
    run: _Run,
    gradient: Floats,
    part: Any,
    *,
    shared_by_taps: bool = False,
) -> None:
    """Write the parameter, of which `part` learns, and its momentum."""
    name, *momentum = step.writes
    run.gradients[name] = gradient
    if momentum:
        before = run.values[momentum[0]]
        place = run.state.step % run.program.batch
        decay = np.float32(run.program.momentum if place == 0 else 1.0)
        gradient = before * decay + gradient
        run.values[momentum[0]] = gradient
        if place + 1 < run.program.batch:
            return
    change = (run.rate / np.float32(run.program.batch)) * gradient
    if shared_by_taps:
        change = gf.shared_by_taps(change, run.values[name].shape[1:3])
    parameter = run.values[name].copy()
    if run.integers:
        random = draws(run.seed, run.state.step, step.ordinal, parameter.size)
        random = random.reshape(parameter.shape)[part]
        moved = stepped(parameter[part], change, random, step.limit)
        parameter[part] = moved.astype(parameter.dtype)
    else:
        parameter[part] = parameter[part] - change
    run.values[name] = parameter


@_execute.register
def _copy(step: pr.Copy, run: _Run) -> None:
    (gradient,), (into,) = run.reads(step), step.writes
    run.values[into] = gradient.reshape(run.program.buffers[into].shape)


@_execute.register
def _accumulate(step: pr.Accumulate, run: _Run) -> None:
    a, b = run.reads(step)
    run.values[step.writes[0]] = a + b


@_execute.register
def _average_pool(step: pr.AveragePoolGradient, run: _Run) -> None:
    ((gradient,), (into,)) = run.reads(step), step.writes
    shape = run.program.buffers[into].shape
    inverse = forward.average_pool_counts(step.window, *shape[1:3])[None, :, :, None]
    ones = np.ones((1, *step.window.kernel, shape[3]), np.float32)
    run.values[into] = gf.input_gradient(gradient * inverse, ones, shape, step.window, multiplier=1)


@_execute.register
def _mean(step: pr.MeanGradient, run: _Run) -> None:
    ((gradient,), (into,)) = run.reads(step), step.writes
    shape = run.program.buffers[into].shape
    kept = tuple(1 if axis in step.axes else size for axis, size in enumerate(shape))
    count = prod(shape[axis] for axis in step.axes)
    scaled = gradient.reshape(kept) * np.float32(1 / count)
    run.values[into] = np.broadcast_to(scaled, shape)


@_execute.register
def _slice(step: pr.Slice, run: _Run) -> None:
    ((gradient,), (into,)) = run.reads(step), step.writes
    size = run.program.buffers[into].shape[step.axis]
    index = (slice(None),) * step.axis + (slice(step.start, step.start + size),)
    run.values[into] = gradient[index]
