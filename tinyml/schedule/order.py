"""The order of operators with the least peak memory.

The live bytes after a set of nodes has run depend on the set alone, not on the
order within it, so the search is over such sets (downsets of the graph):
best first by the peak so far, which is Dijkstra's algorithm for the
bottleneck path, and stops at the first complete set. Two rules keep it small:

* a ready node that fits within a peak that must be paid anyway and leaves no
  more bytes live than before is run at once: moved to the front of any order,
  it makes no later step larger;
* an order must beat the graph's own to be taken.

So the order is optimal (`Order.optimal`) wherever no more than `STATE_LIMIT` sets can be
visited: for every graph of up to 14 operators (2 ** 14 sets), and of n operators that
form w chains, however they are connected, where (n / w + 1) ** w is within the limit:
280 operators in 2 chains, 78 in 3, 43 in 4, any number in one. These are worst cases:
chains that nothing connects, and no use of the rules above. A larger graph is searched
exactly, too, for as long as the limit lasts; then a beam search goes on.

The cost counts graph inputs (from the start), graph outputs (to the end),
scratch, aliases and results in place, exactly as the memory plan does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush

from tinyml.ir.graph import Graph
from tinyml.kernels.call import KernelCall
from tinyml.memory.values import aligned, values
from tinyml.schedule.schedule import Schedule, Segment, SegmentKind

STATE_LIMIT = 20_000
"""Sets that the exact search visits (a few seconds) before a beam search takes over."""

BEAM_WIDTH = 64


@dataclass(frozen=True, slots=True)
class Order:
    """An order of `graph.nodes`, by position.

    `peak` is the largest sum of live bytes at any step; `optimal` says whether
    no order has a smaller one.
    """

    nodes: tuple[int, ...]
    peak: int
    optimal: bool


def layer_schedule(graph: Graph, calls: Mapping[str, KernelCall]) -> Schedule:
    """Every node as one segment, in the order with the least peak that was found.

    The graph's own order stands unless another has a smaller peak.
    """
    order = least_peak_order(graph, calls)
    return Schedule(tuple(Segment(SegmentKind.LAYER, (graph.nodes[i].name,)) for i in order.nodes))


def reordered(graph: Graph, schedule: Schedule) -> Graph:
    """`graph` with its nodes in the order of `schedule`."""
    node_of = {node.name: node for node in graph.nodes}
    return graph.rebuilt(tuple(node_of[name] for name in schedule.order))


def least_peak_order(
    graph: Graph, calls: Mapping[str, KernelCall], *, state_limit: int = STATE_LIMIT
) -> Order:
    """The best order within `state_limit` visited states; never worse than the graph's own."""
    model = _model(graph, calls)
    state = _start(model)
    for node in range(len(graph.nodes)):
        state = _run(model, state, node)
    own = Order(_history(state), state.peak, state.peak <= model.floor)
    if own.optimal:
        return own
    best, complete = _best_first(model, own.peak, state_limit)
    if best is None and not complete:
        best = _beam(model, own.peak)
    if best is None:
        return Order(own.nodes, own.peak, complete)
    return Order(_history(best), best.peak, complete or best.peak <= model.floor)


@dataclass(frozen=True, slots=True)
class _Value:
    """`tinyml.memory.values.Value` with sets of nodes as bit masks."""

    bytes: int
    readers: int
    kept: bool
    overlays: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Model:
    """What a step costs; nodes and values by position."""

    values: tuple[_Value, ...]
    reads: tuple[tuple[int, ...], ...]
    """Per node, the values it reads."""
    writes: tuple[tuple[int, ...], ...]
    scratch: tuple[int, ...]
    before: tuple[int, ...]
    """Per node, the mask of the nodes that must have run."""
    after: tuple[tuple[int, ...], ...]
    """Per node, the nodes that wait for it."""
    inputs: int
    """Bytes of the graph inputs."""
    unread: int
    """Bytes of the graph inputs that nothing needs: gone after the first step."""
    floor: int
    """A peak that no order can avoid."""


@dataclass(frozen=True, slots=True)
class _State:
    """Having run the nodes of the mask `done`."""

    done: int
    ready: int
    live: int
    peak: int
    node: int
    """The last one that ran."""
    previous: "_State | None"


