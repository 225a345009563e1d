"""The command `flagkeep`: its commands, and how every one of them ends."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from flagkeep.cli.evaluate import evaluate_flags
from flagkeep.cli.explain import explain
from flagkeep.cli.failures import CommandFailed, ExitCode, as_failure
from flagkeep.cli.lint import lint
from flagkeep.cli.output import complain, warnings_as_complaints
from flagkeep.cli.store import store_app
from flagkeep.errors import FlagkeepError
from flagkeep.version import VERSION

EXIT_CODES: Final = """\b
Exit codes:
  0    fine
  1    something was found: lint errors, bad items, a failed evaluation; or you said no
  2    wrong usage: an option, a context, a store URL; or --yes is missing
  3    there is no such flag or segment
  4    a store or file cannot be used
  5    an extra is not installed
  130  interrupted
  141  nobody read the output to its end"""

_DESCRIPTION: Final = f"""Feature flags, from a store or from files.

{EXIT_CODES}
"""

# The base of every complaint about usage; which module it is in depends on the version of typer.
_UsageError: Final[type[Exception]] = typer.BadParameter.__bases__[0]

app: Final = typer.Typer(
    name="flagkeep",
    help=_DESCRIPTION,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("eval")(evaluate_flags)
app.command("explain")(explain)
app.command("lint")(lint)
app.add_typer(store_app, name="store")


def _show_version(is_wanted: bool) -> None:  # noqa: FBT001  typer hands the option's value over
    if is_wanted:
        typer.echo(f"flagkeep {VERSION}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    *,
    version: Annotated[  # noqa: ARG001  the callback has done it
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(ExitCode.USAGE)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; errors go to stderr, a line each."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets its code instead of a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        with warnings_as_complaints():
            code = _invoke(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered must not fail once more when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.PIPE_CLOSED
    return code


def _invoke(arguments: Sequence[str]) -> int:
    command = typer.main.get_command(app)
    try:
        with command.make_context("flagkeep", list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as exc:
        return exc.exit_code
    except (KeyboardInterrupt, typer.Abort):
        complain("interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        raise
    except CommandFailed as exc:
        return _fail(exc)
    except (FlagkeepError, OSError) as exc:
        return _fail(as_failure(exc))
    except _UsageError as exc:
        return _fail(CommandFailed(ExitCode.USAGE, _usage_problem(exc)))
    return ExitCode.FINE


def _fail(failure: CommandFailed) -> int:
    complain(failure.problem)
    return failure.code


def _usage_problem(error: BaseException) -> str:
    problem = str(getattr(error, "format_message", error.__str__)()).rstrip(".")
    context = getattr(error, "ctx", None)
    command = getattr(context, "command_path", "flagkeep")
    return f"{problem}: see {command} --help"
