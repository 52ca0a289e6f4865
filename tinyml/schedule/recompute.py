"""Maps that are computed twice, so that they need not be stored: squeeze-and-excite in two passes.

A squeeze-and-excite block scales a map by values that come from the mean of the very
same map: MUL(t, gate(MEAN(t))). All of t must have been there before the first row of the
product, so however the operators are scheduled, t lies whole in memory when the mean is
known. Unless it is computed again: a first pass streams t into the mean and forgets it, a
second one streams its rows into the product. What has to lie whole then is what t is
computed from, in mobile networks a map of a few times fewer channels. Between the two there
is every degree: the first pass may keep some of the first rows, and the second one computes
the others.

This is a rewrite of the graph: the operators that lead to t have copies, which the late
readers of t read (`copies`). So everything downstream, from the search to the generated C,
sees an ordinary graph; constants are those of the originals, and tables in flash are shared.
It is no pass, since it costs multiplications: the planner compares schedules of graphs that
store less and less (`recomputed`).

Which tensors: those that are accumulated, and wanted by a reader that depends on the result.
On the way to the sums they may change their form, but not be multiplied with weights. How far
back: to each cut upstream with which less memory is needed than with the cuts before; bytes
that are held anyway, as the map that a residual connection adds, count nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import KernelCall
from tinyml.memory.values import aligned
from tinyml.schedule.copies import ROWWISE, WINDOWS, Again, taken_names, with_copies
from tinyml.schedule.stream import RowNode, row_node

COUNT = 4
"""Graphs that are tried: each is planned by itself, which takes as long as the original one."""


@dataclass(frozen=True, slots=True)
class Recomputation:
    """One tensor that can be computed again for its late readers."""

    again: Again
    """All rows of it."""
    macs: int
    """What that costs."""
    stored: int
    """Bytes that lie whole when the first of its readers runs, if nothing is computed again."""
    after: int
    """Bytes that lie whole where next after that the least do, of what is written till then."""
    rings: int
    """Bytes of rows, about, that a second pass holds; fewer than it saves."""
    saved: int
    """How many of them need not."""
    from_input: bool
    """Whether it reads a graph input: that has to be stored, or to come twice."""
    height: int
    """Rows of the tensor."""
    row_bytes: int
    divisible: bool
    """Whether some rows can be kept, and only the others computed again."""

    @property
    def most(self) -> int:
        """Bytes needed, about, if nothing is computed again."""
        return self.stored + self.after

    @property
    def needed(self) -> int:
        """Bytes needed, about, if it is."""
        return self.most - self.saved + self.rings

    def within(self, limit: int) -> "Recomputation":
        """Keeping as many rows as can be in `limit` bytes of memory; none if it takes more."""
        room = limit - self.needed
        rows = min(max(room, 0) // self.row_bytes, self.height - 1) if self.divisible else 0
        kept = aligned(rows * self.row_bytes)
        return replace(
            self,
            again=replace(self.again, kept=rows),
            macs=self.macs * (self.height - rows) // self.height,
            saved=self.saved - kept,
        )


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A graph that gives the same bytes as the one it was made of."""

    graph: Graph
    chosen: tuple[Again, ...]
    """`with_copies` makes the graph of these."""
    macs: int
    """Multiply-accumulates on top of the original graph's."""

    def calls(
        self, calls: Mapping[str, KernelCall], bind: Callable[[Graph, Node], KernelCall]
    ) -> dict[str, KernelCall]:
        """The calls of all nodes, by name, from those of the original graph's; others are bound."""
        return {
            node.name: calls[node.name] if node.name in calls else bind(self.graph, node)
            for node in self.graph.nodes
        }


