"""A process that runs C kernels as a `KernelCall` describes, under the sanitizers.

Reads pickled `Request`s from standard input and writes pickled results to standard
output. Every row and every table is a heap block of exactly its size, so that the
address sanitizer sees the first byte read or written beside it.
"""

import pickle
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from typing import Any, BinaryIO

import cffi

from tinyml.kernels.call import (
    Accumulation,
    ConstArray,
    KernelCall,
    OpStruct,
    RowAccess,
    RowLoop,
    Span,
    WholeCall,
)

LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Request:
    """One call: the bytes of the activations, in order, and how many bytes each result has.

    With `in_place` the results overlay that input (its index in the loop) exactly. The last results
    are states that begin as `states`.
    """

    call: KernelCall
    inputs: tuple[bytes, ...]
    output_bytes: tuple[int, ...]
    in_place: int | None = None
    states: tuple[bytes, ...] = ()

    @property
    def kernel(self) -> str:
        return self.call.kernel


@dataclass(frozen=True, slots=True)
class Function:
    """A call of a function by its whole name: the op, pointers (None: NULL), maybe scratch.

    What `sample` is, if it is not None, is a `tinyml_train_sample` filled in before by
    `tinyml_train_begin`: its op, and rate, seed and number. The results are what all pointers point
    to after the call.
    """

    kernel: str
    struct: OpStruct
    pointers: tuple[bytes | None, ...]
    sample: tuple[OpStruct, float, int, int] | None = None
    scratch_bytes: int = 0


def send(stream: BinaryIO, message: object) -> None:
    data = pickle.dumps(message)
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    """The next message; EOFError when the other side is gone."""
    header = stream.read(LENGTH.size)
    if len(header) < LENGTH.size:
        raise EOFError
    return pickle.loads(stream.read(LENGTH.unpack(header)[0]))


