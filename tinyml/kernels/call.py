"""What the code generator needs to know to call a kernel.

A `KernelCall` binds one node to one C kernel: the constant op struct with its
tables, the scratch, and the loop that drives the kernel. It names no buffers:
the emitter adds the addresses that the memory plan chose. Tests interpret the
same description through cffi, so what is tested is what is emitted.

Kernels address activations as bytes. The four loop styles:

* `RowLoop`: the kernel computes one output row from input row pointers
  (NULL for a padding row):
  `void k(const OP *op, const tinyml_span *span, const int8_t *const *rows,
  int8_t *out[, void *scratch])`
* `WholeCall`: the kernel computes whole tensors:
  `void k(const OP *op, const T *in0, ..., T *out0, ...[, void *scratch])`;
  states that it changes are among the results only
* `Accumulation`: the kernel takes in input rows one by one and then gives the result:
  `k_begin(const OP *op, int32_t *acc)`, `k_row(op, const int8_t *row, acc)`,
  `k_end(op, acc, int8_t *out)`; `acc` is the scratch.
* `Alias`: nothing runs; the output is the input's bytes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinyml.ir.graph import Graph, Node


@dataclass(frozen=True, slots=True, eq=False)
class ConstArray:
    """A table in flash: `static const ctype name[n]`; `data` is one-dimensional."""

    ctype: str
    data: npt.NDArray[np.generic]
    parameter: str = ""
    """Where training changes it, so that it lies in RAM, its name there; `data` is what it begins
    with."""


FieldValue = int | float | ConstArray | None
"""A number, a pointer to a table, or a NULL pointer."""


@dataclass(frozen=True, slots=True)
class OpStruct:
    """A constant C struct: its type and the initialisers of its fields, in order."""

    ctype: str
    fields: tuple[tuple[str, FieldValue], ...]


@dataclass(frozen=True, slots=True)
class ColumnAccess:
    """Which columns of one input an output column needs, where a part of a row can be computed.

    Output column x needs columns `x * stride - pad_left + i * dilation`, i < count, of
    which those outside [0, width) are padding that the kernel knows of. A call for the
    output columns [x0, x1) gets pointers to the first column that these need and that is
    there, and a `Span` of the columns from there on.
    """

    width: int
    pixel_bytes: int
    count: int = 1
    stride: int = 1
    """0 where every output column reads the only one there is."""
    pad_left: int = 0
    dilation: int = 1

    def read(self, first: int, stop: int) -> tuple[int, int]:
        """The columns [begin, end) that are there of those that the output's [first, stop) need."""
        begin = min(max(self._window(first), 0), self.width)
        last = self._window(stop - 1) + (self.count - 1) * self.dilation
        return begin, max(begin, min(last + 1, self.width))

    def _window(self, column: int) -> int:
        """Where the window of an output column begins; outside the input for padding."""
        return column * self.stride - self.pad_left

    def span(self, first: int, stop: int) -> "Span":
        """What the kernel is told that computes the output columns [first, stop)."""
        begin, end = self.read(first, stop)
        return Span(end - begin, stop - first, begin - self._window(first))


@dataclass(frozen=True, slots=True)
class RowAccess:
    """Which rows of one input an output row needs.

    Output row y needs rows `y * stride - pad_top + i * dilation`, i < count;
    a row outside [0, height) is NULL. With `table`, row i of output row y is
    table[y][i] instead. A constant operand has `constant` set.
    """

    count: int
    height: int
    row_bytes: int
    stride: int = 1
    pad_top: int = 0
    dilation: int = 1
    table: tuple[tuple[int, ...], ...] | None = None
    batch_bytes: int = 0
    """How far the input moves on per batch; 0 when every batch sees the same rows."""
    constant: ConstArray | None = None
    columns: ColumnAccess | None = None
    """None where the kernel can only compute whole rows."""

    def rows_read(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """[i, position]: the rows that output row `rows[i]` reads; for padding, some outside."""
        if self.table is not None:
            return np.array(self.table, np.int64)[rows]
        starts = rows * self.stride - self.pad_top
        return starts[:, None] + np.arange(self.count, dtype=np.int64) * self.dilation


@dataclass(frozen=True, slots=True)
class Span:
    """The horizontal geometry of one call, in pixels."""

    in_width: int
    out_width: int
    pad_left: int


@dataclass(frozen=True, slots=True)
class RowLoop:
    """`batches` x `out_height` calls, each for one output row of `out_row_bytes`.

    `rows` holds the pointers of all inputs, one input after the other, in the
    order of `inputs`, which matches the node's operands that are activations
    or that have `RowAccess.constant`.
    """

    batches: int
    out_height: int
    out_row_bytes: int
    inputs: tuple[RowAccess, ...]
    span: Span
    pass_row_index: bool = False
    """The kernel takes the output row's index y as a last argument (int32_t)."""

    @property
    def cuts_columns(self) -> bool:
        """Whether the kernel can compute some columns of a row."""
        return all(access.columns is not None for access in self.inputs)

    def part(self, first: int, stop: int) -> Span:
        """The span of a call for the output columns [first, stop); `cuts_columns` must hold.

        It is that of the first input that runs along the columns.
        """
        found = [access.columns for access in self.inputs if access.columns is not None]
        return next((c for c in found if c.stride), found[0]).span(first, stop)

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a pixel of the output."""
        return self.out_row_bytes // self.span.out_width


@dataclass(frozen=True, slots=True)
class WholeCall:
    """One call for whole tensors; `constants` (NULL for None) follow the activation inputs."""

    input_ctypes: tuple[str, ...]
    output_ctypes: tuple[str, ...]
    constants: tuple[ConstArray | None, ...] = ()
    updates: tuple[int, ...] = ()
    """Operand positions (`Op.updates`) of states: the last results are these, in the same bytes.
    They are none of the inputs."""

    def passed(self, graph: Graph, node: Node) -> tuple[str, ...]:
        """Names of the activations that the kernel has as inputs."""
        changed = {node.inputs[position] for position in self.updates}
        return tuple(name for name in graph.activations(node) if name not in changed)


@dataclass(frozen=True, slots=True)
class Accumulation:
    """`in_height` rows of `in_row_bytes` go in, then one result of `out_bytes` comes out."""

    batches: int
    in_height: int
    in_row_bytes: int
    out_bytes: int


@dataclass(frozen=True, slots=True)
class Alias:
    """The output is a view of the first input."""


@dataclass(frozen=True, slots=True)
class InPlace(Alias):
    """The kernel changes its first input, whose bytes the output is."""


Loop = RowLoop | WholeCall | Accumulation | Alias


@dataclass(frozen=True, slots=True)
class KernelCall:
    """One node bound to one kernel."""

    kernel: str
    """Public C name without the `tinyml_` prefix, e.g. "conv_s8"; "" for an alias."""
    struct: OpStruct | None
    loop: Loop
    scratch_bytes: int = 0
    scratch_macro: str = ""
    """C expression that must be <= scratch_bytes (checked by _Static_assert)."""
    in_place: tuple[int, ...] = ()
    """Operand positions whose buffer the output may overlay exactly (same offset)."""
    workers: int = 1
    """How many threads share the rows of a `RowLoop` of one batch, in no order; each has its own
    part of the scratch."""

    @property
    def runs_by_rows(self) -> bool:
        """Whether it computes one row after the other, from top to bottom."""
        return isinstance(self.loop, RowLoop) and self.workers == 1

    @property
    def scratch_pitch(self) -> int:
        """Bytes of the scratch that one thread has."""
        return self.scratch_bytes // self.workers
