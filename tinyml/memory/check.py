"""An independent proof that a memory plan is sound.

The plan is replayed step by step on a model of the arena in which every byte
knows the tensor value that it holds. Nothing is taken from the planner but its
result: the checker shares no code with the search for order, lifetimes and
offsets, so a mistake there does not repeat itself here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import numpy.typing as npt

from tinyml.errors import PlanError
from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import Alias, KernelCall
from tinyml.memory.plan import ALIGNMENT, Buffer, MemoryPlan, scratch_name
from tinyml.schedule.schedule import Schedule

_NOTHING = 0
"""The owner of bytes that hold no tensor: never written, or a scratch."""


def check_plan(
    graph: Graph, schedule: Schedule, calls: Mapping[str, KernelCall], plan: MemoryPlan
) -> None:
    """Raise PlanError, naming the op and the tensors, unless `plan` is sound.

    Sound means: every node runs once, after its producers; every byte that a
    node reads still holds what its producer wrote, and so do the graph outputs
    at the end; what a node reads, writes and uses as scratch at the same time
    lies apart, but for the overlays that its kernel allows; everything is
    aligned and inside the arena; the arena is no larger than its buffers need;
    and the live ranges and peaks that the plan reports are true.
    """
    _check_schedule(graph, schedule)
    _check_buffers(graph, plan)
    replay = _Replay(graph, calls, plan)
    replay.load_inputs()
    node_of = {node.name: node for node in graph.nodes}
    for step, segment in enumerate(schedule.segments):
        for name in segment.nodes:
            replay.run(node_of[name], step)
    replay.read_outputs(max(len(schedule.segments) - 1, 0))
    replay.check_lives()
    _check_figures(schedule, plan)


def _check_schedule(graph: Graph, schedule: Schedule) -> None:
    """Every node exactly once, after the nodes that it reads from."""
    expected = sorted(node.name for node in graph.nodes)
    if sorted(schedule.order) != expected:
        wrong = set(expected) ^ set(schedule.order)
        what = f"misses or invents {', '.join(sorted(wrong))}" if wrong else "repeats a node"
        raise PlanError(f"the schedule {what}")
    node_of = {node.name: node for node in graph.nodes}
    known = set(graph.inputs)
    for name in schedule.order:
        node = node_of[name]
        for operand in graph.activations(node):
            if operand not in known:
                raise PlanError(f"{_label(node)} runs before its input '{operand}' is there")
        known.update(node.outputs)


def _check_buffers(graph: Graph, plan: MemoryPlan) -> None:
    """Names, sizes, alignment and bounds."""
    names = [buffer.name for buffer in plan.buffers]
    if len(set(names)) != len(names) or set(names) != set(plan.offsets):
        raise PlanError("buffers and offsets do not correspond one to one")
    top = 0
    for buffer in plan.buffers:
        offset = plan.offsets[buffer.name]
        if offset < 0 or offset % ALIGNMENT or buffer.bytes % ALIGNMENT:
            raise PlanError(
                f"buffer '{buffer.name}' ({buffer.bytes} bytes at {offset})"
                f" is not aligned to {ALIGNMENT}"
            )
        top = max(top, offset + buffer.bytes)
        for name in buffer.tensors:
            if graph.tensors[name].nbytes > buffer.bytes:
                raise PlanError(f"tensor '{name}' exceeds its buffer '{buffer.name}'")
    if top != plan.arena_bytes:
        raise PlanError(f"the arena has {plan.arena_bytes} bytes, its buffers end at {top}")


def _check_figures(schedule: Schedule, plan: MemoryPlan) -> None:
    """Peaks are the sums of live buffers; bounds and claims agree with each other."""
    steps = max(len(schedule.segments), 1)
    peaks = tuple(
        sum(buffer.bytes for buffer in plan.buffers if buffer.first <= step <= buffer.last)
        for step in range(steps)
    )
    if plan.peaks != peaks:
        raise PlanError("the peaks of the plan are not the sums of its live buffers")
    if plan.arena_bytes < max(max(peaks), plan.lower_bound):
        raise PlanError(f"an arena of {plan.arena_bytes} bytes is below its own lower bound")
    if plan.arena_bytes == plan.lower_bound and not plan.optimal:
        raise PlanError("an arena at the lower bound is optimal but not reported so")


def _label(node: Node) -> str:
    return f"{node.op.kind} '{node.name}'"


@dataclass(frozen=True, slots=True)
class _Range:
    """Bytes in use under a name, for messages."""

    name: str
    start: int
    stop: int

    def touches(self, other: "_Range") -> bool:
        return self.start < other.stop and other.start < self.stop


@dataclass(slots=True)
class _Replay:
    """The arena as the plan leaves it, step after step."""

    graph: Graph
    calls: Mapping[str, KernelCall]
    plan: MemoryPlan
    owner: npt.NDArray[np.int32] = field(init=False)
    """Per arena byte, the value that it holds."""
    value_of: dict[str, int] = field(init=False)
    """Tensor -> value, for the tensors that have been written."""
    buffer_of: dict[str, Buffer] = field(init=False)
    used: dict[str, list[int]] = field(init=False)
    """Buffer -> the steps that use it."""

    def __post_init__(self) -> None:
        self.owner = np.full(self.plan.arena_bytes, _NOTHING, np.int32)
        self.value_of = {}
        self.buffer_of = {}
        self.used = {buffer.name: [] for buffer in self.plan.buffers}
        for buffer in self.plan.buffers:
            for name in (buffer.name, *buffer.tensors):
                if self.buffer_of.setdefault(name, buffer) is not buffer:
                    raise PlanError(f"'{name}' lies in more than one buffer")

    def load_inputs(self) -> None:
        """The application writes all graph inputs, in any order, before step 0."""
        ranges = [self._range(name, 0) for name in dict.fromkeys(self.graph.inputs)]
        for a, b in combinations(ranges, 2):
            if a.touches(b):
                raise PlanError(f"graph inputs '{a.name}' and '{b.name}' overlap")
        for written in ranges:
            self._write(written)

    def run(self, node: Node, step: int) -> None:
        """One node: read, then overwrite, as its kernel may."""
        inputs = [
            (position, self._range(name, step))
            for position, name in enumerate(node.inputs)
            if name is not None and not self.graph.tensors[name].is_const
        ]
        for _, source in inputs:
            self._read(source, f"{_label(node)} reads '{source.name}'")
        call = self.calls[node.name]
        outputs = [self._range(name, step) for name in node.outputs]
        if isinstance(call.loop, Alias):
            self._alias(node, inputs[0][1] if inputs else None, outputs)
            return
        self._check_apart(node, call, inputs, outputs)
        if call.scratch_bytes:
            scratch = self._scratch(node, call, step)
            for other in (*(source for _, source in inputs), *outputs):
                if scratch.touches(other):
                    raise PlanError(f"{_label(node)}: its scratch overlaps '{other.name}'")
            self.owner[scratch.start : scratch.stop] = _NOTHING
        for written in outputs:
            self._write(written)

    def read_outputs(self, step: int) -> None:
        """The application reads all graph outputs after the last step."""
        for name in self.graph.outputs:
            self._read(self._range(name, step), f"the application reads output '{name}'")

    def check_lives(self) -> None:
        """Every buffer says exactly when it is live: from its first use to its last."""
        for buffer in self.plan.buffers:
            steps = self.used[buffer.name]
            if not steps or (min(steps), max(steps)) != (buffer.first, buffer.last):
                raise PlanError(
                    f"buffer '{buffer.name}' calls itself live from {buffer.first} to"
                    f" {buffer.last}, but its uses are at {sorted(set(steps))}"
                )

    def _alias(self, node: Node, source: _Range | None, outputs: list[_Range]) -> None:
        """Nothing runs: the output must be the very bytes of the first input."""
        if source is None or source.name != node.inputs[0] or len(outputs) != 1:
            raise PlanError(f"{_label(node)} is no view of an activation")
        view = outputs[0]
        if (source.start, source.stop) != (view.start, view.stop):
            raise PlanError(f"{_label(node)}: '{view.name}' does not lie on '{source.name}'")
        self.value_of[view.name] = self.value_of[source.name]

    def _check_apart(
        self,
        node: Node,
        call: KernelCall,
        inputs: list[tuple[int, _Range]],
        outputs: list[_Range],
    ) -> None:
        """An output may meet an input only as an overlay that the kernel allows."""
        for a, b in combinations(outputs, 2):
            if a.touches(b):
                raise PlanError(f"{_label(node)}: outputs '{a.name}' and '{b.name}' overlap")
        for written in outputs:
            for position, source in inputs:
                if not written.touches(source):
                    continue
                allowed = position in call.in_place and len(outputs) == 1
                if not allowed or (written.start, written.stop) != (source.start, source.stop):
                    raise PlanError(
                        f"{_label(node)}: output '{written.name}' overwrites input"
                        f" '{source.name}' while it is read"
                    )

    def _range(self, name: str, step: int) -> _Range:
        """Where a tensor lies, and a note that `step` uses it."""
        buffer = self.buffer_of.get(name)
        if buffer is None or name not in buffer.tensors:
            raise PlanError(f"tensor '{name}' has no buffer")
        self.used[buffer.name].append(step)
        start = self.plan.offsets[buffer.name]
        return _Range(name, start, start + self.graph.tensors[name].nbytes)

    def _scratch(self, node: Node, call: KernelCall, step: int) -> _Range:
        name = scratch_name(node.name)
        buffer = self.buffer_of.get(name)
        if buffer is None or buffer.bytes < call.scratch_bytes:
            raise PlanError(f"{_label(node)} has no scratch of {call.scratch_bytes} bytes")
        self.used[buffer.name].append(step)
        start = self.plan.offsets[buffer.name]
        return _Range(name, start, start + call.scratch_bytes)

    def _write(self, written: _Range) -> None:
        """A new value; 0 is `_NOTHING`."""
        value = len(self.value_of) + 1
        self.value_of[written.name] = value
        self.owner[written.start : written.stop] = value

    def _read(self, source: _Range, who: str) -> None:
        value = self.value_of.get(source.name)
        if value is None:
            raise PlanError(f"{who}, which nothing has written")
        found = self.owner[source.start : source.stop]
        wrong = np.flatnonzero(found != value)
        if wrong.size:
            at = int(wrong[0])
            holder = next(
                (f"'{name}'" for name, v in self.value_of.items() if v == found[at]), "scratch"
            )
            raise PlanError(f"{who}, but byte {source.start + at} of the arena holds {holder}")
