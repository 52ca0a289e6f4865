"""Which C functions make a step of a training program, with constants and pointers.

A target runs a step by calling, in order, what `bind_step` gives. There are two kinds of calls:
nodes of an int8 head whose parameters stay, and those that only move elements, are computed by the
kernels of inference (`NodeCall`), everything else by those of
`runtime_c/include/tinyml_train.h` (`TrainCall`).
Buffers are named as in the program; a planner gives them addresses.
"""

from dataclasses import dataclass

from tinyml import kernels
from tinyml.ir.ops.real import InFloat32
from tinyml.kernels.call import KernelCall, OpStruct
from tinyml.train import bind_backward, bind_forward
from tinyml.train import program as pr
from tinyml.train.bind_common import TrainCall, rounded
from tinyml.train.network import Network
from tinyml.train.program import Program, Step

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
    net: Network, program: Program, step: Step, isa: tuple[str, ...] = ("portable",)
) -> Call:
    """The call that makes `step`; `isa` is for kernels of inference.

    UnsupportedError when no kernel computes it.
    """
    if isinstance(step, pr.Infer):
        return bind_node(net, program, step.node, isa)
    return bind_backward.bind(net.tail, program, step)


def bind_node(
    net: Network, program: Program, name: str, isa: tuple[str, ...] = ("portable",)
) -> Call:
    """The call that computes a node of the head: also of a SOFTMAX, which training leaves out."""
    head, node = net.tail.head, net.tail.layer(name)
    deployed = net.node(name)
    if isinstance(deployed.op, InFloat32):
        return bind_forward.float32(head, node)
    learning = {w for step in program.steps if isinstance(step, pr.Update) for w in step.writes}
    if learning.intersection(n for n in node.inputs if n is not None):
        return bind_forward.int8(head, node)
    call = kernels.bind(net.graph, deployed, isa)
    return NodeCall(name, call, head.activations(node), node.outputs)


def schedule_struct(program: Program) -> OpStruct:
    """The `tinyml_train_schedule` that `tinyml_train_begin` takes before every step."""
    fields = (("batch", program.batch), ("momentum", rounded(program.momentum)))
    return OpStruct("tinyml_train_schedule", fields)
