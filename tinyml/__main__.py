"""Where the `tinyml` command starts: `python -m tinyml` is the same."""

import sys


def main() -> None:
    """Run the command line; a package that is not installed is one clear line, not a traceback."""
    try:
        from tinyml import cli
    except ModuleNotFoundError as problem:
        if problem.name is None or problem.name.partition(".")[0] == "tinyml":
            raise
        print(f"error: the Python package '{problem.name}' is missing", file=sys.stderr)
        print(f"try: {sys.executable} -m pip install --force-reinstall tinyml", file=sys.stderr)
        sys.exit(3)
    cli.main()


if __name__ == "__main__":
    main()
