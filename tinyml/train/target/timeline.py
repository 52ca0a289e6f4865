"""A training step as one graph, which the planner of inference places and the checker proves.

The frozen backbone comes first, node by node as in inference, then a node for every call of the
training program (`train.calls`). A buffer that a call changes has one tensor for each state that it
is in, all of them the same bytes (`InPlace`). What lasts from step to step (parameters, momentum)
and what the application hands over (target) or gets (loss) has no place in the arena.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tinyml.errors import PlanError
from tinyml.ir import ops
from tinyml.ir.graph import DType, Graph, Node, Tensor
from tinyml.kernels.call import InPlace, KernelCall, WholeCall
from tinyml.schedule.schedule import Schedule, Segment, SegmentKind
from tinyml.train.autodiff import tensor_of
from tinyml.train.bind_common import Access
from tinyml.train.calls import Call, NodeCall, TrainCall, bind_step
from tinyml.train.network import Network, network
from tinyml.train.program import (
    Element,
    Infer,
    InputGradient,
    Program,
    Role,
    Step,
    UpdateWeights,
)
from tinyml.train.tail import Tail

_OUTSIDE = (Role.TARGET, Role.PARAMETER, Role.STATE)
"""Buffers that have no place in the arena."""


def element_type(element: Element) -> DType:
    """What the elements of a buffer are in memory; bits lie in bytes."""
    return DType.UINT8 if element is Element.BIT else DType(element.value)


@dataclass(frozen=True, slots=True)
class Training(ops.Op):
    """A call of the training program; it is known by its node's name."""

    kind = "TRAIN"

    def infer(self, inputs: ops.OptionalShapes) -> ops.Shapes:
        """Never asked: the shapes are those of the program's buffers."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Moment:
    """A call, and what it belongs to."""

    call: Call
    step: int
    """The index of its step in the program."""
    tensors: Mapping[str, str]
    """Buffer of the program -> the tensor of the graph that it is while the call runs."""


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """A training step behind a backbone."""

    network: Network
    program: Program
    graph: Graph
    """The backbone's nodes, then one for each call; it gives nothing back."""
    moments: Mapping[str, Moment] = field(repr=False)
    """Node -> the call."""
    calls: Mapping[str, KernelCall] = field(repr=False)
    """Node -> its call as the planner sees it, those of the backbone left out."""

    def schedule(self, backbone: Schedule) -> Schedule:
        """`backbone`, then the calls one after the other."""
        layers = (Segment(SegmentKind.LAYER, (name,)) for name in self.moments)
        return Schedule((*backbone.segments, *layers))

    def step_of(self, node: str) -> Step:
        """The step of the program that a node belongs to."""
        return self.program.steps[self.moments[node].step]


def timeline(tail: Tail, program: Program, isa: tuple[str, ...]) -> Timeline:
    """The graph of a training step; `isa` is for the kernels of inference."""
    net = network(tail, program.precision)
    made = _Maker(net, program, now=dict(net.start))
    for index, step in enumerate(program.steps):
        made.add(index, step, bind_step(net, program, step, isa))
    backbone = net.backbone
    graph = Graph(
        tail.graph.name,
        {**backbone.tensors, **made.tensors},
        (*backbone.nodes, *made.nodes),
        tail.graph.inputs,
        (),
    )
    return Timeline(net, program, graph, made.moments, made.calls)