class Runner:
    """Drives kernels of one shared library."""

    def __init__(self, library: str, declarations: str) -> None:
        self.ffi = cffi.FFI()
        self.ffi.cdef(declarations)
        self.ffi.cdef("void *malloc(size_t n); void free(void *p);")
        self.kernels = self.ffi.dlopen(library)
        self.libc = self.ffi.dlopen(None)

    def run(self, request: Request | Function) -> tuple[bytes, ...]:
        with ExitStack() as stack:
            if isinstance(request, Function):
                return self._function(stack, request)
            match request.call.loop:
                case RowLoop() as loop:
                    return self._rows(stack, request, loop)
                case WholeCall() as loop:
                    return self._whole(stack, request, loop)
                case Accumulation() as loop:
                    return self._accumulate(stack, request, loop)
        raise TypeError(f"nothing to run in {request.call.loop}")

    def _block(self, stack: ExitStack, content: bytes | int) -> Any:
        """A heap block of exactly this content, or of so many bytes, freed with the request."""
        size = content if isinstance(content, int) else len(content)
        block = self.libc.malloc(size)
        stack.callback(self.libc.free, block)
        fill = b"\xa5" * size if isinstance(content, int) else content
        self.ffi.memmove(block, fill, size)
        return self.ffi.cast("int8_t *", block)

    def _bytes(self, block: Any, size: int) -> bytes:
        return bytes(self.ffi.buffer(block, size))

    def _table(self, stack: ExitStack, table: ConstArray) -> Any:
        return self.ffi.cast(f"{table.ctype} *", self._block(stack, table.data.tobytes()))

    def _members(self, ctype: Any, prefix: str = "") -> Iterator[str]:
        for name, member in ctype.fields:
            if member.type.kind == "struct":
                yield from self._members(member.type, f"{prefix}{name}.")
            else:
                yield prefix + name

    def _op(self, stack: ExitStack, op: OpStruct) -> Any:
        ctype = self.ffi.typeof(op.ctype)
        expected, given = list(self._members(ctype)), [name for name, _ in op.fields]
        if expected != given:
            raise ValueError(f"{op.ctype} has the members {expected}, not {given}")
        block = self._block(stack, self.ffi.sizeof(ctype))
        result = self.ffi.cast(f"{op.ctype} *", block)
        for name, value in op.fields:
            *path, last = name.split(".")
            target = result
            for part in path:
                target = getattr(target, part)
            if isinstance(value, ConstArray):
                value = self._table(stack, value)
            setattr(target, last, self.ffi.NULL if value is None else value)
        return result

    def _arguments(self, stack: ExitStack, call: KernelCall) -> tuple[list[Any], list[Any]]:
        """What comes before and what comes after the tensors."""
        before = [] if call.struct is None else [self._op(stack, call.struct)]
        after = []
        if call.scratch_bytes:
            after.append(self._block(stack, call.scratch_bytes))
        return before, after

    def _rows(self, stack: ExitStack, request: Request, loop: RowLoop) -> tuple[bytes, ...]:
        before, after = self._arguments(stack, request.call)
        kernel = getattr(self.kernels, f"tinyml_{request.call.kernel}")
        activations = iter(request.inputs)
        sources = [
            next(activations) if access.constant is None else access.constant.data.tobytes()
            for access in loop.inputs
        ]
        maps = [
            self._map(stack, access, source, loop.batches)
            for access, source in zip(loop.inputs, sources, strict=True)
        ]
        span = self._span(loop.span)
        outputs = []
        for batch in range(loop.batches):
            for y in range(loop.out_height):
                rows = [
                    rows[batch][index] if 0 <= index < access.height else self.ffi.NULL
                    for access, rows in zip(loop.inputs, maps, strict=True)
                    for index in _row_numbers(access, y)
                ]
                if request.in_place is None:
                    out = self._block(stack, loop.out_row_bytes)
                else:
                    out = maps[request.in_place][batch][y]
                pointers = self.ffi.new("int8_t *[]", rows)
                index = [y] if loop.pass_row_index else []
                kernel(*before, span, pointers, out, *after, *index)
                outputs.append(out)
        return (b"".join(self._bytes(out, loop.out_row_bytes) for out in outputs),)

    def _map(
        self, stack: ExitStack, access: RowAccess, source: bytes, batches: int
    ) -> list[list[Any]]:
        """The rows of one input, by batch; batches that see the same rows share them."""
        size = access.row_bytes

        def rows(start: int) -> list[Any]:
            ends = [start + i * size for i in range(access.height)]
            return [self._block(stack, source[at : at + size]) for at in ends]

        if access.batch_bytes == 0:
            return [rows(0)] * batches
        return [rows(batch * access.batch_bytes) for batch in range(batches)]

    def _span(self, span: Span) -> Any:
        return self.ffi.new("tinyml_span *", [span.in_width, span.out_width, span.pad_left])

    def _whole(self, stack: ExitStack, request: Request, loop: WholeCall) -> tuple[bytes, ...]:
        before, after = self._arguments(stack, request.call)
        inputs = [self._block(stack, content) for content in request.inputs]
        outputs = [
            self._block(stack, size) if request.in_place is None else inputs[request.in_place]
            for size in request.output_bytes[: len(request.output_bytes) - len(request.states)]
        ]
        outputs += [self._block(stack, content) for content in request.states]
        typed = [
            self.ffi.cast(f"{ctype} *", block)
            for ctype, block in zip(
                (*loop.input_ctypes, *loop.output_ctypes), (*inputs, *outputs), strict=True
            )
        ]
        typed[len(inputs) : len(inputs)] = [self._table(stack, t) for t in loop.constants]
        getattr(self.kernels, f"tinyml_{request.call.kernel}")(*before, *typed, *after)
        sizes = zip(outputs, request.output_bytes, strict=True)
        return tuple(self._bytes(out, size) for out, size in sizes)

    def _function(self, stack: ExitStack, request: Function) -> tuple[bytes, ...]:
        function = getattr(self.kernels, request.kernel)
        blocks = [
            self.ffi.NULL if content is None else self._block(stack, content)
            for content in request.pointers
        ]
        types = self.ffi.typeof(function).args[1:]
        typed = [self.ffi.cast(t, block) for t, block in zip(types, blocks, strict=False)]
        if request.sample is not None:
            op, *numbers = request.sample
            sample = self.ffi.new("tinyml_train_sample *")
            self.kernels.tinyml_train_begin(self._op(stack, op), *numbers, sample)
            typed.append(sample)
        if request.scratch_bytes:
            typed.append(self._block(stack, request.scratch_bytes))
        function(self._op(stack, request.struct), *typed)
        return tuple(
            b"" if content is None else self._bytes(block, len(content))
            for block, content in zip(blocks, request.pointers, strict=True)
        )

    def _accumulate(
        self, stack: ExitStack, request: Request, loop: Accumulation
    ) -> tuple[bytes, ...]:
        before, (scratch,) = self._arguments(stack, request.call)
        acc = self.ffi.cast("int32_t *", scratch)
        begin, row, end = (
            getattr(self.kernels, f"tinyml_{request.call.kernel}_{step}")
            for step in ("begin", "row", "end")
        )
        (source,) = request.inputs
        at = count(0, loop.in_row_bytes)
        results = []
        for _ in range(loop.batches):
            begin(*before, acc)
            for _ in range(loop.in_height):
                start = next(at)
                row(*before, self._block(stack, source[start : start + loop.in_row_bytes]), acc)
            out = self._block(stack, loop.out_bytes)
            end(*before, acc, out)
            results.append(self._bytes(out, loop.out_bytes))
        return (b"".join(results),)


def _row_numbers(access: RowAccess, y: int) -> tuple[int, ...]:
    if access.table is not None:
        return access.table[y]
    first = y * access.stride - access.pad_top
    return tuple(first + i * access.dilation for i in range(access.count))


def main() -> None:
    library, declarations = sys.argv[1:]
    with open(declarations, encoding="utf-8") as file:  # noqa: PTH123
        runner = Runner(library, file.read())
    while True:
        try:
            request = receive(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer: object = runner.run(request)
        except Exception as error:
            answer = error
        send(sys.stdout.buffer, answer)


if __name__ == "__main__":
    # The module under its own name, whose classes the client's messages are of.
    from tests.support import kernel_server

    kernel_server.main()
