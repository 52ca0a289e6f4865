"""A plan as a picture: one self-contained HTML page, and charts as SVG files.

`chart` has the shapes, `arena`, `curve` and `tiles` make the charts, `page` adds the tables; the
templates in `codegen/picture/` print. Nothing is loaded from elsewhere and no script runs.
"""

from tinyml.emit.render import render
from tinyml.picture.arena import arena_chart
from tinyml.picture.chart import Chart
from tinyml.picture.curve import curve_chart
from tinyml.picture.page import plan_page
from tinyml.picture.tiles import tiles_chart
from tinyml.planning import Plan
from tinyml.results import PlanReport

__all__ = ["arena_chart", "chart_svg", "curve_chart", "plan_picture", "tiles_chart"]


def plan_picture(plan: Plan, report: PlanReport) -> str:
    """The page about a plan, as HTML; `report` is the same plan's."""
    return render("picture/plan.html.j2", page=plan_page(plan, report))


def chart_svg(chart: Chart) -> str:
    """A chart as an SVG file."""
    return render("picture/chart.svg.j2", chart=chart)
