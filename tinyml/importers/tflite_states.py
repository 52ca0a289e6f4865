"""What a .tflite file keeps from one invocation to the next, as states of the graph.

There are two forms of it. A tensor that is called a variable is an operand of the one operator
that changes it. A resource has a handle by name, and operators that read and assign it anywhere,
also in a subgraph that runs once at the beginning: that one is run here, and its results are what
the states begin with. In the graph a value is what was last assigned: what is read before any
assignment is the state, and what is assigned last becomes the state, at the very end.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tinyml import reference
from tinyml.errors import ModelError, UnsupportedOp
from tinyml.importers.names import Namer, printable
from tinyml.importers.tflite_file import FileGraph, FileOperator
from tinyml.importers.tflite_tensors import Unusable, tensors_of
from tinyml.ir import ops
from tinyml.ir.check import check
from tinyml.ir.graph import Array, DType, Graph, Node, State, Tensor
from tinyml.ir.operands import misfit

VARIABLES = ("ASSIGN_VARIABLE", "CALL_ONCE", "READ_VARIABLE", "VAR_HANDLE")
"""The operators that this file takes care of."""

Tensors = dict[int, Tensor | Unusable]
MakeNode = Callable[[FileOperator, FileGraph, Tensors, "States"], Node | UnsupportedOp]
"""Makes a node of an operator that is none of `VARIABLES`."""


_MOST_BYTES = 1 << 26


class StateError(Exception):
    """A use of a state that cannot be deployed; the message says why."""


@dataclass(slots=True)
class _Variable:
    """A resource, while the operators are gone through."""

    name: str
    initial: Array | None = None
    """What the first subgraphs assign; None: nothing."""
    before: Tensor | None = None
    """The state; None as long as nothing has read it."""
    first: Tensor | None = None
    """What was assigned first, outside of those; None: nothing."""
    value: Tensor | None = None
    """What was assigned last."""

    def begins_as(self, before: Tensor) -> Array:
        """What the state is at first; StateError where nothing ever assigns it."""
        if self.initial is not None:
            if (self.initial.dtype, self.initial.size) != (before.dtype.numpy, before.size):
                raise StateError(f"it reads {before.shape}, {self.initial.shape} was assigned once")
            return self.initial.reshape(before.shape)
        if self.first is None:
            raise StateError(f"variable '{self.name}' is read, and nothing assigns it")
        return _filled(before, 0 if self.first.quant is None else self.first.quant.zero_points[0])


@dataclass(slots=True)
class States:
    """The states of the first subgraph, found operator by operator."""

    file: FileGraph
    tensors: Tensors
    make: MakeNode
    found: dict[str, State] = field(default_factory=dict)
    """By the names of their tensors `before`."""
    added: dict[str, Tensor] = field(default_factory=dict)
    """The tensors that the file does not have, by name."""
    variables: dict[tuple[str, str], _Variable] = field(default_factory=dict)
    handles: dict[int, _Variable] = field(default_factory=dict)
    """By the index of the handle's tensor."""
    once: set[int] = field(default_factory=set)
    """Subgraphs that run once, by their number."""

    def updates(
        self, op: ops.Op, operator: FileOperator, kept: Sequence[Tensor | None]
    ) -> tuple[Tensor, ...]:
        """What the states among the operands `kept` become; StateError for what is none."""
        tensors = [kept[position] for position in op.updates if position < len(kept)]
        variables = {
            self._tensor(index).name
            for index in (*operator.inputs, *operator.outputs)
            if index != -1 and self.file.tensors[index].is_variable
        }
        names = {tensor.name for tensor in tensors if tensor is not None}
        if variables - names:
            name = min(variables - names)
            raise StateError(f"tensor '{name}' is a variable that keeps its value between runs")
        if names - variables or None in tensors:
            what = f"'{min(names - variables)}' is" if names - variables else "it has"
            raise StateError(f"{what} no variable to keep its state in")
        if names & self.found.keys():
            raise StateError(f"variable '{min(names & self.found.keys())}' is another's, too")
        return tuple(self._state(t) for t in tensors if t is not None)

    def variable(self, operator: FileOperator, namer: Namer) -> list[Node | UnsupportedOp]:
        """The nodes that one of `VARIABLES` needs here; assignments need theirs at the end."""
        try:
            return self._variable(operator, namer)
        except StateError as error:
            names = [self._name(index) for index in (*operator.outputs, *operator.inputs)]
            return [UnsupportedOp(operator.kind, tuple(names[:1]), str(error))]

    def assignments(self, namer: Namer, nodes: Sequence[Node]) -> list[Node | UnsupportedOp]:
        """The nodes that give the variables their last values, each after those that read it."""
        views = {n.output: n.inputs[0] for n in nodes if isinstance(n.op, ops.Reshape)}
        waiting = [v for v in self.variables.values() if v.before is not None]
        made: list[Node | UnsupportedOp] = []
        for variable in list(waiting):
            value, before = variable.value, variable.before
            assert before is not None
            if value is not None and _root(value.name, views) != before.name:
                continue
            waiting.remove(variable)
            try:  # nothing ever changes it
                self.added[before.name] = replace(before, data=variable.begins_as(before))
            except StateError as error:
                made.append(UnsupportedOp("READ_VARIABLE", (variable.name,), str(error)))
        while waiting:
            read = [_root(v.value.name, views) for v in waiting if v.value is not None]
            ready = [
                v
                for i, v in enumerate(waiting)
                if v.before is not None and v.before.name not in (*read[:i], *read[i + 1 :])
            ]
            if not ready:
                names = tuple(v.name for v in waiting)
                why = "these variables exchange their values, which takes a copy of one"
                return [UnsupportedOp("ASSIGN_VARIABLE", names, why)]
            for variable in ready:
                waiting.remove(variable)
                made += self._assigned(variable, namer)
        return made

    def _variable(self, operator: FileOperator, namer: Namer) -> list[Node | UnsupportedOp]:
        match operator.kind:
            case "CALL_ONCE":
                self._run_once(operator)
            case "VAR_HANDLE":
                self._handle(operator, self.handles)
            case "ASSIGN_VARIABLE":
                variable = self._operand(operator, self.handles)
                variable.value = self._tensor(operator.inputs[1])
                variable.first = variable.first or variable.value
            case "READ_VARIABLE":
                return self._read(operator, namer)
        return []

    def _read(self, operator: FileOperator, namer: Namer) -> list[Node | UnsupportedOp]:
        variable, (index,) = self._operand(operator, self.handles), operator.outputs
        result = self._tensor(index)
        if variable.value is None and variable.before is None:
            variable.before = result
            if index in self.file.outputs:
                variable.before = replace(result, name=self._new(variable.name))
            self.added[variable.before.name] = variable.before
        value = variable.value or variable.before
        assert value is not None
        alike = (value.shape, value.dtype, value.quant) == (
            result.shape,
            result.dtype,
            result.quant,
        )
        if alike and index not in self.file.outputs:
            self.tensors[index] = value
            return []
        view = Node(
            namer(f"read_{variable.name}"), ops.Reshape(result.shape), (value.name,), (result.name,)
        )
        reason = misfit(view.op, (value,), (result,))
        if reason is not None or value.size != result.size:
            raise StateError(reason or f"it reads {result.shape}, '{value.name}' is {value.shape}")
        return [view]

    def _assigned(self, variable: _Variable, namer: Namer) -> list[Node | UnsupportedOp]:
        before, value = variable.before, variable.value
        assert before is not None and value is not None
        op = ops.AssignVariable()
        after = replace(before, name=self._new(f"{before.name} (next)"))
        reason = misfit(op, (value, before), (after,))
        if reason is None and value.size != before.size:
            reason = f"'{value.name}' has {value.size} elements, the variable {before.size}"
        if reason is not None:
            return [UnsupportedOp(op.kind, (variable.name,), reason)]
        try:
            initial = variable.begins_as(before)
        except StateError as error:
            return [UnsupportedOp(op.kind, (variable.name,), str(error))]
        self.added[after.name] = after
        self.found[before.name] = State(before.name, after.name, initial)
        name = namer(f"assign_{variable.name}")
        return [Node(name, op, (value.name, before.name), (after.name,))]

    def _state(self, before: Tensor) -> Tensor:
        is_int8 = before.dtype is DType.INT8 and before.quant is not None
        initial = _filled(before, before.q.zero_points[0] if is_int8 else 0)
        after = replace(before, name=self._new(f"{before.name} (next)"))
        self.added[after.name] = after
        self.found[before.name] = State(before.name, after.name, initial)
        return after

    def _handle(self, operator: FileOperator, handles: dict[int, _Variable]) -> None:
        if operator.options_type != "VarHandleOptions" or len(operator.outputs) != 1:
            raise ModelError("VAR_HANDLE: has no name, or no result")
        container, name = (
            (raw or b"").decode(errors="replace")
            for raw in (operator.options.Container(), operator.options.SharedName())
        )
        shown = printable(name) or "variable"
        key = (container, name)
        handles[operator.outputs[0]] = self.variables.setdefault(key, _Variable(shown))

    def _operand(self, operator: FileOperator, handles: Mapping[int, _Variable]) -> _Variable:
        count = (2, 0) if operator.kind == "ASSIGN_VARIABLE" else (1, 1)
        if (len(operator.inputs), len(operator.outputs)) != count or -1 in operator.inputs:
            raise ModelError(f"{operator.kind}: has other operands than a variable and a value")
        variable = handles.get(operator.inputs[0])
        if variable is None:
            raise StateError("its variable comes from somewhere else than a VAR_HANDLE")
        return variable

    def _run_once(self, operator: FileOperator) -> None:
        """Runs the subgraph that CALL_ONCE names, for what it assigns."""
        if operator.options_type != "CallOnceOptions":
            raise ModelError("CALL_ONCE: names no subgraph")
        number = operator.options.InitSubgraphIndex()
        if not 1 <= number <= len(self.file.others):
            raise ModelError(f"CALL_ONCE: subgraph {number} does not exist")
        if number in self.once:
            return
        if any(variable.before or variable.value for variable in self.variables.values()):
            raise StateError("it runs after variables were used")
        self.once.add(number)
        file = self.file.others[number - 1]
        inner = States(file, tensors_of(file), self.make, variables=self.variables)
        if file.inputs:
            raise StateError("the subgraph that it calls has inputs")
        for each in file.operators:
            inner.evaluate(each)

    def evaluate(self, operator: FileOperator) -> None:
        """Runs an operator of a subgraph that runs once."""
        match operator.kind:
            case "VAR_HANDLE":
                self._handle(operator, self.handles)
            case "ASSIGN_VARIABLE":
                variable = self._operand(operator, self.handles)
                value = self._tensor(operator.inputs[1])
                if not value.is_const:
                    raise StateError(f"'{value.name}', assigned once, is not known at import")
                variable.initial = value.values
            case _:
                node = self.make(operator, self.file, self.tensors, self)
                if isinstance(node, UnsupportedOp):
                    raise StateError(f"it calls {node.op}, which {node.reason}")
                self._compute(node, operator)

    def _compute(self, node: Node, operator: FileOperator) -> None:
        if node.op.updates:
            raise StateError(f"it calls {node.op.kind}, which keeps a state of its own")
        tensors = {t.name: t for t in self.tensors.values() if isinstance(t, Tensor)}
        if not all(name is None or tensors[name].is_const for name in node.inputs):
            raise StateError(f"it calls {node.op.kind} of what is not known at import")
        alone = Graph("once", tensors, (node,), (), node.outputs).rebuilt((node,))
        check(alone)
        for name, value in reference.run(alone, {}).items():
            value.setflags(write=False)
            index = next(i for i in operator.outputs if self._name(i) == name)
            self.tensors[index] = replace(tensors[name], data=value)

    def _tensor(self, index: int) -> Tensor:
        tensor = self.tensors[index]
        if isinstance(tensor, Unusable):
            raise StateError(tensor.reason)
        return tensor

    def _name(self, index: int) -> str:
        return self.tensors[index].name if index != -1 else ""

    def _new(self, wanted: str) -> str:
        """A name that no tensor has."""
        taken = {*self.added, *(tensor.name for tensor in self.tensors.values())}
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted}_{number}", number + 1
        return name


def _root(name: str, views: Mapping[str, str | None]) -> str:
    """What `name` is a view of."""
    while name in views:
        name = views[name] or ""
    return name


def _filled(state: Tensor, zero_point: int) -> Array:
    """What TFLite Micro resets a state to: every byte is a zero point's lowest. StateError where it
    is larger than any memory, as in a damaged file."""
    if state.nbytes > _MOST_BYTES:
        raise StateError(f"'{state.name}' keeps {state.nbytes:,} bytes between runs")
    value: Array = np.full(state.nbytes, zero_point & 0xFF, np.uint8).view(state.dtype.numpy)
    value = value.reshape(state.shape)
    value.setflags(write=False)
    return value
