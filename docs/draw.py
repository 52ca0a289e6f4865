"""Draws the pictures of `planning.md` into `docs/pictures/`, from plans of real networks.

    make pictures

The digits network is in the repository; MobileNetV2 comes from `benchmarks/mobilenet_v2.py`, in
`build/mobilenet_v2_224.tflite`. Pictures of a model that is not there are left as they are.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from tinyml import describe
from tinyml.board import load_board
from tinyml.choose import choose
from tinyml.options import PlanOptions
from tinyml.picture import arena_chart, chart_svg, curve_chart, tiles_chart
from tinyml.picture.chart import Chart, Mark, Text, box, text
from tinyml.planning import Plan
from tinyml.results import PlanReport
from tinyml.schedule.schedule import FEED
from tinyml.verify import deployed_graph

HERE = Path(__file__).resolve().parent
PICTURES = HERE / "pictures"
DIGITS = HERE.parent / "examples" / "digits" / "digits_int8.tflite"
MOBILENET = HERE.parent / "build" / "mobilenet_v2_224.tflite"
BOARD = "qemu-cortex-m7"


def main() -> int:
    """Draws all that can be drawn; 1 if a model was missing."""
    PICTURES.mkdir(exist_ok=True)
    missing = [model for model in (DIGITS, MOBILENET) if not model.exists()]
    for model in missing:
        print(f"not there, its pictures stay as they are: {model}", file=sys.stderr)
    drawn = [] if DIGITS in missing else list(digits_pictures())
    drawn += [] if MOBILENET in missing else list(mobilenet_pictures())
    for name, chart in drawn:
        (PICTURES / f"{name}.svg").write_text(chart_svg(chart), encoding="utf-8")
        print(f"{name}.svg: {chart.title}")
    return 1 if missing else 0


def digits_pictures() -> Iterator[tuple[str, Chart]]:
    """The network of the demo."""
    rows, _ = planned(DIGITS, PlanOptions(schedule="stream", feed="rows"))
    yield "program", program_chart(rows)
    yield "digits-layers", arena_chart(planned(DIGITS, PlanOptions(schedule="layer"))[0])


def mobilenet_pictures() -> Iterator[tuple[str, Chart]]:
    """MobileNetV2 1.0 at 224x224."""
    yield "mobilenet-layers", arena_chart(planned(MOBILENET, PlanOptions(schedule="layer"))[0])
    yield "mobilenet-rows", arena_chart(planned(MOBILENET, PlanOptions(feed="rows"))[0])
    pulled, _ = planned(MOBILENET, PlanOptions(feed="pull", macs_limit=1.04))
    yield "mobilenet-pull", arena_chart(pulled)
    for index, segment in enumerate(pulled.schedule.segments):
        if segment.bands:
            yield "mobilenet-tiles", tiles_chart(pulled, index)
            break
    yield "mobilenet-tradeoff", curve_chart(planned(MOBILENET, PlanOptions(feed="pull"))[1])


def planned(model: Path, options: PlanOptions) -> tuple[Plan, PlanReport]:
    """A plan, and what is reported of it."""
    board, graph = load_board(BOARD), deployed_graph(model, options.deployed_io)
    choice = choose(graph, board, options)
    relative = model.relative_to(HERE.parent)
    return choice.taken.plan, describe.plan_report(relative, board, graph, choice)


def program_chart(plan: Plan) -> Chart:
    """The first stream of a plan: which operator computes which row, step by step."""
    segment = next(each for each in plan.schedule.segments if each.program)
    kinds = {node.name: node.op.kind.lower() for node in plan.graph.nodes}
    outputs = {node.name: node.outputs[0] for node in plan.graph.nodes}
    rings = plan.schedule.ring_rows
    lanes = [FEED, *range(len(segment.nodes))] if FEED in segment.program else []
    lanes = lanes or [*range(len(segment.nodes))]
    left, cell, height = 190.0, 18.0, 26.0
    marks: list[Mark] = []
    texts: list[Text] = []
    for lane, place in enumerate(lanes):
        name = "input comes" if place == FEED else kinds[segment.nodes[place]]
        tensor = plan.graph.inputs[0] if place == FEED else outputs[segment.nodes[place]]
        held = f", holds {rings[tensor]}" if tensor in rings else ", stored whole"
        texts.append(text("caption", left - 8, 34 + lane * height, name + held))
    done = dict.fromkeys(lanes, 0)
    for tick, place in enumerate(segment.program):
        tensor = plan.graph.inputs[0] if place == FEED else outputs[segment.nodes[place]]
        slot = done[place] % rings[tensor] if tensor in rings else 0
        style = f"ring shade-{slot % 3}" if tensor in rings else "tensor shade-0"
        x, y = left + tick * cell, 18 + lanes.index(place) * height
        marks.append(Mark(style, box(x, y, x + cell - 1, y + height - 6)))
        ink = "inside" if tensor in rings else "inside on-tensor"
        texts.append(text(ink, x + 4, y + 14, str(done[place])))
        done[place] += 1
    width = round(left + len(segment.program) * cell + 12)
    title = f"The program of a stream of {plan.graph.name}: from left to right, rows as they come"
    return Chart(title, width, round(30 + len(lanes) * height), tuple(marks), tuple(texts))


if __name__ == "__main__":
    sys.exit(main())
