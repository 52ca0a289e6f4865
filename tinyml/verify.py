"""Target against reference, byte for byte.

The outputs are held against the reference of the model *as imported*, so the
passes are part of what is proven. Every output of every op is compared too, by
checksum and length, with the reference of the optimised graph; so a difference
that the last layers hide is found, and the first op that differs is named.

What a model keeps from one run to the next is an output of the op that changes it. The samples
then are a sequence from a reset on, which runs twice.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinyml import importers, passes, reference
from tinyml.emit import Project
from tinyml.emit.pieces import Piece, input_pieces, joined, output_pieces
from tinyml.errors import CheckFailedError, ModelError
from tinyml.fill import Fill
from tinyml.ir.graph import Array, Graph, Node
from tinyml.link import Client, Invocation, Progress
from tinyml.locate import first_wrong_piece
from tinyml.results import Mismatch, RunReport, VerifyReport
from tinyml.runners import open_target
from tinyml.samples import as_arrays, draw_samples
from tinyml.schedule.copies import RECOMPUTED, Again, with_copies
from tinyml.toolchain import elf_path
from tinyml.train.network import network
from tinyml.train.program import Precision
from tinyml.train.target.request import recorded


@dataclass(frozen=True, slots=True)
class Deployed:
    """A project's model as the host knows it."""

    imported: Graph
    optimized: Graph
    nodes: tuple[Node, ...]
    """Nodes of `optimized` by their index on the target."""
    pieces: Mapping[tuple[int, int], Sequence[Piece]]
    """Of every output (op, output), as the target computes it."""
    read: Sequence[Piece]
    """Of the input, if the target reads it in pieces; else none."""


def deployed_graph(model: Path, io: str) -> Graph:
    """The graph that a firmware of the model file computes; `io` as for `pipeline.build`."""
    return with_io(importers.load(model), io)


def with_io(graph: Graph, io: str) -> Graph:
    """An imported graph with the inputs and outputs that `io` asks for."""
    return passes.int8_io(graph) if io == "int8" else graph


def deployed(project: Project) -> Deployed:
    """The graphs of a project; ModelError when this version would not make the same ones."""
    imported = _imported(project)
    again = [Again.recorded(each) for each in project.manifest.options.get(RECOMPUTED, [])]
    optimized = with_copies(passes.optimize(imported), again)
    by_name = {node.name: node for node in optimized.nodes}
    names = [op.name for op in project.manifest.ops]
    if set(names) != set(by_name):
        raise ModelError(
            f"'{project.root}' was made by tinyml {project.manifest.version}, whose passes differ",
            hint="build the project again",
        )
    manifest = project.manifest
    return Deployed(
        imported,
        optimized,
        tuple(by_name[name] for name in names),
        {
            (op, output): output_pieces(manifest, op, output)
            for op, entry in enumerate(manifest.ops)
            for output in range(len(entry.outputs))
        },
        input_pieces(manifest) if manifest.pull else (),
    )


def _imported(project: Project) -> Graph:
    """What a project's firmware computes, as imported.

    One that learns may have another head, or one in float32; then it is what was made of the
    optimised graph.
    """
    found = deployed_graph(project.model_path, project.manifest.options.get("io", "model"))
    training = project.manifest.training
    if training is None:
        return found
    prepared = recorded(found, training)
    if prepared.program.precision is Precision.FLOAT32:
        return network(prepared.tail, Precision.FLOAT32).graph
    return found if training["request"]["classes"] is None else prepared.graph


@contextmanager
def connected(project: Project, port: str | None, *, counting: bool = False) -> Iterator[Client]:
    """A link to a target that runs this very project.

    CheckFailedError when it runs another firmware.
    """
    with open_target(project.board, elf_path(project), port, counting=counting) as stream:
        client = Client(stream)
        found = client.identity()
        if found.identity != project.manifest.identity:
            raise CheckFailedError(
                f"the target runs another firmware: '{found.name}' {found.identity[:12]}, "
                f"not '{project.manifest.name}' {project.manifest.identity[:12]}",
                hint="build the project again, and flash it",
            )
        yield client