@dataclass(slots=True)
class _Maker:
    """Collects nodes; lives for one call."""

    network: Network
    program: Program
    now: dict[str, str]
    """Buffer -> the tensor that it is."""
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    moments: dict[str, Moment] = field(default_factory=dict)
    calls: dict[str, KernelCall] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def add(self, index: int, step: Step, call: Call) -> None:
        if isinstance(call, NodeCall):
            self._add_node(index, call)
        else:
            self._add_call(index, step, call)

    def _add_node(self, index: int, call: NodeCall) -> None:
        graph, node = self.network.graph, self.network.node(call.node)
        for tensor in (*graph.operands(node), *graph.results(node)):
            if tensor is not None:
                self.tensors[tensor.name] = tensor
        self.now.update((name, name) for name in node.outputs)
        self._append(node, call.call, index, call)

    def _add_call(self, index: int, step: Step, call: TrainCall) -> None:
        reads = self._placed(call, Access.READ)
        changes = self._placed(call, Access.CHANGE)
        if len(changes) > 1:
            raise PlanError(f"{call.function} changes {', '.join(changes)}: one can be in place")
        before = [self._tensor(name) for name in (*changes, *reads)]
        allowed = {read for read, written in call.in_place if self._in_arena(written)}
        after = [self._next(name) for name in changes]
        after += [self._tensor(name, new=True) for name in self._placed(call, Access.WRITE)]
        kernel = KernelCall(
            call.function.removeprefix("tinyml_"),
            call.struct,
            InPlace() if changes else WholeCall((), ()),
            call.scratch_bytes,
            call.scratch_macro,
            tuple(at for at, name in enumerate((*changes, *reads)) if name in allowed),
        )
        node = Node(self._name(index, step), Training(), tuple(before), tuple(after))
        self._append(node, kernel, index, call)

    def _append(self, node: Node, kernel: KernelCall, index: int, call: Call) -> None:
        self.nodes.append(node)
        self.calls[node.name] = kernel
        self.moments[node.name] = Moment(call, index, dict(self.now))

    def _placed(self, call: TrainCall, access: Access) -> list[str]:
        """The buffers that `call` uses so, and that lie in the arena; each once."""
        names = (p.buffer for p in call.pointers if p.access is access and p.buffer is not None)
        return [name for name in dict.fromkeys(names) if self._in_arena(name)]

    def _in_arena(self, buffer: str) -> bool:
        return self.program.buffers[buffer].role not in _OUTSIDE

    def _tensor(self, name: str, *, new: bool = False) -> str:
        """The tensor that buffer `name` is now; `new`: from now on it is the first one."""
        if new or name not in self.now:
            self.now[name] = name
            self._declare(name, name)
        return self.now[name]

    def _next(self, name: str) -> str:
        """The tensor that it is once it has been changed."""
        later = f"{self._tensor(name)}'"
        self._declare(later, name)
        self.now[name] = later
        return later

    def _declare(self, tensor: str, buffer: str) -> None:
        if tensor in self.network.graph.tensors:
            known = self.network.graph.tensors[tensor]
            if known.dtype is element_type(self.program.buffers[buffer].element):
                self.tensors[tensor] = known
                return
        found = self.program.buffers[buffer]
        bits = found.element is Element.BIT
        shape = (found.nbytes,) if bits else found.shape
        self.tensors[tensor] = Tensor(tensor, shape, element_type(found.element))

    def _name(self, index: int, step: Step) -> str:
        """A name that says what the step does to what; no two are the same."""
        wanted = f"{step.name} {layer_of(self.program, step)}".strip()
        name, number = wanted, 2
        while name in self.names:
            name, number = f"{wanted} ({number})", number + 1
        self.names.add(name)
        return name


def layer_of(program: Program, step: Step) -> str:
    """The node of the head that a step is about: whose result, gradient or parameter it makes."""
    if isinstance(step, Infer):
        return step.node
    if isinstance(step, UpdateWeights | InputGradient):
        return step.layer.node
    kind, _, node = step.writes[0].partition(":")
    if kind in ("saved", "dX"):  # buffers that are called after a layer
        return node
    inferred = [each for each in program.steps if isinstance(each, Infer)]
    made = {name: each.node for each in inferred for name in each.writes}
    read = {name: each.node for each in inferred for name in each.reads}
    for name in map(tensor_of, (*step.writes, *step.reads)):
        if name in made or name in read:
            return made.get(name) or read[name]
    return ""


def phases(program: Program) -> Iterator[tuple[int, str]]:
    """Of every step its index and what it is for: "forward", "backward" or "update"."""
    for index, step in enumerate(program.steps):
        if index <= program.loss_at:
            yield index, "forward"
        else:
            updates = any(program.buffers[name].lasting for name in step.writes)
            yield index, "update" if updates else "backward"
