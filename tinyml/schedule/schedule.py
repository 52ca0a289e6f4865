"""The schedule: what runs when. Pure data between the planner and the emitter."""

from dataclasses import dataclass
from enum import Enum


class SegmentKind(Enum):
    """How a segment executes."""

    LAYER = "layer"
    """One node, whole tensors in and out."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Nodes that execute together; a layer segment holds exactly one."""

    kind: SegmentKind
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Segments in execution order; every node of the graph is in exactly one."""

    segments: tuple[Segment, ...]

    @property
    def order(self) -> tuple[str, ...]:
        """Node names in execution order."""
        return tuple(name for segment in self.segments for name in segment.nodes)