def verify_project(
    project: Project,
    *,
    port: str | None,
    count: int,
    seed: int,
    samples: Sequence[Sequence[Array]] | None,
    labels: Sequence[int] | None,
    progress: Progress | None,
) -> VerifyReport:
    """Runs samples (or `count` drawn ones) on the target and compares; see `pipeline.verify`."""
    model = deployed(project)
    given: Sequence[Sequence[Array | Fill]] = (
        draw_samples(model.imported, count, seed) if samples is None else samples
    )
    if labels is not None and len(labels) != len(given):
        raise ModelError(f"{len(labels)} labels were given for {len(given)} samples")
    checked = [as_arrays(model.imported, sample) for sample in given]
    found: list[_Comparison] = []
    rounds = 2 if model.imported.states else 1  # that a reset forgets everything is seen in two
    with connected(project, port) as client:
        for _ in range(rounds):
            past = _reset(model)
            for index, (sample, arrays) in enumerate(zip(given, checked, strict=True)):
                one, past = _compare(client, model, past, index, sample, arrays)
                found.append(one)
                if progress:
                    progress(len(found), rounds * len(checked))
                if one.first and model.imported.states:
                    break  # what follows from a wrong state is wrong, too
    return VerifyReport(
        project=str(project.root),
        board=project.board.name,
        bit_exact=all(one.first is None for one in found),
        inputs=len(found),
        bytes_compared=sum(one.bytes for one in found),
        op_outputs_compared=sum(one.op_outputs for one in found),
        mismatches=sum(one.mismatches for one in found),
        max_abs_diff=max((one.max_abs_diff for one in found), default=0.0),
        first_mismatch=next((one.first for one in found if one.first), None),
        accuracy=None if labels is None else _accuracy([one.guess for one in found], labels),
    )


def run_project(
    project: Project,
    inputs: Sequence[Array],
    *,
    port: str | None,
    progress: Progress | None,
) -> RunReport:
    """One inference on the target; `progress` follows the bytes of each input."""
    graph = _imported(project)
    sample = as_arrays(graph, inputs)
    with connected(project, port) as client:
        outputs = _typed(graph, client.infer([array.tobytes() for array in sample], progress))
    return RunReport(
        project=str(project.root),
        board=project.board.name,
        outputs={name: array.ravel().tolist() for name, array in outputs.items()},
        shapes={name: array.shape for name, array in outputs.items()},
    )


@dataclass(frozen=True, slots=True)
class _Past:
    """What has run since a reset, where a model keeps anything of it, and what it should keep."""

    inputs: tuple[Sequence[bytes | Fill], ...]
    imported: reference.States
    optimized: reference.States


