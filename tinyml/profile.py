"""What an inference costs on the target: per op, and in memory really touched."""

from tinyml.cycles import estimate
from tinyml.describe import arena_regions
from tinyml.emit import Project
from tinyml.link import HighWater, Progress
from tinyml.results import BankProfile, LayerProfile, ProfileReport
from tinyml.samples import draw_samples
from tinyml.verify import connected, deployed

SAMPLE = 3
"""Index of the drawn sample that is profiled: the first random one."""


def profile_project(
    project: Project, *, port: str | None, progress: Progress | None, cycles: bool = False
) -> ProfileReport:
    """Counts one inference on random input; see `pipeline.profile`."""
    model = deployed(project)
    data = draw_samples(model.imported, SAMPLE + 1, seed=0)[SAMPLE]
    with connected(project, port, counting=True) as client:
        if progress:
            progress(0, 2)
        counts = client.count(data)
        if progress:
            progress(1, 2)
        touched = client.high_water(data)
    estimated = estimate(project, data) if cycles else None
    ops = project.manifest.ops
    return ProfileReport(
        project=str(project.root),
        board=project.board.name,
        unit=counts.unit,
        total=counts.total,
        layers=tuple(
            LayerProfile(op.name, op.kind, count, op.macs)
            for op, count in zip(ops, counts.ops, strict=True)
        ),
        arena_bytes=project.manifest.arena_bytes,
        arena_bytes_touched=touched.arena_bytes + touched.more_bytes,
        stack_bytes_used=touched.stack_bytes,
        estimated_cycles=estimated.cycles if estimated else None,
        cycles_model=estimated.model if estimated else "",
        banks=_banks(project, touched),
    )


def _banks(project: Project, touched: HighWater) -> tuple[BankProfile, ...]:
    total, more = project.manifest.arena_bytes, project.manifest.more_bytes
    if not more:
        return ()
    sizes, used = (total - more, more), (touched.arena_bytes, touched.more_bytes)
    regions = arena_regions(project.board)
    return tuple(map(BankProfile, regions, sizes, used))
