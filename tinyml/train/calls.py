"""Which C functions make a step of a training program, with constants and pointers.

A target runs a step by calling, in order, what `bind_step` gives. There are two kinds of calls:
nodes of an int8 head whose parameters stay are computed by the kernels of inference
(`NodeCall`), everything else by those of `runtime_c/include/tinyml_train.h` (`TrainCall`).
Buffers are named as in the program; a planner gives them addresses.
"""

from dataclasses import dataclass

from tinyml import kernels
from tinyml.kernels.call import KernelCall, OpStruct
from tinyml.train import bind_backward, bind_forward
from tinyml.train import program as pr
from tinyml.train.bind_common import TrainCall, rounded
from tinyml.train.program import Precision, Program, Step
from tinyml.train.tail import Tail

__all__ = ["Call", "NodeCall", "TrainCall", "bind_node", "bind_step", "schedule_struct"]


@dataclass(frozen=True, slots=True, eq=False)
class NodeCall:
    """A node of the head whose constants do not change, and the kernel of inference for it."""

    node: str
    call: KernelCall
    reads: tuple[str, ...]
    """The activations that the kernel takes; its constants are in `call`."""
    writes: tuple[str, ...]

    @property
    def scratch_bytes(self) -> int:
        """Bytes of scratch."""
        return self.call.scratch_bytes

    @property
    def sources(self) -> tuple[str, ...]:
        """C files, relative to the runtime's folder."""
        return kernels.kernel_sources([self.call])


Call = TrainCall | NodeCall


def bind_step(
    tail: Tail, program: Program, step: Step, isa: tuple[str, ...] = ("portable",)
) -> tuple[Call, ...]:
    """The calls that make `step`, in order; `isa` is for kernels of inference.

    UnsupportedError when no kernel computes it.
    """
    if isinstance(step, pr.Infer):
        return bind_node(tail, program, step.node, isa)
    return (bind_backward.bind(tail, program, step),)


def bind_node(
    tail: Tail, program: Program, name: str, isa: tuple[str, ...] = ("portable",)
) -> tuple[Call, ...]:
    """The calls that compute a node of the head: also of a SOFTMAX, which training leaves out."""
    node = tail.layer(name)
    if program.precision is Precision.FLOAT32:
        return bind_forward.float32(tail.head, node)
    learning = {w for step in program.steps if isinstance(step, pr.Update) for w in step.writes}
    if learning.intersection(n for n in node.inputs if n is not None):
        return (bind_forward.int8(tail.head, node),)
    call = kernels.bind(tail.head, node, isa)
    return (NodeCall(name, call, tail.head.activations(node), node.outputs),)


def schedule_struct(program: Program) -> OpStruct:
    """The `tinyml_train_schedule` that `tinyml_train_begin` takes before every step."""
    fields = (("batch", program.batch), ("momentum", rounded(program.momentum)))
    return OpStruct("tinyml_train_schedule", fields)