def _reset(model: Deployed) -> _Past:
    graphs = (model.imported, model.optimized)
    return _Past((), *(reference.initial_states(graph) for graph in graphs))


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One sample on target and reference."""

    bytes: int
    op_outputs: int
    mismatches: int
    max_abs_diff: float
    first: Mismatch | None
    guess: int
    """Index of the largest element of the first output, on the target."""


def _compare(
    client: Client,
    model: Deployed,
    past: _Past,
    index: int,
    sample: Sequence[Array | Fill],
    arrays: list[Array],
) -> tuple[_Comparison, _Past]:
    """One sample after those of `past`, and what is past for the next one."""
    data = [item if isinstance(item, Fill) else item.tobytes() for item in sample]
    feed = dict(zip(model.imported.inputs, arrays, strict=True))
    expected, imported = reference.step(model.imported, feed, past.imported)
    inner, optimized = reference.step(model.optimized, feed, past.optimized, keep=True)

    run = client.invoke(data, checksums=True, resume=bool(past.inputs))
    _check_read(model, run, arrays)
    outputs = range(len(model.imported.outputs))
    actual = _typed(model.imported, [client.read_output(i) for i in outputs])
    pairs = {name: (expected[name], actual[name]) for name in model.imported.outputs}

    first = None
    where = _first_difference(model, run, inner)
    if where is not None:
        op, output = where
        name = model.nodes[op].outputs[output]
        want = inner[name]
        raw = bytearray(want.tobytes())
        piece, there = first_wrong_piece(
            client, data, where, model.pieces[where], bytes(raw), earlier=past.inputs
        )
        raw[piece.start : piece.start + piece.bytes] = there
        got = np.frombuffer(raw, want.dtype).reshape(want.shape)
        first = _mismatch(index, model.nodes[op], name, want, got)
        if first is None:
            raise CheckFailedError(
                f"op '{model.nodes[op].name}' differs from the reference in one run and not in "
                f"the next, on the same input {index}",
                hint="suspect memory or power of the target",
            )
    else:
        for name, (want, got) in pairs.items():
            if want.tobytes() != got.tobytes():
                first = _mismatch(index, None, name, want, got)
                break
    found = _Comparison(
        bytes=sum(want.nbytes for want, _ in pairs.values()),
        op_outputs=len(run.records),
        mismatches=sum(_differing_bytes(want, got) for want, got in pairs.values()),
        max_abs_diff=max(_distance(want, got) for want, got in pairs.values()),
        first=first,
        guess=int(np.argmax(actual[model.imported.outputs[0]])),
    )
    inputs = (*past.inputs, data) if model.imported.states else ()
    return found, _Past(inputs, imported, optimized)


def _check_read(model: Deployed, run: Invocation, arrays: Sequence[Array]) -> None:
    """CheckFailedError where the target has read other parts of its input than it was to read."""
    if model.read:
        want = joined(arrays[0].tobytes(), model.read)
        if (len(want), zlib.crc32(want)) != (run.read_bytes, run.read_crc):
            raise CheckFailedError(
                f"the target read {run.read_bytes} bytes of its input, in other pieces than the "
                f"{len(want)} that its plan says",
                hint="build the project again, and flash it",
            )


def _first_difference(
    model: Deployed, run: Invocation, inner: Mapping[str, Array]
) -> tuple[int, int] | None:
    """(op, output) of the first op output on the target that is not the reference's.

    First in the order of the ops: in a stream, an op may have rows before one that it reads has.
    """
    seen = {(record.op, record.output) for record in run.records}
    every = {(op, i) for op, node in enumerate(model.nodes) for i in range(len(node.outputs))}
    if seen != every:
        raise CheckFailedError(
            f"the target reported {len(seen)} op outputs, the model has {len(every)}",
            hint="build the project again",
        )
    for record in sorted(run.records, key=lambda record: (record.op, record.output)):
        whole = inner[model.nodes[record.op].outputs[record.output]].tobytes()
        want = joined(whole, model.pieces[record.op, record.output])
        if (len(want), zlib.crc32(want)) != (record.bytes, record.crc):
            return record.op, record.output
    return None


def _mismatch(index: int, node: Node | None, name: str, want: Array, got: Array) -> Mismatch | None:
    """The first element of a tensor whose bytes differ; None when none does."""
    size = want.dtype.itemsize
    differ = (_bytes(want) != _bytes(got)).reshape(-1, size).any(axis=1)
    if not differ.any():
        return None
    at = int(np.argmax(differ))
    return Mismatch(
        input=index,
        op=node.name if node else "",
        kind=node.op.kind if node else "",
        tensor=name,
        index=at,
        expected=float(want.ravel()[at]),
        actual=float(got.ravel()[at]),
    )


def _typed(graph: Graph, raw: Sequence[bytes]) -> dict[str, Array]:
    """The outputs' bytes as arrays, by name."""
    tensors = [graph.tensors[name] for name in graph.outputs]
    return {
        t.name: np.frombuffer(data, t.dtype.numpy).reshape(t.shape)
        for t, data in zip(tensors, raw, strict=True)
    }


def _bytes(array: Array) -> npt.NDArray[np.uint8]:
    return np.frombuffer(array.tobytes(), np.uint8)


def _differing_bytes(want: Array, got: Array) -> int:
    return int(np.count_nonzero(_bytes(want) != _bytes(got)))


def _distance(want: Array, got: Array) -> float:
    difference = np.abs(want.astype(np.float64) - got.astype(np.float64))
    return float(np.max(difference, initial=0.0))


def _accuracy(guesses: Sequence[int], labels: Sequence[int]) -> float:
    hits = sum(guess == label for guess, label in zip(guesses, labels, strict=False))
    return hits / max(len(labels), 1)
