"""What a model keeps from one invoke to the next, as the templates print it."""

from dataclasses import dataclass

import numpy as np

from tinyml.emit.literals import call, comment
from tinyml.emit.names import short
from tinyml.emit.places import place
from tinyml.emit.tables import TablePool
from tinyml.ir.graph import State
from tinyml.kernels.call import ConstArray
from tinyml.planning import Plan


@dataclass(frozen=True, slots=True)
class StateView:
    """A state in the arena."""

    comment: tuple[str, ...]
    restore: tuple[str, ...]
    """The statement that makes it what it is at first."""


def state_views(plan: Plan, tables: TablePool) -> tuple[StateView, ...]:
    """The states of a plan; what they begin with goes into `tables`, if it is not one byte only."""
    return tuple(_view(plan, state, tables) for state in plan.graph.states)


def _view(plan: Plan, state: State, tables: TablePool) -> StateView:
    where = place(plan.memory, plan.memory.offset_of(state.before)).removeprefix("m->")
    data = np.frombuffer(state.initial.tobytes(), np.uint8)
    if (data == data[0]).all():
        restore = call("memset", (f"m->{where}", str(data[0]), str(data.size)), ";", 2)
    else:
        name = f"initial_{short(state.before)}"
        table = tables.add(ConstArray("uint8_t", data), name, f"state {state.before}", 0)
        restore = call("tinyml_flash_copy", (f"m->{where}", table, str(data.size)), ";", 2)
    return StateView(comment(state.before, 5), restore)
