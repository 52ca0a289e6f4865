"""Maps that are computed twice, so that they need not be stored: squeeze-and-excite in two passes.

A squeeze-and-excite block scales a map by values that come from the mean of the very
same map: MUL(t, gate(MEAN(t))). All of t must have been there before the first row of the
product, so however the operators are scheduled, t lies whole in memory when the mean is
known. Unless it is computed again: a first pass streams t into the mean and forgets it, a
second one streams its rows into the product. What has to lie whole then is what t is
computed from, in mobile networks a map of a few times fewer channels.

This is a rewrite of the graph: the operators that lead to t have copies, which the late
readers of t read. So everything downstream, from the search to the generated C, sees an
ordinary graph; constants are those of the originals, and tables in flash are shared. It is
no pass, since it costs multiplications: the planner compares schedules of graphs with more
and more such blocks (`recomputed`).

Which tensors: those that are accumulated, and wanted by a reader that depends on the result.
On the way to the sums they may change their form, but not be multiplied with weights. How far
back: to each cut upstream at which fewer bytes are held than at the cuts before; bytes that
are held anyway, as the map that a residual connection adds, count nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import KernelCall
from tinyml.memory.values import aligned
from tinyml.schedule.stream import RowNode, row_node

_AGAIN = " (again)"


@dataclass(frozen=True, slots=True)
class Recomputation:
    """One tensor that can be computed again for its late readers."""

    tensor: str
    readers: tuple[str, ...]
    """The nodes that read it once an accumulation over it is done."""
    nodes: tuple[str, ...]
    """What computes it again, in order; the last one gives the tensor."""
    macs: int
    """Of `nodes`: what it costs."""
    stored: int
    """Bytes that lie whole when the first of `readers` runs, if nothing is computed again."""
    saved: int
    """How many of them need not; more than 0."""
    from_input: bool
    """Whether `nodes` read a graph input: it has to be stored, or to come twice."""


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A graph that gives the same bytes as the one it was made of."""

    graph: Graph
    chosen: tuple[Recomputation, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates on top of the original graph's."""
        return sum(each.macs for each in self.chosen)

    def calls(self, calls: Mapping[str, KernelCall]) -> dict[str, KernelCall]:
        """The calls of the graph's nodes, by name, from those of the original graph's."""
        return {node.name: calls[original_name(node.name, calls)] for node in self.graph.nodes}


def recomputed(
    graph: Graph,
    row_calls: Mapping[str, KernelCall],
    *,
    whole_input: bool = True,
    macs_limit: int | None = None,
) -> Iterator[Recomputed]:
    """Graphs in which more and more tensors are computed again, the costliest to store first.

    Each has all recomputations of the one before, in the same order; `graph` itself is not
    among them. There are at most twice as many as there are places at which recomputing saves
    memory: where a tensor can be computed from several cuts, the cheapest are all taken before
    the ones that save most. `row_calls` are made without flattening. With `whole_input` false
    the graph's inputs come in pieces, each once, and nothing that reads them has a copy. No
    graph executes more than `macs_limit` multiply-accumulates, the original ones included.
    """
    left = None if macs_limit is None else macs_limit - sum(map(graph.macs, graph.nodes))
    options: dict[str, list[Recomputation]] = {}
    for each in recomputations(graph, row_calls):
        if whole_input or not each.from_input:
            options.setdefault(each.tensor, []).append(each)
    places = sorted(options.values(), key=lambda found: -found[0].stored)
    seen: set[tuple[Recomputation, ...]] = set()
    for depth in (0, -1):
        chosen: tuple[Recomputation, ...] = ()
        for i, place in enumerate(places):
            each = place[depth]
            taken = {name for other in chosen for name in other.nodes}
            if taken.isdisjoint(each.nodes):
                chosen = (*chosen, each)
            if left is not None and sum(other.macs for other in chosen) > left:
                break
            tied = i + 1 < len(places) and places[i + 1][0].stored == place[0].stored
            if chosen and not tied and chosen not in seen:
                seen.add(chosen)
                yield Recomputed(with_copies(graph, chosen), chosen)


def recomputations(graph: Graph, row_calls: Mapping[str, KernelCall]) -> tuple[Recomputation, ...]:
    """What can be computed again to save memory, tensor by tensor in the order of the nodes.

    Of each tensor the cheapest first: each saves more bytes than those before. `row_calls` are
    made without flattening.
    """
    return tuple(_Places.of(graph, row_calls).all())


def with_copies(graph: Graph, chosen: Sequence[Recomputation]) -> Graph:
    """`graph` with the recomputations in `chosen`, no two of which have a node in common."""
    node_of = {node.name: node for node in graph.nodes}
    tensors = dict(graph.tensors)
    before: dict[str, list[Node]] = {}
    renamed: dict[str, dict[str, str]] = {}
    for each in chosen:
        copies = {node_of[name].output: node_of[name].output + _AGAIN for name in each.nodes}
        for old, new in copies.items():
            tensors[new] = replace(graph.tensors[old], name=new)
        before[each.readers[0]] = before.get(each.readers[0], []) + [
            replace(_reading(node_of[name], copies), name=name + _AGAIN, outputs=(copies[output],))
            for name in each.nodes
            for output in node_of[name].outputs
        ]
        for reader in each.readers:
            renamed.setdefault(reader, {})[each.tensor] = copies[each.tensor]
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes += before.get(node.name, [])
        nodes.append(_reading(node, renamed.get(node.name, {})))
    return graph.rebuilt(tuple(nodes), tensors)


def original_name(name: str, known: Mapping[str, object]) -> str:
    """The node in `known` that the node called `name` is, or is a copy of; `name` if none."""
    original = name.removesuffix(_AGAIN)
    return name if name in known or original not in known else original


def _reading(node: Node, renamed: Mapping[str, str]) -> Node:
    """`node`, reading other tensors."""
    return replace(node, inputs=tuple(n if n is None else renamed.get(n, n) for n in node.inputs))


@dataclass(frozen=True, slots=True)
class _Places:
    """Where in a graph something can be computed again; nodes by position."""

    graph: Graph
    rows: tuple[RowNode | None, ...]
    producer: Mapping[str, int]
    readers: Mapping[str, tuple[int, ...]]
    """Per activation, the nodes that read it, in order."""
    before: tuple[int, ...]
    """Per node, the mask of the nodes that it depends on."""
    sums: frozenset[int]
    """The nodes that accumulate."""

    @staticmethod
    def of(graph: Graph, row_calls: Mapping[str, KernelCall]) -> "_Places":
        producer: dict[str, int] = {}
        readers: dict[str, list[int]] = {name: [] for name in graph.inputs}
        before: list[int] = []
        rows = tuple(row_node(graph, node, row_calls[node.name]) for node in graph.nodes)
        for i, node in enumerate(graph.nodes):
            mask = 0
            for name in dict.fromkeys(graph.activations(node)):
                readers[name].append(i)
                if name in producer:
                    mask |= before[producer[name]] | 1 << producer[name]
            before.append(mask)
            for name in node.outputs:
                producer[name] = i
                readers[name] = []
        return _Places(
            graph=graph,
            rows=rows,
            producer=producer,
            readers={name: tuple(found) for name, found in readers.items()},
            before=tuple(before),
            sums=frozenset(i for i, n in enumerate(rows) if n is not None and n.accumulates),
        )

    def all(self) -> Iterator[Recomputation]:
        late = {name: self._late_readers(name) for name in self.readers}
        # A reader that waits for an accumulation is where the second pass of another tensor
        # ends: going back beyond it would take a third.
        ends = {reader for found in late.values() for reader in found}
        for name, found in late.items():
            if found and name not in self.graph.outputs:
                yield from self._cuts(name, found, ends)

    def _late_readers(self, name: str) -> tuple[int, ...]:
        """The readers of a tensor that also depend on an accumulation over it."""
        over, forms = 0, [name] if name in self.producer else []
        for form in forms:
            for i in self.readers[form]:
                if i in self.sums:
                    over |= 1 << i
                elif not self.graph.macs(self.graph.nodes[i]):
                    forms += (v for v in self.graph.nodes[i].outputs if v not in forms)
        return tuple(i for i in self.readers[name] if self.before[i] & over)

    def _cuts(self, name: str, late: tuple[int, ...], ends: set[int]) -> Iterator[Recomputation]:
        """Back from `name`, one node after the other, the last to run first."""
        when, graph = late[0], self.graph
        held = {v for v in self.readers if self._held(v, when)}
        others = {v for v in held if v != name or self._held(v, when, without=late)}
        stored = sum(map(self._bytes, held))
        nodes: list[int] = []
        edge = {name}
        best = 0
        while True:
            inner = [self.producer[v] for v in edge if v in self.producer]
            i = max(inner, default=-1)
            if i < 0 or not self._again(i) or i in ends:
                return
            nodes.append(i)
            edge = edge - {graph.nodes[i].output} | set(graph.activations(graph.nodes[i]))
            saved = stored - sum(map(self._bytes, others | edge))
            if saved > best:
                best = saved
                yield Recomputation(
                    tensor=name,
                    readers=tuple(graph.nodes[reader].name for reader in late),
                    nodes=tuple(graph.nodes[n].name for n in reversed(nodes)),
                    macs=sum(graph.macs(graph.nodes[n]) for n in nodes),
                    stored=stored,
                    saved=saved,
                    from_input=not edge.isdisjoint(graph.inputs),
                )

    def _again(self, i: int) -> bool:
        """Whether node `i` can have a copy that computes a map row by row."""
        rows, node = self.rows[i], self.graph.nodes[i]
        names = (node.name + _AGAIN, node.outputs[0] + _AGAIN)
        return (
            rows is not None
            and not rows.accumulates
            and rows.height > 1
            and names[1] not in self.graph.tensors
            and all(other.name != names[0] for other in self.graph.nodes)
        )

    def _held(self, name: str, when: int, without: tuple[int, ...] = ()) -> bool:
        """Whether a tensor lies whole when node `when` begins, readers `without` not counted."""
        written = self.producer.get(name, -1) < when
        read = any(i >= when and i not in without for i in self.readers[name])
        return written and (read or name in self.graph.outputs)

    def _bytes(self, name: str) -> int:
        return aligned(self.graph.tensors[name].nbytes)
