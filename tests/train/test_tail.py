"""Which layers learn, where networks are cut, new heads, and what is refused."""

import numpy as np
import pytest

from tests.support.builder import SOFTMAX_QUANT, GraphBuilder
from tests.train.nets import chain_net, image, residual_net
from tinyml.errors import PlanError, UnsupportedError
from tinyml.ir import ops
from tinyml.ir.check import check
from tinyml.ir.graph import DType, Graph
from tinyml.reference import run
from tinyml.train import autodiff, reference
from tinyml.train.head import with_classes
from tinyml.train.options import LayerUpdate, TrainOptions, parse_filter, parse_update
from tinyml.train.program import LossKind
from tinyml.train.tail import (
    Auto,
    Last,
    Layers,
    chosen_layers,
    parse_selection,
    split,
    weighted_layers,
)


def test_selections() -> None:
    assert parse_selection("last=3") == Last(3)
    assert parse_selection("layers=a, b") == Layers(("a", "b"))
    assert parse_selection("auto") == Auto()
    names = [node.name for node in weighted_layers(chain_net())]
    assert chosen_layers(chain_net(), Last(2)) == tuple(names[-2:])
    some = Layers((names[3], names[1]))
    assert chosen_layers(chain_net(), some) == (names[1], names[3])


@pytest.mark.parametrize("text", ["", "last", "last=0", "last=x", "layers=", "autos", "first=2"])
def test_unknown_selections(text: str) -> None:
    with pytest.raises(PlanError, match=f"--train {text} is not known.*last=N"):
        parse_selection(text)


def test_selections_that_do_not_fit() -> None:
    with pytest.raises(PlanError, match=r"last=9: 'chain' has 5 layers.*last=5 trains all"):
        chosen_layers(chain_net(), Last(9))
    with pytest.raises(PlanError, match=r"layers=nothing: .* no layer with weights.*n3"):
        chosen_layers(chain_net(), Layers(("nothing",)))


@pytest.mark.parametrize("graph", [residual_net(), residual_net(1, 8), chain_net()])
def test_backbone_and_head_are_the_network(graph: Graph) -> None:
    inputs, (output,) = image(graph), graph.outputs
    expected = run(graph, inputs)[output]
    for last in range(1, len(weighted_layers(graph)) + 1):
        tail = split(graph, chosen_layers(graph, Last(last)))
        check(tail.head)
        assert len(tail.backbone.nodes) + len(tail.head.nodes) == len(graph.nodes)
        start = run(tail.backbone, inputs)
        assert set(start) == set(tail.head.inputs)
        np.testing.assert_array_equal(run(tail.head, start)[output], expected)


def test_the_head_is_what_depends_on_trained_layers() -> None:
    graph = residual_net()
    tail = split(graph, chosen_layers(graph, Last(4)))
    # The skip connection starts from the backbone; the pool behind ADD is in the head.
    assert [node.op.kind for node in tail.backbone.nodes] == [
        "CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D",
    ]  # fmt: skip
    assert len(tail.head.inputs) == 1 and len(tail.trained) == 4
    assert tail.logits == graph.nodes[-1].inputs[0]


def test_parameters_go_back_into_the_network() -> None:
    graph = chain_net(3)
    tail = split(graph, chosen_layers(graph, Last(3)))
    program = autodiff.training_program(tail, TrainOptions())
    state = reference.initial_state(tail, program)
    start = reference.boundary(tail, program, image(graph))
    done = reference.train_step(tail, program, state, start, np.array([0], np.int32), 0.3)
    learnt = tail.with_parameters(done.state.parameters)
    (output,) = graph.outputs
    after = run(learnt, image(graph))[output]
    np.testing.assert_array_equal(after, reference.infer(tail, program, done.state, start))
    assert (after != run(graph, image(graph))[output]).any()


def refusal(builder: GraphBuilder, *outputs: str, last: int = 1) -> str:
    graph = builder.graph(*outputs)
    with pytest.raises(UnsupportedError) as caught:
        tail = split(graph, chosen_layers(graph, Last(last)))
        autodiff.training_program(tail, TrainOptions())
    return str(caught.value)


