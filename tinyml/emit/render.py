"""Jinja2 with the project's settings: a missing name is an error, statements leave no lines."""

from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tinyml.resources import codegen_dir


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(codegen_dir()),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def render(template: str, **values: Any) -> str:
    """The text of a template (its path below `codegen/`) with `values` filled in."""
    return _environment().get_template(template).render(**values)
