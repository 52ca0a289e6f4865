"""Plans to C projects."""

from tinyml.emit.package import write_package
from tinyml.emit.project import Project, emit, open_project

__all__ = ["Project", "emit", "open_project", "write_package"]
