"""States of .tflite files: what is followed, what is folded, what is refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tests.support.builder import per_tensor
from tests.support.oracle import run_tflm_again
from tests.support.streaming import StreamBuilder, recurrent, wake_word
from tests.support.tflite_writer import edited, write
from tinyml.errors import ModelError, UnsupportedError
from tinyml.importers.tflite import read
from tinyml.ir import ops
from tinyml.ir.graph import Array, Graph
from tinyml.passes import optimize
from tinyml.reference import initial_states, step

QUANT = per_tensor(0.1, 3)


def line(names: tuple[str, ...]) -> tuple[StreamBuilder, str]:
    """Variables of four elements each, and an input of the same kind."""
    b = StreamBuilder("line")
    x = b.input((1, 4), QUANT, name="x")
    for name in names:
        b.state(name, (1, 4), QUANT)
    return b, x


def sequence(graph: Graph, count: int = 5) -> list[Array]:
    rng = np.random.default_rng(1)
    shape = graph.tensors[graph.inputs[0]].shape
    return [rng.integers(-128, 128, shape).astype(np.int8) for _ in range(count)]


def assert_as_tflm(graph: Graph, model: bytes) -> Graph:
    """What is read computes what TFLite Micro does, before and after the passes."""
    found = read(model, "m")
    feeds = sequence(found)
    expected = run_tflm_again(model, [[x] for x in feeds])
    for form in (found, optimize(found)):
        states = initial_states(form)
        for x, wanted in zip(feeds, expected, strict=True):
            outputs, states = step(form, {form.inputs[0]: x}, states)
            for name, value in zip(form.outputs, wanted, strict=True):
                np.testing.assert_array_equal(outputs[name], value)
    return found


def reads(model: Any, name: str) -> Any:
    """The READ_VARIABLE that gives tensor `name`."""
    graph = model.subgraphs[0]
    index = next(i for i, t in enumerate(graph.tensors) if t.name in (name, name.encode()))
    return next(op for op in graph.operators if list(op.outputs) == [index])


def test_a_shift_register() -> None:
    """Each variable takes over from the next, whatever the order of the assignments."""
    b, x = line(("a", "b"))
    y = b.node(ops.Add(), ("a", x), QUANT)
    b.assign("b", x, 7)
    b.assign("a", "b", -9)
    graph = b.finished(y)
    found = assert_as_tflm(graph, write(graph.rebuilt(graph.nodes)))
    assert [n.inputs for n in found.nodes[-2:]] == [("b", "a"), ("x", "b")]


def test_an_exchange_is_refused() -> None:
    b, x = line(("a", "b"))
    y = b.node(ops.Add(), ("a", x), QUANT)
    b.assign("a", "b", 0)
    b.assign("b", "a", 0)
    with pytest.raises(UnsupportedError, match="these variables exchange their values"):
        read(write(b.finished(y)), "m")


def test_what_is_read_after_an_assignment_is_the_value() -> None:
    """READ_VARIABLE at the end gives what was assigned; nothing has to be kept for it."""
    b, x = line(("a",))
    b.assign("a", b.node(ops.Add(), (x, x), QUANT), 0)
    graph = b.finished(b.node(ops.Maximum(), ("a", "a"), QUANT, output="y"))

    def last(model: Any) -> None:
        operators = model.subgraphs[0].operators
        read_it, read_result = reads(model, "a"), reads(model, "y")
        operators.remove(read_it)
        operators.remove(read_result)
        operators += [read_it, read_result]

    found = assert_as_tflm(graph, edited(write(graph), last))
    assert found.states == ()


def test_a_variable_that_nothing_changes_is_a_constant() -> None:
    b, x = line(("a",))
    b.assign("a", x, 11)
    graph = b.finished(b.node(ops.Add(), ("a", x), QUANT))

    def unassigned(model: Any) -> None:
        model.subgraphs[0].operators.pop()

    found = assert_as_tflm(graph, edited(write(graph), unassigned))
    assert found.states == () and (found.tensors["a"].values == 11).all()


def test_without_a_first_value_a_variable_is_zero() -> None:
    """Real zero, which is the zero point of int8."""
    b, x = line(("a",))
    b.assign("a", x, 50)
    graph = b.finished(b.node(ops.Add(), ("a", x), QUANT))

    def without(model: Any) -> None:
        model.subgraphs.pop()
        del model.subgraphs[0].operators[0]

    found = assert_as_tflm(graph, edited(write(graph), without))
    assert (found.states[0].initial == QUANT.zero_point).all()


def test_a_first_value_may_be_computed() -> None:
    b, x = line(("a",))
    b.assign("a", x, 5)
    graph = b.finished(b.node(ops.Add(), ("a", x), QUANT))

    def computed(model: Any) -> None:
        once = model.subgraphs[1]
        assign = once.operators[-1]
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.ABS
        code.version = 1
        model.operatorCodes.append(code)
        source = once.tensors[assign.inputs[1]]
        result = schema.TensorT(name="abs", shape=source.shape, type=source.type, hasRank=True)
        result.quantization = source.quantization
        once.tensors.append(result)
        made = schema.OperatorT(len(model.operatorCodes) - 1, [assign.inputs[1]])
        made.outputs = [len(once.tensors) - 1]
        made.builtinOptionsType = schema.BuiltinOptions.AbsOptions
        made.builtinOptions = schema.AbsOptionsT()
        assign.inputs = [assign.inputs[0], len(once.tensors) - 1]
        once.operators.insert(-1, made)

    model = edited(write(graph), computed)
    assert (read(model, "m").states[0].initial == 5).all()


def test_a_state_is_dropped_with_all_that_needs_it() -> None:
    b, x = line(("a", "b"))
    b.assign("a", b.node(ops.Add(), ("a", x), QUANT), 0)
    b.assign("b", b.node(ops.Add(), ("b", "a"), QUANT), 0)
    graph = b.finished(b.node(ops.Add(), (x, x), QUANT))
    assert optimize(graph).states == ()
    b, x = line(("a", "b"))
    b.assign("a", b.node(ops.Add(), ("a", x), QUANT), 0)
    b.assign("b", b.node(ops.Add(), ("b", "a"), QUANT), 0)
    graph = optimize(b.finished(b.node(ops.Add(), (x, "b"), QUANT)))
    assert [state.before for state in graph.states] == ["a", "b"]


def not_variable(model: Any) -> None:
    for tensor in model.subgraphs[0].tensors:
        tensor.isVariable = False


def shared(model: Any) -> None:
    model.subgraphs[0].operators.insert(1, model.subgraphs[0].operators[0])


@pytest.mark.parametrize(
    ("make", "change", "words"),
    [
        (recurrent, not_variable, "no variable to keep its state in"),
        (wake_word, lambda m: m.subgraphs[0].operators.pop(1), "somewhere else than a VAR_HANDLE"),
        (
            wake_word,
            lambda m: m.subgraphs[0].operators.append(m.subgraphs[0].operators.pop(0)),
            "it runs after variables were used",
        ),
        (wake_word, lambda m: m.subgraphs[1].operators.pop(), ""),
    ],
)
def test_refusals(make: Callable[[], Graph], change: Callable[[Any], Any], words: str) -> None:
    model = edited(write(make()), lambda m: change(m) and None)
    if not words:  # one variable has no first value, and begins with the zero point
        assert len(read(model, "m").states) == 2
        return
    with pytest.raises(UnsupportedError, match=words):
        read(model, "m")


def test_damage_is_no_crash() -> None:
    def astray(model: Any) -> None:
        call = model.subgraphs[0].operators[0]
        call.builtinOptions.initSubgraphIndex = 9

    with pytest.raises(ModelError, match="subgraph 9 does not exist"):
        read(edited(write(wake_word()), astray), "m")


def test_two_operators_cannot_share_a_state() -> None:
    with pytest.raises(UnsupportedError, match="is another's, too"):
        read(edited(write(recurrent()), shared), "m")
