"""What all parts of one op's view need, and the small pieces that they are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinyml.emit.literals import WIDTH
from tinyml.emit.literals import call as call_lines
from tinyml.emit.places import place
from tinyml.emit.rows import StreamedRows
from tinyml.emit.tables import TablePool
from tinyml.errors import PlanError
from tinyml.ir.graph import Node, Tensor
from tinyml.kernels.call import ConstArray, KernelCall
from tinyml.planning import Plan


@dataclass(frozen=True, slots=True)
class PointerView:
    """A local pointer: to a place in the arena, or to a table."""

    name: str
    ctype: str
    """The element's type, with `const` where the op only reads."""
    source: str
    in_arena: bool = True
    steps: bool = False
    """Whether the loop moves it on."""
    offsets: tuple[str, ...] = ()
    """What is added to it, in elements, e.g. "24 * y"."""

    @property
    def lines(self) -> tuple[str, ...]:
        """Its definition."""
        place = f"({self.ctype} *)({self.source})" if self.in_arena else self.source
        words = [f"{self.ctype} *{'' if self.steps else 'const '}{self.name} = {place}"]
        words += [f" + {offset}" for offset in self.offsets]
        lines, indent = [""], 2
        for word in words:
            if lines[-1] and indent + len(lines[-1] + word) >= WIDTH:
                lines.append("    " + word.lstrip())
            else:
                lines[-1] += word
        lines[-1] += ";"
        return tuple(lines)


@dataclass(frozen=True, slots=True)
class RowsView:
    """The call that finds the row pointers of one input for output row y."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Context:
    """One op in its plan."""

    plan: Plan
    node: Node
    call: KernelCall
    tables: TablePool
    producers: Mapping[str, Node]
    streamed: Mapping[str, StreamedRows]
    label: str
    origin: str
    reads: int
    """How often one inference reads each of the op's tables, about."""

    def table(self, table: ConstArray, role: str, *, operand: bool = False) -> str:
        """The C name of a table that this op uses as `role`; see `TablePool.add`."""
        name, origin = f"{self.label}_{role}", f"{self.origin}: {role}"
        return self.tables.add(table, name, origin, self.reads, operand=operand)

    def address(self, tensor: Tensor) -> str:
        """A C expression for where an activation begins."""
        return place(self.plan.memory, self.plan.memory.offset_of(tensor.name))

    def whole(self, tensor: Tensor) -> str:
        """The same for one that the op needs whole; PlanError when only rows of it are held."""
        if self.ring(tensor):
            raise PlanError(
                f"op '{self.node.name}' needs '{tensor.name}' whole, the schedule holds rows of it"
            )
        return self.address(tensor)

    def ring(self, tensor: Tensor) -> StreamedRows | None:
        """The ring that holds rows of `tensor`; None where it is stored whole."""
        rows = self.streamed.get(tensor.name)
        return rows if rows and rows.is_ring else None

    def ring_read(self, tensor: Tensor, height: int, row_bytes: int) -> StreamedRows | None:
        """The same for an operand read as so many rows; PlanError when it is stored in others.

        A whole tensor may be read as other rows than those it was written in.
        """
        ring = self.ring(tensor)
        if ring and (ring.height, ring.row_bytes) != (height, row_bytes):
            raise PlanError(
                f"op '{self.node.name}' reads '{tensor.name}' as {height} rows of {row_bytes} "
                f"bytes, but it is streamed as {ring.height} of {ring.row_bytes}"
            )
        return ring

    @property
    def activations(self) -> tuple[Tensor, ...]:
        """The operands in the arena."""
        return tuple(self.plan.graph.tensors[n] for n in self.plan.graph.activations(self.node))

    @property
    def results(self) -> tuple[Tensor, ...]:
        """What the op writes."""
        return self.plan.graph.results(self.node)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The kernel's first argument, where it has a struct."""
        return ("&op",) if self.call.struct is not None else ()

    def kernel_call(
        self, arguments: Sequence[str], indent: int, suffix: str = ""
    ) -> tuple[str, ...]:
        """The statement that calls the kernel."""
        return call_lines(f"tinyml_{self.call.kernel}{suffix}", arguments, ";", indent)


def numbered(name: str, index: int, count: int) -> str:
    """`name`, with its number where there are several."""
    return name if count == 1 else f"{name}{index}"


def row_offset(row_bytes: int, height: int, ring: StreamedRows | None) -> tuple[str, ...]:
    """How far row y lies from where its map begins; () where every row lies there."""
    if ring is None:
        return (f"{row_bytes} * y",)
    if ring.held == height:
        return (f"{ring.pitch} * y",)
    return (f"{ring.pitch} * tinyml_slot(y, {ring.held}, {height})",) if ring.held > 1 else ()
