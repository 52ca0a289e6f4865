"""Nodes that hand each other rows: what runs row by row, and how many rows are held.

Kernels compute a map row by row and say which rows of their inputs each row
reads. So a node can run as soon as these rows are there, and a row can go once
its last reader has run: of a tensor that only nodes of one segment use, a ring
of a few rows is enough, and nothing is computed twice.

How the order of rows is found. Every ring starts with the rows that the widest
window over it needs, which no order can avoid. A node runs whenever its inputs
are there and its row fits in its ring: that takes no memory that is not held
anyway, and lets its inputs go. (Running a node never keeps another from
running, so the order among those that can run does not matter; the most
downstream goes first.) When nothing can run, a row is wanted that does not fit,
as where a branch skips several layers: then a ring grows. Which one: start from
the node that is furthest behind, and go upstream to the first row that could
be computed if it had room. Either its ring grows, or the rings of the nodes that
hold its oldest row, if that costs fewer bytes and lets them run on.

An input that the application hands over row by row is a node like any other, upstream
of all, whose steps are the rows: so a row is taken when nothing can run without it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import heappop, heappush

import numpy as np

from tinyml.ir.graph import Graph, Node
from tinyml.kernels.call import Accumulation, KernelCall, RowAccess, RowLoop
from tinyml.memory.values import aligned
from tinyml.schedule.schedule import FEED, Ring, Segment, SegmentKind

_PROGRAMS = 1 << 14
"""Programs that are remembered: graphs that compute something twice share most of theirs with the
graph that they are made from, and so do orders of the same nodes."""


@dataclass(frozen=True, slots=True)
class RowInput:
    """The rows of an activation that a node reads, step by step."""

    tensor: str
    height: int
    row_bytes: int
    first: tuple[int, ...]
    """Per step, the first row that it reads; `height` where there is none."""
    needed: tuple[int, ...]
    """Per step, how many rows must have been computed: the last that it reads, plus 1."""
    oldest: tuple[int, ...]
    """Per step, and once more after the last one: the first row that it or a later one reads;
    `height` where there is none."""

    @property
    def window(self) -> int:
        """The rows that must be held at the same time, at least 1."""
        held = (n - o for n, o in zip(self.needed, self.oldest, strict=False))
        return max(1, max(held, default=1))

    def reach(self, step: int, stop: int) -> tuple[int, int]:
        """The rows [first, stop) that these steps read, and those between them."""
        first = min(self.first[step:stop], default=0)
        return first, max(first, max(self.needed[step:stop], default=0))


@dataclass(frozen=True, slots=True)
class RowNode:
    """A node that runs step by step: it computes a row, or takes one in."""

    name: str
    output: str
    steps: int
    height: int
    row_bytes: int
    inputs: tuple[RowInput, ...]
    """One for each activation, even if it is read twice."""

    @property
    def accumulates(self) -> bool:
        """Whether the only row of the output is there after the last step, not one per step."""
        return self.height != self.steps


@dataclass(frozen=True, slots=True)
class RowProgram:
    """A program as in `Segment`, and the rows of each ring."""

    steps: tuple[int, ...]
    rings: tuple[Ring, ...]
    ring_bytes: int
    """Of all rings, each aligned as the memory plan does it."""


def row_node(graph: Graph, node: Node, call: KernelCall) -> RowNode | None:
    """`node` as it runs row by row, with `call` made without flattening; None if it cannot."""
    loop = call.loop
    if not isinstance(loop, RowLoop | Accumulation) or loop.batches != 1:
        return None
    operands = graph.activations(node)
    found: dict[str, RowInput] = {}
    if isinstance(loop, Accumulation):
        steps, height, row_bytes = loop.in_height, 1, loop.out_bytes
        whole = RowAccess(count=1, height=loop.in_height, row_bytes=loop.in_row_bytes)
        accesses: Sequence[RowAccess] = (whole,)
    else:
        steps = height = loop.out_height
        row_bytes = loop.out_row_bytes
        accesses = [access for access in loop.inputs if access.constant is None]
    for name, access in zip(operands, accesses, strict=True):
        if access.height * access.row_bytes != graph.tensors[name].nbytes:
            return None
        rows = _row_input(name, access, steps)
        if found.setdefault(name, rows) != rows:
            return None
    return RowNode(node.name, node.output, steps, height, row_bytes, tuple(found.values()))


def streamable(graph: Graph, node: Node, call: KernelCall) -> bool:
    """Whether `node` may be in a stream segment; `call` is made without flattening."""
    return row_node(graph, node, call) is not None


def stream_segment(
    graph: Graph,
    calls: Mapping[str, KernelCall],
    nodes: Sequence[str],
    *,
    kept: frozenset[str],
    fed: RowNode | None = None,
) -> Segment | None:
    """`nodes`, in a valid execution order, as one stream segment; None if they cannot be.

    `calls` are made without flattening. `kept` are the tensors produced here that are
    stored whole: graph outputs, and what is used outside the segment. `fed` is the
    graph's input if it comes row by row (`feed.fed_input`).
    """
    node_of = {node.name: node for node in graph.nodes}
    found = []
    for name in nodes:
        rows = row_node(graph, node_of[name], calls[name])
        if rows is None:
            return None
        found.append(rows)
    program = row_program(found, kept=kept, fed=fed)
    if program is None:
        return None
    return Segment(SegmentKind.STREAM, tuple(nodes), program.rings, program.steps)


def fits_rows(producer: RowNode, reader: RowInput) -> bool:
    """Whether both divide a tensor into the same rows."""
    return (producer.height, producer.row_bytes) == (reader.height, reader.row_bytes)


def row_program(
    nodes: Sequence[RowNode], *, kept: frozenset[str], fed: RowNode | None = None
) -> RowProgram | None:
    """What runs in a segment of `nodes`, in a valid execution order, row by row.

    None where a tensor is written in other rows than it is read in. `fed` stands for
    rows that the application hands over.
    """
    return _row_program(tuple(nodes), kept, fed)


@lru_cache(maxsize=_PROGRAMS)
def _row_program(
    nodes: Sequence[RowNode], kept: frozenset[str], fed: RowNode | None
) -> RowProgram | None:
    first = 0
    if fed is not None:
        nodes, first = (fed, *nodes), FEED
    producers = {node.output: node for node in nodes}
    for node in nodes:
        for rows in node.inputs:
            if rows.tensor in producers and not fits_rows(producers[rows.tensor], rows):
                return None
    run = _Run.start(nodes, kept)
    run.finish()
    return run.result(first)


@dataclass(slots=True)
class _Run:
    """The state of a segment while its order of rows is sought; nodes by position."""

    nodes: Sequence[RowNode]
    inputs: list[list[tuple[int, tuple[int, ...]]]]
    """Per node, the producers in the segment and the steps of theirs that each step needs."""
    readers: list[list[tuple[int, tuple[int, ...]]]]
    """Per node, the consumers in the segment and the oldest row that each step holds."""
    ring: list[int]
    """Rows of the ring that holds the node's output; 0 if that is no ring."""
    done: list[int]
    """Steps that have run."""
    program: list[int]
    waiting: list[int]
    """A heap of the nodes that may be able to run, negated: the most downstream first."""
    queued: list[bool]

    @staticmethod
    def start(nodes: Sequence[RowNode], kept: frozenset[str]) -> "_Run":
        at = {node.output: i for i, node in enumerate(nodes)}
        inputs: list[list[tuple[int, tuple[int, ...]]]] = [[] for _ in nodes]
        readers: list[list[tuple[int, tuple[int, ...]]]] = [[] for _ in nodes]
        ring = [0 if node.output in kept else 1 for node in nodes]
        for i, node in enumerate(nodes):
            for rows in node.inputs:
                producer = at.get(rows.tensor)
                if producer is None:
                    continue
                needed = rows.needed
                if nodes[producer].accumulates:
                    needed = tuple(nodes[producer].steps if n else 0 for n in needed)
                inputs[i].append((producer, needed))
                readers[producer].append((i, rows.oldest))
                if ring[producer]:
                    ring[producer] = max(ring[producer], rows.window)
        waiting = sorted(-i for i in range(len(nodes)))
        return _Run(
            nodes=nodes,
            inputs=inputs,
            readers=readers,
            ring=ring,
            done=[0] * len(nodes),
            program=[],
            waiting=waiting,
            queued=[True] * len(nodes),
        )

    def finish(self) -> None:
        """Run to the end."""
        total = sum(node.steps for node in self.nodes)
        self._run_what_fits()
        while len(self.program) < total:
            for i in self._to_grow():
                if self.ring[i]:
                    self.ring[i] = max(self.ring[i], self._rows_held(i))
                self._step(i)
            self._run_what_fits()

    def result(self, first: int) -> RowProgram:
        """The program, with nodes counted from `first`, and the rings of a run that is finished."""
        return RowProgram(
            tuple(first + i for i in self.program),
            tuple(
                Ring(node.output, rows)
                for node, rows in zip(self.nodes, self.ring, strict=True)
                if rows
            ),
            sum(aligned(n.row_bytes * r) for n, r in zip(self.nodes, self.ring, strict=True)),
        )

    def _run_what_fits(self) -> None:
        while self.waiting:
            i = -heappop(self.waiting)
            self.queued[i] = False
            if self._ready(i) and self._rows_held(i) <= self.ring[i]:
                self._step(i)

    def _ready(self, i: int) -> bool:
        """Whether the node has steps left and the rows for the next one are there."""
        step = self.done[i]
        if step == self.nodes[i].steps:
            return False
        # all() takes three times as long, and nothing is called as often.
        for producer, needed in self.inputs[i]:  # noqa: SIM110
            if self.done[producer] < needed[step]:
                return False
        return True

    def _rows_held(self, i: int) -> int:
        """The rows of the node's ring that are in use once the next one is there."""
        if not self.ring[i] or self.nodes[i].accumulates:
            return self.ring[i]
        return self.done[i] + 1 - self._oldest(i)

    def _oldest(self, i: int, ran: Collection[int] = ()) -> int:
        """The first row of the node's output still to be read, once those in `ran` took a step."""
        done = self.done
        rows = (oldest[done[c] + (c in ran)] for c, oldest in self.readers[i])
        return min(rows, default=done[i] + 1)

    def _step(self, i: int) -> None:
        self.done[i] += 1
        self.program.append(i)
        self._queue(i)
        for consumer, _ in self.readers[i]:
            self._queue(consumer)
        for producer, _ in self.inputs[i]:
            self._queue(producer)

    def _queue(self, i: int) -> None:
        if not self.queued[i]:
            self.queued[i] = True
            heappush(self.waiting, -i)

    def _to_grow(self) -> list[int]:
        """The nodes that run next although their rows do not fit yet."""
        wanted = self._wanted()
        oldest = self._oldest(wanted)
        holders = [c for c, rows in self.readers[wanted] if rows[self.done[c]] == oldest]
        if not holders or not all(map(self._ready, holders)):
            return [wanted]
        freed = self._oldest(wanted, ran=holders) - oldest
        cost = sum(self.nodes[c].row_bytes for c in holders)
        return holders if cost < freed * self.nodes[wanted].row_bytes else [wanted]

    def _wanted(self) -> int:
        """A node that can run but for the room, and that the node furthest behind waits for."""
        # A row of the input is wanted only by who reads it.
        node, behind = -1, 1.0
        for i, (done, each) in enumerate(zip(self.done, self.nodes, strict=True)):
            if each.inputs and done < each.steps and done / each.steps <= behind:
                node, behind = i, done / each.steps
        while not self._ready(node):
            step = self.done[node]
            node = max(p for p, needed in self.inputs[node] if self.done[p] < needed[step])
        return node


def _row_input(tensor: str, access: RowAccess, steps: int) -> RowInput:
    """What steps 0, 1, ... read, each one output row."""
    rows = access.rows_read(np.arange(steps))
    there = (rows >= 0) & (rows < access.height)
    last = np.where(there, rows, -1).max(axis=1)
    first = np.where(there, rows, access.height).min(axis=1)
    oldest = np.minimum.accumulate(first[::-1])[::-1]
    return RowInput(
        tensor,
        access.height,
        access.row_bytes,
        tuple(first.tolist()),
        tuple((last + 1).tolist()),
        (*oldest.tolist(), access.height),
    )