def _model(graph: Graph, calls: Mapping[str, KernelCall]) -> _Model:
    found = values(graph, calls)
    masks = tuple(
        _Value(v.bytes, sum(1 << r for r in v.readers), v.kept, v.overlays) for v in found
    )
    count = len(graph.nodes)
    reads: list[list[int]] = [[] for _ in range(count)]
    writes: list[list[int]] = [[] for _ in range(count)]
    for index, value in enumerate(found):
        for reader in value.readers:
            reads[reader].append(index)
        if value.writer is not None:
            writes[value.writer].append(index)
    producers = {name: i for i, node in enumerate(graph.nodes) for name in node.outputs}
    before = [0] * count
    after: list[list[int]] = [[] for _ in range(count)]
    for i, node in enumerate(graph.nodes):
        for producer in {producers[n] for n in graph.activations(node) if n in producers}:
            before[i] |= 1 << producer
            after[producer].append(i)
    for state in graph.states:
        # What reads a state does so before it changes, by whatever name.
        value = next(v for v in found if state.before in v.tensors)
        changer = producers[state.after]
        for reader in sorted(value.readers - {changer}):
            before[changer] |= 1 << reader
            after[reader].append(changer)
    scratch = [aligned(calls[node.name].scratch_bytes) for node in graph.nodes]
    inputs = [v for v in found if v.writer is None]
    own = [
        scratch[i]
        + sum(found[v].bytes for v in reads[i])
        + sum(found[v].bytes for v in writes[i] if not found[v].overlays)
        for i in range(count)
    ]
    kept = sum(v.bytes for v in found if v.kept)
    total = sum(v.bytes for v in inputs)
    return _Model(
        values=masks,
        reads=tuple(map(tuple, reads)),
        writes=tuple(map(tuple, writes)),
        scratch=tuple(scratch),
        before=tuple(before),
        after=tuple(map(tuple, after)),
        inputs=total,
        unread=sum(v.bytes for v in inputs if not v.readers and not v.kept),
        floor=max(total, kept, *own),
    )


def _start(model: _Model) -> _State:
    ready = sum(1 << i for i, mask in enumerate(model.before) if not mask)
    return _State(0, ready, model.inputs, model.inputs, -1, None)


def _run(model: _Model, state: _State, node: int) -> _State:
    """The state after `node` has run too."""
    done = state.done | 1 << node
    dying = {
        v
        for v in model.reads[node]
        if not model.values[v].kept and not model.values[v].readers & ~done
    }
    cost = state.live + model.scratch[node]
    live = state.live - sum(model.values[v].bytes for v in dying)
    if not state.done:
        live -= model.unread
    for v in model.writes[node]:
        value = model.values[v]
        if dying.isdisjoint(value.overlays):
            cost += value.bytes
        if value.kept or value.readers:
            live += value.bytes
    ready = state.ready & ~(1 << node)
    for later in model.after[node]:
        if not model.before[later] & ~done:
            ready |= 1 << later
    return _State(done, ready, live, max(state.peak, cost), node, state)


def _successors(model: _Model, state: _State) -> Iterator[_State]:
    """The states one node further; only one of them where a node costs nothing to run now."""
    found = []
    for node in _bits(state.ready):
        following = _run(model, state, node)
        if following.peak <= max(state.peak, model.floor) and following.live <= state.live:
            yield following
            return
        found.append(following)
    yield from found


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _best_first(model: _Model, limit: int, state_limit: int) -> tuple[_State | None, bool]:
    """The least peak below `limit`, or None; and whether the search was complete."""
    serial = 0  # the last tie-break keeps the order of the heap deterministic
    heap = [(model.inputs, 0, serial, _start(model))]
    visited: set[int] = set()
    while heap:
        _, _, _, state = heappop(heap)
        if state.done in visited:
            continue
        if not state.ready:
            return state, True
        if len(visited) == state_limit:
            return None, False
        visited.add(state.done)
        for following in _successors(model, state):
            if following.peak < limit and following.done not in visited:
                serial += 1
                # Among equal peaks the furthest first: it may already be the end.
                heappush(heap, (following.peak, -following.done.bit_count(), serial, following))
    return None, True


def _beam(model: _Model, limit: int) -> _State | None:
    """An order with a peak below `limit`, keeping the best `BEAM_WIDTH` states of each length."""
    beam = [_start(model)]
    while beam and beam[0].ready:
        states: dict[int, _State] = {}
        for state in beam:
            for following in _successors(model, state):
                known = states.get(following.done)
                if following.peak < limit and (known is None or following.peak < known.peak):
                    states[following.done] = following
        beam = sorted(states.values(), key=lambda s: (s.peak, s.live, s.done))[:BEAM_WIDTH]
    return beam[0] if beam else None


def _history(state: _State) -> tuple[int, ...]:
    nodes: list[int] = []
    current: _State | None = state
    while current is not None and current.previous is not None:
        nodes.append(current.node)
        current = current.previous
    return tuple(reversed(nodes))
