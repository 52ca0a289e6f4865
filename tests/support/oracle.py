"""TFLite Micro as the oracle: the `tflite-micro` wheel on this machine.

It may end the process on models it refuses (a failed CHECK): give it sound ones.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import tflite
from tflite_micro import runtime

from tests.support.strategies import Case
from tests.support.tflite_writer import write
from tinyml.ir import ops
from tinyml.ir.graph import Array, DType, Graph, Quant, Tensor

SMALL_ARENA = 1 << 18
LARGE_ARENA = 1 << 26


def run_tflm(model: bytes, inputs: Sequence[Array], arena_bytes: int = SMALL_ARENA) -> list[Array]:
    """The outputs of `model`; one array per graph input, in order."""
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
    _invoke(interpreter, inputs)
    return [interpreter.get_output(i) for i in range(_subgraph(model).OutputsLength())]


def run_tflm_keeping_all(
    model: bytes, inputs: Sequence[Array], arena_bytes: int = LARGE_ARENA
) -> dict[str, Array]:
    """Every tensor of `model` that an operator computes, by its name in the file."""
    interpreter = runtime.Interpreter.from_bytes(
        model,
        arena_size=arena_bytes,
        intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors,  # their spelling
    )
    _invoke(interpreter, inputs)
    graph = _subgraph(model)
    results = {}
    for i in range(graph.OperatorsLength()):
        for index in graph.Operators(i).OutputsAsNumpy():
            name = graph.Tensors(int(index)).Name().decode()
            results[name] = interpreter.GetTensor(int(index), 0)["tensor_data"]
    return results


def run_tflm_again(
    model: bytes, sequence: Sequence[Sequence[Array]], arena_bytes: int = SMALL_ARENA
) -> list[list[Array]]:
    """The outputs of `model`, invoked once for each of `sequence` by one interpreter."""
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
    found = []
    for inputs in sequence:
        _invoke(interpreter, inputs)
        count = _subgraph(model).OutputsLength()
        found.append([interpreter.get_output(i).copy() for i in range(count)])
    return found


def run_case(case: Case) -> list[Array]:
    """What TFLite Micro computes for a one-op graph."""
    model = write(_with_bias(case.graph))
    return run_tflm(model, [case.inputs[name] for name in case.graph.inputs])


def _with_bias(graph: Graph) -> Graph:
    """`graph` with a bias of zeros where TFLite Micro crashes without one (depthwise)."""
    (node,) = graph.nodes
    if not isinstance(node.op, ops.DepthwiseConv2D) or node.inputs[2] is not None:
        return graph
    x, weights, _ = graph.operands(node)
    assert x is not None and weights is not None
    zeros = np.zeros(weights.shape[3], np.int32)
    quant = Quant((float(np.float32(x.q.scale) * np.float32(weights.q.scales[0])),), (0,))
    bias = Tensor("zeros", zeros.shape, DType.INT32, quant, zeros)
    patched = replace(node, inputs=(*node.inputs[:2], bias.name))
    return graph.rebuilt((patched,), {**graph.tensors, bias.name: bias})


def _subgraph(model: bytes) -> tflite.SubGraph:
    return tflite.Model.GetRootAsModel(model, 0).Subgraphs(0)


def _invoke(interpreter: runtime.Interpreter, inputs: Sequence[Array]) -> None:
    for i, data in enumerate(inputs):
        interpreter.set_input(data, i)
    interpreter.invoke()
