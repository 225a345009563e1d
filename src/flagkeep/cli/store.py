"""The commands `flagkeep store …`, which look at a store or change it as a whole."""

from typing import Final

import typer

from flagkeep.cli.failures import ExitCode
from flagkeep.cli.store_clear import clear
from flagkeep.cli.store_dump import dump
from flagkeep.cli.store_items import get, list_items
from flagkeep.cli.store_load import load
from flagkeep.cli.store_status import status

store_app: Final = typer.Typer(
    help="Look at a store, copy it to a file and back, clear it.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
store_app.command("status")(status)
store_app.command("get")(get)
store_app.command("list")(list_items)
store_app.command("dump")(dump)
store_app.command("load")(load)
store_app.command("clear")(clear)


@store_app.callback(invoke_without_command=True)
def _start(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(ExitCode.USAGE)
