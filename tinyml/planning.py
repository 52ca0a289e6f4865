"""A plan: everything the emitter needs to print a project. Pure data."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tinyml.ir.graph import Graph
from tinyml.kernels.call import KernelCall
from tinyml.memory.plan import MemoryPlan
from tinyml.schedule.copies import Again
from tinyml.schedule.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Plan:
    """How one model runs on one board."""

    graph: Graph
    """The optimised graph, with `again`; its node order is the schedule's."""
    calls: Mapping[str, KernelCall] = field(repr=False)
    """Node name -> kernel."""
    schedule: Schedule
    memory: MemoryPlan
    again: tuple[Again, ...] = ()
    """What the graph computes twice: with these copies it was made of the optimised one."""
