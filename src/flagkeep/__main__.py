"""The command `flagkeep`, also as `python -m flagkeep`: hands over to `cli`, if that can run."""

import sys
from typing import Final

EXTRA_MISSING: Final = 5


def main() -> int:
    """Run the command line; returns its exit code."""
    try:
        import rich  # noqa: F401, PLC0415  an extra
        import typer  # noqa: F401, PLC0415
    except ImportError as exc:
        problem = f"flagkeep: the command line needs an extra ({exc.name} is not installed)"
        print(f"{problem}: pip install 'flagkeep[cli]'", file=sys.stderr)  # noqa: T201
        return EXTRA_MISSING
    from flagkeep.cli.app import run  # noqa: PLC0415  needs both

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