def test_refusals_name_operator_tensor_cause_and_way_out() -> None:
    b = GraphBuilder()
    x = b.conv(b.input((1, 6, 6, 2)), 4)
    b.node(ops.MaxPool2D(filter=(2, 2), stride=(2, 2)), (x,), output="peak")
    said = refusal(b, b.dense("peak", 3), last=2)
    assert "MAX_POOL_2D 'n1', tensor 'peak'" in said and "train fewer layers" in said

    b = GraphBuilder()
    x = b.dense(b.input((1, 6)), 4)
    b.node(ops.Softmax(), (x,), SOFTMAX_QUANT, output="inner")
    said = refusal(b, b.dense("inner", 3), last=2)
    assert "SOFTMAX 'n1', tensor 'inner'" in said and "train only layers behind it" in said

    b = GraphBuilder()
    x = b.dense(b.input((1, 6)), 4)
    said = refusal(b, b.node(ops.Dequantize(), (x,), dtype=DType.FLOAT32, output="real"))
    assert "DEQUANTIZE 'n1', tensor 'real'" in said and "--io int8" in said

    b = GraphBuilder()
    x = b.input((1, 6))
    said = refusal(b, b.dense(x, 3), b.dense(x, 4))
    assert "2 outputs" in said and "one" in said

    b = GraphBuilder()
    b.node(ops.Softmax(beta=2.0), (b.dense(b.input((1, 6)), 4),), SOFTMAX_QUANT, output="y")
    assert "beta is 2" in refusal(b, "y")

    b = GraphBuilder()
    x = b.input((1, 4, 4, 2))
    squeezed = b.node(ops.Mean(axes=(1, 2), keep_dims=True), (b.conv(x, 2, (1, 1)),), b.quant())
    b.node(ops.Add(), (x, squeezed), b.quant_near(0.1), output="y")
    assert "is broadcast to 1x4x4x2" in refusal(b, "y")

    b = GraphBuilder()
    said = refusal(b, b.conv(b.input((1, 4, 4, 2)), 3))
    assert "one row of logits" in said and "mse" in said


def test_a_loss_must_be_of_the_output() -> None:
    tail = split(residual_net(), chosen_layers(residual_net(), Last(1)))
    with pytest.raises(UnsupportedError, match=r"mse cannot pass the SOFTMAX.*cross-entropy"):
        autodiff.training_program(tail, TrainOptions(loss=LossKind.MEAN_SQUARED_ERROR))


def test_the_trained_layers_must_reach_the_output() -> None:
    b = GraphBuilder()
    x = b.input((1, 6))
    b.dense(x, 3)
    with pytest.raises(PlanError, match="depends on none of the trained layers"):
        split(b.graph(b.dense(x, 4)), ("n0",))


def test_options() -> None:
    assert parse_update("full") == LayerUpdate() and parse_update("bias").share == 0
    assert parse_update("channels=0.25") == LayerUpdate(share=0.25)
    assert parse_filter("2") == (2, ()) and parse_filter("2,a=b=4") == (2, (("a=b", 4),))
    for text in ("channels=2.5", "channels=", "half"):
        with pytest.raises(PlanError, match="--update"):
            parse_update(text)
    for text in ("", "x", "2,a", "2,=3"):
        with pytest.raises(PlanError, match="--filter"):
            parse_filter(text)
    with pytest.raises(PlanError, match="--filter 16: a radius is 1"):
        TrainOptions(radius=16)
    with pytest.raises(PlanError, match="momentum 1 is not"):
        TrainOptions(momentum=1.0)
    with pytest.raises(PlanError, match="batch of 0"):
        TrainOptions(batch=0)
    with pytest.raises(PlanError, match=r"channels=1.5 is no share"):
        TrainOptions(update=LayerUpdate(share=1.5))


@pytest.mark.parametrize("classes", [2, 5])
def test_a_new_head(classes: int) -> None:
    graph = residual_net()
    fresh = with_classes(graph, classes, seed=3)
    (output,) = fresh.outputs
    probabilities = run(fresh, image(graph))[output]
    assert probabilities.shape == (1, classes)
    weights = fresh.tensors[str(weighted_layers(fresh)[-1].inputs[1])]
    assert weights.shape == (classes, 8) and weights.values.std() > 1
    real = np.abs(weights.values * weights.q.scale)
    assert real.max() <= 1 / np.sqrt(8) + weights.q.scale
    again = with_classes(graph, classes, seed=3).tensors[weights.name]
    np.testing.assert_array_equal(weights.values, again.values)
    assert fresh.nodes[:-2] == graph.nodes[:-2]


def test_new_heads_that_cannot_be() -> None:
    with pytest.raises(UnsupportedError, match=r"1 classes.*2 classes or more"):
        with_classes(chain_net(), 1)
    b = GraphBuilder()
    x = b.dense(b.input((1, 6)), 4)
    graph = b.graph(b.node(ops.Logistic(), (x,), SOFTMAX_QUANT))
    with pytest.raises(UnsupportedError, match=r"LOGISTIC 'n1'.*only RESHAPE and SOFTMAX"):
        with_classes(graph, 3)
