"""The plan of a training step: placed by the allocator of inference, proven by its checker."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.support.tflite_writer import write
from tests.train.nets import chain_net, odd_net, residual_net
from tinyml import pipeline
from tinyml.board import load_board
from tinyml.choose import Choice, choose
from tinyml.errors import PlanError, TinymlError, UnsupportedError
from tinyml.ir import ops
from tinyml.ir.graph import DType, Graph, Node, Tensor
from tinyml.kernels.call import InPlace, KernelCall, WholeCall
from tinyml.memory import plan_memory
from tinyml.memory.check import check_plan
from tinyml.options import PlanOptions
from tinyml.schedule.schedule import Schedule, Segment, SegmentKind
from tinyml.train.budget import training_cost
from tinyml.train.target.plan import TrainPlan, plan_training
from tinyml.train.target.request import TrainRequest, parse_updates, recorded

BOARD = "qemu-cortex-m4"


def planned(
    graph: Graph, *, sram: int | None = None, board: str = BOARD, **asked: Any
) -> TrainPlan:
    options = PlanOptions(sram=sram, io="int8")
    return plan_training(graph, load_board(board), TrainRequest(**asked), options)


NETS = {"residual": residual_net, "chain": chain_net, "odd": odd_net}


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("radius", ["1", "2"])
@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_a_step_is_placed_and_proven(net: str, radius: str, precision: str) -> None:
    """The checker has passed in `plan_training`; what it was given is the whole program."""
    found = planned(NETS[net](), train="last=3", filter=radius, precision=precision)
    memory, program = found.step.memory, found.prepared.program
    cost = training_cost(program)
    assert memory.lower_bound <= memory.arena_bytes
    # What the backward pass needs is there while the loss is computed.
    segments = found.step.schedule.segments
    peaks = {part.nodes[-1]: peak for part, peak in zip(segments, memory.peaks, strict=True)}
    loss = next(n for n, m in found.timeline.moments.items() if m.step == program.loss_at)
    assert peaks[loss] >= cost.saved_bytes
    assert found.learning.nbytes >= cost.lasting_bytes
    steps = {moment.step for moment in found.timeline.moments.values()}
    assert steps == set(range(len(program.steps)))
    written = {n for node in found.step.graph.nodes for n in node.outputs}
    homes = [name for buffer in memory.buffers for name in buffer.tensors]
    assert written <= set(homes)


def test_saved_activations_are_live_until_they_are_used() -> None:
    found = planned(chain_net(), train="last=4", filter="2")
    program, memory = found.prepared.program, found.step.memory
    at = {name: i for i, name in enumerate(found.step.schedule.order)}
    for name in program.saved():
        buffer = next(b for b in memory.buffers if name in b.tensors)
        users = [
            at[node] for node, moment in found.timeline.moments.items()
            if name in moment.call.reads
        ]  # fmt: skip
        assert memory.segment_at(buffer.last) >= max(users)


def test_overlapping_buffers_are_found_out() -> None:
    found = planned(chain_net(), train="last=4", filter="2")
    step = found.step
    saved = found.prepared.program.saved()[0]
    moved = dict(step.memory.offsets)
    home = next(b.name for b in step.memory.buffers if saved in b.tensors)
    other = next(
        b for b in step.memory.buffers
        if b.name != home and b.first <= next(
            x for x in step.memory.buffers if x.name == home).first <= b.last
    )  # fmt: skip
    moved[home] = moved[other.name]
    wrong = replace(step.memory, offsets=moved)
    with pytest.raises(PlanError):
        check_plan(step.graph, step.schedule, step.calls, wrong)


def _in_place(reader_of: str) -> tuple[Graph, Schedule, Mapping[str, KernelCall]]:
    """a -> change -> a'; then something reads `reader_of`."""
    names = ("a", "a'", "b")
    tensors = {name: Tensor(name, (16,), DType.INT8) for name in names}
    nodes = (
        Node("change", ops.Relu(), ("a",), ("a'",)),
        Node("read", ops.Relu(), (reader_of,), ("b",)),
    )
    calls = {
        "change": KernelCall("k", None, InPlace()),
        "read": KernelCall("k", None, WholeCall((), ())),
    }
    layers = tuple(Segment(SegmentKind.LAYER, (node.name,)) for node in nodes)
    return Graph("g", tensors, nodes, ("a",), ("b",)), Schedule(layers), calls


def test_what_a_call_has_changed_is_not_what_it_was() -> None:
    graph, schedule, calls = _in_place("a'")
    check_plan(graph, schedule, calls, plan_memory(graph, schedule, calls))
    graph, schedule, calls = _in_place("a")
    with pytest.raises(PlanError, match="reads 'a', but byte 0 of the arena holds 'a''"):
        check_plan(graph, schedule, calls, plan_memory(graph, schedule, calls))


def test_filtering_and_fewer_layers_take_less() -> None:
    wide = chain_net(size=16)
    exact, filtered = (planned(wide, train="last=4", filter=r) for r in ("1", "2"))
    assert filtered.sram_bytes < exact.sram_bytes
    assert planned(wide, train="last=1").sram_bytes < filtered.sram_bytes
    bias = planned(wide, train="last=4", filter="2", update="bias")
    assert bias.learning.nbytes < filtered.learning.nbytes
    assert planned(wide, train="last=4", optimizer="momentum").learning.state.nbytes > 0


