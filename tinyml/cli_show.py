"""Where the command line prints: results to standard output, the rest to standard error."""

import json
from collections.abc import Callable
from typing import TypeVar

from rich.console import Console

from tinyml.results import Result

OUTPUT = Console()
ERRORS = Console(stderr=True)

_T = TypeVar("_T", bound=Result)


def show(result: _T, printer: Callable[[Console, _T], None], as_json: bool) -> None:
    """Prints a result for people, or as the one JSON object that `--json` promises."""
    if as_json:
        print(json.dumps(result.to_json(), indent=2, allow_nan=False))
    else:
        printer(OUTPUT, result)
