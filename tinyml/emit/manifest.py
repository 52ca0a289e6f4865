"""`manifest.json`: what a project is, for programs that have only its folder."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tinyml import __version__
from tinyml.emit.places import banked
from tinyml.emit.rows import streamed_rows
from tinyml.emit.tiles import Range, tiles
from tinyml.errors import ModelError
from tinyml.ir.graph import Tensor
from tinyml.planning import Plan
from tinyml.schedule.schedule import Feed, Segment, SegmentKind
from tinyml.schedule.work import macs_by_node

MANIFEST = "manifest.json"
FORMAT = 5
"""Raised whenever a reader must know of a change."""


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """A tensor in the arena; `scale` and `zero_point` are None where it has no single ones."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: int | None
    offset: int
    bytes: int
    row_bytes: int
    """Of a tensor that is computed and observed, or comes, in rows or parts of them; 0 where it
    is so at once."""
    ring_rows: int
    """Row r lies at `offset` + r % `ring_rows` * `pitch`; 0 where it is stored whole."""
    pitch: int = 0
    """Bytes of a slot of such a ring."""
    pixel_bytes: int = 0
    """Where parts of rows are computed: of all channels in one place."""


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """Ops that run together."""

    kind: str
    """"layer": one op, on whole tensors; "stream": several, row by row; "patch": tile by tile."""
    ops: tuple[int, ...]
    """Their indices."""
    rows: tuple[tuple[Range, ...], ...] = ()
    """Of a patch, per band of tiles: the rows [first, stop) that each op computes in one, and at
    last those of an input that is pulled."""
    columns: tuple[tuple[Range, ...], ...] = ()
    """The same per strip for columns. Tiles run band by band, in each strip by strip."""


@dataclass(frozen=True, slots=True)
class OpEntry:
    """An op; its place in the list is its index on the target."""

    name: str
    kind: str
    macs: int
    """Executed: what the tiles of a patch share is counted in each."""
    kernel: str
    """Empty for an op that is only a view."""
    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that is known of a project."""

    tinyml: int
    """FORMAT."""
    version: str
    name: str
    """Prefix of the generated functions."""
    model: str
    """The model's own name."""
    source_sha256: str
    board: str
    options: Mapping[str, Any]
    """Options of the plan, as given."""
    identity: str
    arena_bytes: int
    more_bytes: int
    """Of the arena, in a second one: what lies there has offsets that count on from the first."""
    const_bytes: int
    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]
    pull: bool
    """Whether the target reads its only input in pieces while it runs."""
    ops: tuple[OpEntry, ...]
    segments: tuple[SegmentEntry, ...]
    """In order of execution."""
    training: Mapping[str, Any] | None
    """What learns, and how (`train.target.request`); None where nothing does."""
    files: Mapping[str, str]
    """Path in the project -> SHA-256, of every generated file but the manifest itself."""

    def to_json(self) -> str:
        """The text of the file."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=True) + "\n"


def read_manifest(project: Path) -> Manifest:
    """The manifest in the folder `project`; ModelError when the folder is no tinyml project."""
    path = project / MANIFEST
    hint = "generate it with 'tinyml build'"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelError(
            f"'{project}' is no tinyml project: {MANIFEST}: {reason}", hint=hint
        ) from None
    except ValueError as error:
        raise ModelError(f"'{path}' is damaged: {error}", hint=hint) from None
    found = values.get("tinyml") if isinstance(values, dict) else None
    if found != FORMAT:
        raise ModelError(f"'{path}' has format {found!r}, this version reads {FORMAT}", hint=hint)
    try:
        ops = tuple(
            OpEntry(**{**op, "inputs": _tensors(op["inputs"]), "outputs": _tensors(op["outputs"])})
            for op in values.pop("ops")
        )
        inputs, outputs = _tensors(values.pop("inputs")), _tensors(values.pop("outputs"))
        segments = tuple(
            SegmentEntry(
                segment["kind"],
                tuple(segment["ops"]),
                _ranges(segment["rows"]),
                _ranges(segment["columns"]),
            )
            for segment in values.pop("segments")
        )
        return Manifest(**values, inputs=inputs, outputs=outputs, ops=ops, segments=segments)
    except (TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"'{path}' is damaged: {error}", hint=hint) from None


def _tensors(values: list[dict[str, Any]]) -> tuple[TensorEntry, ...]:
    return tuple(TensorEntry(**{**value, "shape": tuple(value["shape"])}) for value in values)


def _ranges(values: list[list[tuple[int, int]]]) -> tuple[tuple[Range, ...], ...]:
    return tuple(tuple((first, stop) for first, stop in of) for of in values)


def make_manifest(
    plan: Plan,
    *,
    name: str,
    board: str,
    source: bytes,
    options: Mapping[str, Any],
    const_bytes: int,
    identity: str,
    files: Mapping[str, bytes],
    arena_bytes: int,
    training: Mapping[str, Any] | None,
) -> Manifest:
    """The manifest of a project with the given files."""
    graph = plan.graph
    nodes = {node.name: node for node in graph.nodes}
    streamed = streamed_rows(plan)
    index = {name: at for at, name in enumerate(plan.schedule.order)}

    def entry(tensor: Tensor) -> TensorEntry:
        single = tensor.quant is not None and len(tensor.quant.scales) == 1
        rows = streamed.get(tensor.name)
        return TensorEntry(
            name=tensor.name,
            shape=tensor.shape,
            dtype=tensor.dtype.value,
            scale=tensor.q.scale if single else None,
            zero_point=tensor.q.zero_point if single else None,
            offset=plan.memory.offset_of(tensor.name),
            bytes=tensor.nbytes,
            row_bytes=rows.row_bytes if rows else 0,
            ring_rows=rows.held if rows and rows.is_ring else 0,
            pitch=rows.pitch if rows and rows.is_ring else 0,
            pixel_bytes=rows.pixel_bytes if rows else 0,
        )

    def entries(names: tuple[str, ...]) -> tuple[TensorEntry, ...]:
        return tuple(entry(graph.tensors[n]) for n in names)

    macs = macs_by_node(graph, plan.schedule, plan.calls)
    return Manifest(
        tinyml=FORMAT,
        version=__version__,
        name=name,
        model=graph.name,
        source_sha256=hashlib.sha256(source).hexdigest(),
        board=board,
        options=dict(options),
        identity=identity,
        arena_bytes=arena_bytes,
        more_bytes=plan.memory.banks[1] if banked(plan.memory) else 0,
        const_bytes=const_bytes,
        inputs=entries(graph.inputs),
        outputs=entries(graph.outputs),
        pull=plan.schedule.feed is Feed.PULL,
        ops=tuple(
            OpEntry(
                name=node.name,
                kind=node.op.kind,
                macs=macs[node.name],
                kernel=plan.calls[node.name].kernel,
                inputs=entries(graph.activations(node)),
                outputs=entries(node.outputs),
            )
            for node in (nodes[n] for n in plan.schedule.order)
        ),
        segments=tuple(
            _segment(segment, tuple(index[name] for name in segment.nodes))
            for segment in plan.schedule.segments
        ),
        training=training,
        files={path: hashlib.sha256(data).hexdigest() for path, data in sorted(files.items())},
    )


def _segment(segment: Segment, ops: tuple[int, ...]) -> SegmentEntry:
    if segment.kind is not SegmentKind.PATCH:
        return SegmentEntry(segment.kind.value, ops)
    found = tiles(segment)
    return SegmentEntry(segment.kind.value, ops, found.rows, found.columns)
