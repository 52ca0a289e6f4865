"""TFLite Micro as the oracle: the `tflite-micro` wheel on this machine.

It may end the process on models it refuses (a failed CHECK): give it sound ones.
"""

from collections.abc import Sequence

import tflite
from tflite_micro import runtime

from tinyml.ir.graph import Array

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
            results[name] = interpreter.GetTensor(int(index), 0)
    return results


def _subgraph(model: bytes) -> tflite.SubGraph:
    return tflite.Model.GetRootAsModel(model, 0).Subgraphs(0)


def _invoke(interpreter: runtime.Interpreter, inputs: Sequence[Array]) -> None:
    for i, data in enumerate(inputs):
        interpreter.set_input(data, i)
    interpreter.invoke()