def recomputed(
    graph: Graph,
    row_calls: Mapping[str, KernelCall],
    *,
    whole_input: bool = True,
    macs_limit: int | None = None,
    count: int = COUNT,
) -> Iterator[Recomputed]:
    """Up to `count` graphs that need less and less memory at gates; `graph` is not among them.

    They are `storing_at_most` for limits at even distances, from what the worst gate needs, down
    to the least that can be had. None executes more than `macs_limit` multiply-accumulates, the
    original graph's included: the last one is at the least that this leaves.
    """
    places = _places(graph, row_calls, whole_input)
    left = None if macs_limit is None else macs_limit - sum(map(graph.macs, graph.nodes))
    most = max((place[0].most for place in places), default=0)
    # Below `needed` no limit changes anything; less is computed again the higher the limit.
    low = min((way.needed for place in places for way in place), default=0)
    high = most
    while left is not None and low < high:
        middle = (low + high) // 2
        if _storing(graph, places, middle).macs > left:
            low = middle + 1
        else:
            high = middle
    seen: set[tuple[Again, ...]] = {()}
    for part in range(1, count + 1):
        made = _storing(graph, places, most - (most - low) * part // count)
        if made.chosen not in seen and (left is None or made.macs <= left):
            seen.add(made.chosen)
            yield made


def storing_at_most(
    graph: Graph, row_calls: Mapping[str, KernelCall], limit: int, *, whole_input: bool = True
) -> Recomputed:
    """`graph` with what it takes so that about `limit` bytes of memory are enough at a gate.

    A gate is a place where an accumulation over a tensor is done, and the tensor wanted. As few
    rows as can be are computed again there, by the cheapest of the ways within the limit; where
    none is, the one that needs least is taken. Where two would copy the same operators the one
    at which more is needed goes first, and the other one does not. `row_calls` are made without
    flattening. With `whole_input` false the graph's inputs come in pieces, each once, and
    nothing that reads them has a copy. What is really needed is for the planner to say.
    """
    return _storing(graph, _places(graph, row_calls, whole_input), limit)


def recomputations(graph: Graph, row_calls: Mapping[str, KernelCall]) -> tuple[Recomputation, ...]:
    """What can be computed again to save memory, tensor by tensor in the order of the nodes.

    Of each tensor the cheapest first: each needs fewer bytes than those before. `row_calls` are
    made without flattening.
    """
    return tuple(_Places.of(graph, row_calls).all())


def _places(
    graph: Graph, row_calls: Mapping[str, KernelCall], whole_input: bool
) -> list[list[Recomputation]]:
    """What can be done tensor by tensor, the one first where most is needed."""
    found: dict[str, list[Recomputation]] = {}
    for each in recomputations(graph, row_calls):
        if whole_input or not each.from_input:
            found.setdefault(each.again.tensor, []).append(each)
    return sorted(found.values(), key=lambda ways: -ways[0].most)


def _storing(graph: Graph, places: list[list[Recomputation]], limit: int) -> Recomputed:
    chosen: list[Again] = []
    taken: set[str] = set()
    for place in places:
        ways = [way.within(limit) for way in place if taken.isdisjoint(way.again.nodes)]
        if not ways or place[0].most <= limit:
            continue
        fitting = [way for way in ways if way.needed <= limit]
        best = min(fitting, key=lambda way: way.macs) if fitting else ways[-1]
        chosen.append(best.again)
        taken.update(best.again.nodes)
    made = with_copies(graph, chosen)
    macs = sum(map(made.macs, made.nodes)) - sum(map(graph.macs, graph.nodes))
    return Recomputed(made, tuple(chosen), macs)


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
    taken: frozenset[str]
    """The nodes whose copies would have names that there are already."""

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
            taken=taken_names(graph),
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
        after = self._after(when, min((i for i in ends if i > when), default=len(graph.nodes)))
        nodes: list[int] = []
        edge = {name}
        best = 0
        while True:
            i = max((self.producer[v] for v in edge if v in self.producer), default=-1)
            if i < 0 or i in ends or not self._again(i):
                return
            nodes.append(i)
            edge = edge - {graph.nodes[i].output} | set(graph.activations(graph.nodes[i]))
            saved = stored - sum(map(self._bytes, others | edge))
            rows = self.rows[self.producer[name]]
            assert rows is not None
            # A row put below those kept, and one that the first reader gives, are held, too.
            rings = sum(self._ring(n, {*nodes, *late}) for n in nodes) + 2 * aligned(rows.row_bytes)
            if saved - rings > best:
                best = saved - rings
                yield Recomputation(
                    again=Again(
                        tensor=name,
                        readers=tuple(graph.nodes[reader].name for reader in late),
                        nodes=tuple(graph.nodes[n].name for n in reversed(nodes)),
                    ),
                    macs=sum(graph.macs(graph.nodes[n]) for n in nodes),
                    stored=stored,
                    after=after,
                    rings=rings,
                    saved=saved,
                    from_input=not edge.isdisjoint(graph.inputs),
                    height=rows.height,
                    row_bytes=rows.row_bytes,
                    divisible=name not in others and all(map(self._chained, nodes)),
                )

    def _after(self, start: int, stop: int) -> int:
        """The least bytes that lie whole, of what nodes `start` to before `stop` write."""
        written: set[str] = set()
        least = []
        for i in range(start, stop):
            written.update(self.graph.nodes[i].outputs)
            least.append(sum(self._bytes(v) for v in written if self._held(v, i + 1)))
        return min(least)

    def _ring(self, i: int, readers: set[int]) -> int:
        """The least bytes of rows of the output of node `i` that `readers` need."""
        node, windows = self.rows[i], [1]
        assert node is not None
        for reader in (self.rows[r] for r in readers):
            reads = () if reader is None else reader.inputs
            windows += (read.window for read in reads if read.tensor == node.output)
        return aligned(max(windows) * node.row_bytes)

    def _again(self, i: int) -> bool:
        """Whether node `i` can have a copy that computes a map row by row."""
        rows = self.rows[i]
        return (
            rows is not None
            and not rows.accumulates
            and rows.height > 1
            and self.graph.nodes[i].name not in self.taken
        )

    def _chained(self, i: int) -> bool:
        """Whether node `i` reads one map, and can give some of its rows by itself."""
        node = self.graph.nodes[i]
        if len(self.graph.tensors[node.output].shape) != 4:
            return False
        if isinstance(node.op, ROWWISE):
            return len(node.inputs) == 1
        return isinstance(node.op, WINDOWS)

    def _held(self, name: str, when: int, without: tuple[int, ...] = ()) -> bool:
        """Whether a tensor lies whole when node `when` begins, readers `without` not counted."""
        written = self.producer.get(name, -1) < when
        read = any(i >= when and i not in without for i in self.readers[name])
        return written and (read or name in self.graph.outputs)

    def _bytes(self, name: str) -> int:
        return aligned(self.graph.tensors[name].nbytes)