def test_a_budget_names_the_least_that_would_do() -> None:
    least = planned(chain_net(), train="last=4", filter="2").sram_bytes
    with pytest.raises(PlanError, match=f"takes at least {least:,} bytes") as caught:
        planned(chain_net(), sram=least - 8, train="last=4", filter="2")
    assert f"--sram {least}" in caught.value.hint
    assert planned(chain_net(), sram=least, train="last=4", filter="2").sram_bytes == least


def test_auto_stays_within_its_budget_and_is_repeatable() -> None:
    graph = chain_net(size=16)
    whole = planned(graph, train="last=5", filter="2").sram_bytes
    found = planned(graph, sram=whole // 2, train="auto", filter="2")
    assert found.sram_bytes <= whole // 2
    assert found.prepared.tail.trained
    again = recorded(graph, found.prepared.record(found.request))
    assert again.tail.trained == found.prepared.tail.trained
    assert again.program == found.prepared.program


@pytest.mark.parametrize(
    ("asked", "sram", "message"),
    [
        ({"train": "last=9"}, None, "has 5 layers"),
        ({"train": "layers=nothing"}, None, "has no layer with weights of this name"),
        ({"train": "some"}, None, "--train some is not known"),
        ({"train": "auto"}, None, "needs a budget"),
        ({"train": "auto"}, 100, "--sram allows 100"),
        ({"train": "auto"}, 20, "nothing can be trained in 20 bytes"),
        ({"train": "last=1", "filter": "0"}, None, "a radius is 1"),
        ({"train": "last=1", "filter": "1,x=2"}, None, "has no layer 'x'"),
        ({"train": "last=1", "update": "full,x:bias"}, None, "has no layer 'x'"),
        ({"train": "last=1", "update": "channels=2/0"}, None, "is not known"),
        ({"train": "last=1", "classes": 1}, None, "1 classes"),
        ({"train": "last=1", "precision": "int4"}, None, "--precision int4 is not known"),
        ({"train": "last=1", "optimizer": "adam"}, None, "--optimizer adam is not known"),
    ],
)
def test_bad_requests_say_what_would_work(
    asked: dict[str, Any], sram: int | None, message: str
) -> None:
    with pytest.raises(TinymlError, match=message) as caught:
        planned(chain_net(), sram=sram, **asked)
    assert caught.value.hint


def test_more_classes_than_a_board_has_memory_for(tmp_path: Any) -> None:
    model = tmp_path / "chain.tflite"
    model.write_bytes(write(chain_net()))
    request = TrainRequest(train="last=1", classes=16_000)
    with pytest.raises(PlanError, match="does not fit board 'stm32': region 'sram'"):
        pipeline.build_learning(model, "stm32", request, tmp_path / "out")


def test_what_cannot_be_trained_is_named() -> None:
    from tests.support.builder import GraphBuilder, per_tensor

    b = GraphBuilder("sigmoid")
    x = b.dense(b.input((1, 8), per_tensor(0.02), name="x"), 4, quant=per_tensor(0.1))
    y = b.node(ops.Logistic(), (x,), per_tensor(1 / 256, -128))
    graph = b.graph(b.dense(y, 3, quant=per_tensor(0.1)))
    with pytest.raises(UnsupportedError, match="cannot train through LOGISTIC") as caught:
        planned(graph, train="last=2")
    assert "train fewer layers" in caught.value.hint
    assert planned(graph, train="last=1").prepared.tail.trained


def test_an_arena_in_two_regions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert planned(chain_net(), board="stm32-ccm", train="last=1").arena_bytes

    def divided(*given: Any) -> Choice:
        found = choose(*given)
        plan = found.taken.plan
        divided = replace(plan, memory=replace(plan.memory, split=8))
        monkeypatch.setitem(found.taken.__dict__, "plan", divided)
        return found

    monkeypatch.setattr("tinyml.train.target.plan.choose", divided)
    with pytest.raises(PlanError, match="takes two regions of board 'stm32-ccm'"):
        planned(chain_net(), board="stm32-ccm", train="last=1")


def test_updates_of_layers() -> None:
    update, own = parse_updates("channels=1/4,dense_1:bias,a:b:full")
    assert update.share == pytest.approx(0.25)
    assert [name for name, _ in own] == ["dense_1", "a:b"]
    assert own[0][1].share == 0.0


def test_the_report_of_a_plan(tmp_path: Any) -> None:
    model = tmp_path / "chain.tflite"
    model.write_bytes(write(chain_net(size=16)))
    request = TrainRequest(train="last=4", filter="2")
    report = pipeline.plan_learning(model, BOARD, request)
    assert max(s.peak_sram_bytes for s in report.steps) <= report.step_arena_bytes
    assert report.sram_bytes == report.arena_bytes + report.parameter_bytes + report.state_bytes
    assert {s.phase for s in report.steps} == {"forward", "backward", "update"}
    assert sum(s.bytes for s in report.saved) == report.saved_bytes
    rows = {(t.layers, t.radius): t for t in report.trade_off}
    assert set(rows) == {(n, r) for n in (1, 2, 3, 5) for r in (1, 2, 3, 4)}
    assert rows[5, 4].backward_macs < rows[5, 2].backward_macs < rows[5, 1].backward_macs
    assert rows[1, 1].sram_bytes < rows[5, 1].sram_bytes
