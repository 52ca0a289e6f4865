"""Graphs as memory sees them: tensors of so many bytes, and calls made by hand."""

from collections.abc import Sequence
from random import Random

from tinyml.ir import ops
from tinyml.ir.graph import DType, Graph, Node, Tensor
from tinyml.kernels.call import Alias, KernelCall, WholeCall
from tinyml.schedule.schedule import Schedule, Segment, SegmentKind


class Net:
    """Collects nodes; the op is of no interest here, only sizes and what the kernel allows."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.inputs: list[str] = []
        self.calls: dict[str, KernelCall] = {}

    def input(self, name: str, size: int) -> str:
        self._tensor(name, size)
        self.inputs.append(name)
        return name

    def op(
        self,
        output: str,
        inputs: Sequence[str],
        size: int,
        *,
        in_place: tuple[int, ...] = (),
        scratch: int = 0,
        more: Sequence[tuple[str, int]] = (),
    ) -> str:
        """A node that writes `output` (and the outputs `more`)."""
        for name, count in ((output, size), *more):
            self._tensor(name, count)
        node = Node(f"n_{output}", ops.Relu(), tuple(inputs), (output, *(n for n, _ in more)))
        self._add(node, KernelCall("relu_s8", None, WholeCall((), ()), scratch, "", in_place))
        return output

    def alias(self, output: str, source: str) -> str:
        size = self.tensors[source].nbytes
        self._tensor(output, size)
        node = Node(f"n_{output}", ops.Reshape((size,)), (source,), (output,))
        self._add(node, KernelCall("", None, Alias()))
        return output

    def graph(self, *outputs: str) -> Graph:
        return Graph("net", self.tensors, tuple(self.nodes), tuple(self.inputs), outputs)

    def _tensor(self, name: str, size: int) -> None:
        assert name not in self.tensors
        self.tensors[name] = Tensor(name, (size,), DType.INT8)

    def _add(self, node: Node, call: KernelCall) -> None:
        self.nodes.append(node)
        self.calls[node.name] = call


def in_order(graph: Graph) -> Schedule:
    """The layer schedule in the graph's own order."""
    return Schedule(tuple(Segment(SegmentKind.LAYER, (node.name,)) for node in graph.nodes))


def random_net(
    rng: Random, nodes: int, *, sizes: Sequence[int] = (8, 16, 24, 40), wide: float = 0.5
) -> tuple[Graph, dict[str, KernelCall]]:
    """A random DAG with every feature that memory knows; `wide` is how often branches start."""
    net = Net()
    names = [net.input(f"x{i}", rng.choice(sizes)) for i in range(rng.choice((1, 1, 1, 2)))]
    for i in range(nodes):
        recent = names[-3:] if rng.random() > wide else names
        inputs = [rng.choice(recent) for _ in range(rng.choice((1, 1, 2, 2, 3)))]
        if rng.random() < 0.15:
            names.append(net.alias(f"t{i}", inputs[0]))
            continue
        size = rng.choice(sizes)
        if rng.random() < 0.6:
            size = net.tensors[inputs[0]].nbytes
        allowed = tuple(p for p in range(len(inputs)) if rng.random() < 0.5)
        scratch = rng.choice((0, 0, 0, 5, 24))
        more = [(f"t{i}b", rng.choice(sizes))] if rng.random() < 0.1 else []
        net.op(f"t{i}", inputs, size, in_place=allowed, scratch=scratch, more=more)
        names.extend((f"t{i}", *(name for name, _ in more)))
    read = {name for node in net.nodes for name in node.inputs}
    outputs = [n for n in names if n not in read and n not in net.inputs and rng.random() < 0.8]
    outputs += [n for n in names if n in read and rng.random() < 0.05]
    return net.graph(*(outputs or names[-1:])), net.calls
