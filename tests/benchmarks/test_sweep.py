"""The sweep on the digits network: budgets lead to the plans that they should."""

from benchmarks.sweep import Refusal, Row, Task, sweep, table, tasks
from tests.cli.conftest import DIGITS
from tinyml import pipeline


def test_each_budget_gets_the_least_work_that_fits() -> None:
    front = pipeline.plan(DIGITS, "host", io="int8").pareto
    least = min(point.arena_bytes for point in front)
    budgets = [least - 8, least, least + 8, 1 << 20]
    found = list(tasks(DIGITS, ["host"], "whole", budgets))
    refused = [task for task in found if isinstance(task, Refusal)]
    assert [(task.budgets, task.least) for task in refused] == [((least - 8,), least)]
    for task in found[len(refused) :]:
        assert isinstance(task, Task) and task.plan.arena_bytes <= task.budgets[0]
    served = [budget for task in found[len(refused) :] for budget in task.budgets]
    assert sorted(served) == budgets[1:]


def test_sweep_measures_what_was_planned() -> None:
    rows = sweep([DIGITS], ["host"], ["whole"], [8, 1 << 20], inputs=1)
    refusal, row = rows
    assert isinstance(refusal, Refusal) and isinstance(row, Row)
    assert row.bit_exact and row.count > 0 and row.unit == "nanoseconds"
    assert row.task.plan.arena_bytes <= row.task.budgets[0] == 1 << 20
    text = table(rows)
    assert "no plan" in text and "| 1M |" in text
    assert len({line.count("|") for line in text.splitlines()}) == 1
