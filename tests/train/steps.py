"""Runs the steps of a training program in C, one by one, beside the reference."""

from collections.abc import Callable, Mapping

import numpy as np

from tests.support.kernel_server import Function, Request
from tinyml.kernels.call import Alias
from tinyml.train import calls, reference
from tinyml.train import program as pr
from tinyml.train.autodiff import TARGET
from tinyml.train.calls import Call, NodeCall, TrainCall
from tinyml.train.network import network
from tinyml.train.program import Element, Program
from tinyml.train.tail import Tail

Values = dict[str, np.ndarray]
Runner = Callable[[Request | Function], tuple[bytes, ...]]


def stored(program: Program, name: str, value: np.ndarray) -> bytes:
    """How a target stores a buffer."""
    if name in program.buffers and program.buffers[name].element is Element.BIT:
        return np.packbits(value.reshape(-1), bitorder="little").tobytes()
    return np.ascontiguousarray(value).tobytes()


class Machine:
    """Memory of a target: every buffer's bytes."""

    def __init__(self, run: Runner, tail: Tail, program: Program, rate: float, seed: int) -> None:
        self.run, self.tail, self.program = run, tail, program
        self.network = network(tail, program.precision)
        self.rate, self.seed, self.number = rate, seed, 0
        self.memory: dict[str, bytes] = {}
        self.executed: list[str] = []

    def execute(self, step: pr.Step) -> None:
        self.call(calls.bind_step(self.network, self.program, step))

    def call(self, call: Call) -> None:
        if isinstance(call, NodeCall):
            self._node(call)
        else:
            self._train(call)

    def _train(self, call: TrainCall) -> None:
        self.executed.append(call.function)
        sample = None
        if call.takes_sample:
            schedule = calls.schedule_struct(self.program)
            sample = (schedule, self.rate, self.seed, self.number)
        given = tuple(
            None if p.buffer is None else self.memory.get(p.buffer, self._fresh(p.buffer))
            for p in call.pointers
        )
        request = Function(call.function, call.struct, given, sample, call.scratch_bytes)
        after = self.run(request)
        for pointer, before, content in zip(call.pointers, given, after, strict=True):
            if pointer.buffer is None:
                continue
            if pointer.buffer in call.writes:
                self.memory[pointer.buffer] = content
            else:
                assert content == before, f"{call.function} changed '{pointer.buffer}'"

    def _node(self, call: NodeCall) -> None:
        given = tuple(self.memory[name] for name in call.reads)
        (result,) = call.writes
        if isinstance(call.call.loop, Alias):
            self.memory[result] = given[0]
            return
        (self.memory[result],) = self.run(Request(call.call, given, (self._size(result),)))

    def _size(self, name: str) -> int:
        if name in self.program.buffers:
            return self.program.buffers[name].nbytes
        return self.tail.head.tensors[name].size * (1 if self._int8 else 4)

    @property
    def _int8(self) -> bool:
        return self.program.precision is pr.Precision.INT8

    def _fresh(self, name: str) -> bytes:
        return b"\xa5" * self._size(name)


def compare(
    run: Runner,
    tail: Tail,
    program: Program,
    state: reference.State,
    start: Mapping[str, np.ndarray],
    target: np.ndarray,
    rate: float,
    seed: int,
    samples: int = 1,
) -> list[str]:
    """Trains on `samples` copies of one sample; after each step, what it wrote must have the
    reference's bytes. The functions that ran."""
    machine = Machine(run, tail, program, rate, seed)
    lasting = {**state.parameters, **state.momenta}
    machine.memory.update({n: stored(program, n, v) for n, v in lasting.items()})
    for _ in range(samples):
        values = {**state.parameters, **state.momenta, **start, TARGET: target}
        given = {**start, TARGET: target}
        machine.memory.update({n: stored(program, n, v) for n, v in given.items()})
        machine.number = state.step
        run_ = reference._Run(tail, program, state, values, np.float32(rate), seed)
        for step in program.steps:
            reference._execute(step, run_)
            machine.execute(step)
            for name in step.writes:
                want = run_.values[name]
                got = machine.memory[name]
                if stored(program, name, want) != got:
                    raise AssertionError(difference(step, name, want, got))
        state = reference.State(
            state.step + 1,
            {name: run_.values[name] for name in state.parameters},
            {name: run_.values[name] for name in state.momenta},
        )
    return machine.executed


def difference(step: pr.Step, name: str, want: np.ndarray, got: bytes) -> str:
    if want.dtype == np.bool_:
        return f"{step}: '{name}' has other bits"
    there = np.frombuffer(got, want.dtype).reshape(want.shape)
    at = np.argwhere(there != want)[:5]
    return (
        f"{step}: '{name}' at {at.tolist()} of {want.shape}: {there[there != want][:5]} "
        f"instead of {want[there != want][:5]}"
    )
