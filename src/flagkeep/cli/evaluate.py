"""`flagkeep eval`: what flags evaluate to."""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from flagkeep.cli.connection import Connection, connects
from flagkeep.cli.contexts import read_contexts
from flagkeep.cli.environment import Environment, read_environment
from flagkeep.cli.failures import CommandFailed, ExitCode
from flagkeep.cli.options import AsJson, Contexts, Files, Store
from flagkeep.cli.output import emit, emit_json
from flagkeep.cli.text import as_json, printable, shortened
from flagkeep.errors import InvalidData
from flagkeep.evaluation import Result
from flagkeep.evaluation.catalog import Catalog
from flagkeep.model.codec import parse_json
from flagkeep.model.context import Context
from flagkeep.model.detail import ErrorKind, Reason, ReasonKind, error_reason


class Answer(NamedTuple):
    """One flag for one context."""

    key: str
    version: int
    context: Context
    result: Result


@connects
def evaluate_flags(
    contexts: Contexts,
    flag: Annotated[
        str | None, typer.Argument(metavar="FLAG", help="The key; or --all.", show_default=False)
    ] = None,
    *,
    store: Store = None,
    connection: Connection,
    files: Files = None,
    default: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="The value where the flag has none; text is a string."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every flag there is.")] = False,
    detail: Annotated[
        bool, typer.Option("--detail", help="Show variation, version and full reason too.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Evaluate a flag, or all of them, for one or more contexts."""
    if everything == (flag is not None):
        raise CommandFailed(ExitCode.USAGE, "name one FLAG, or give --all")
    found = read_contexts(contexts)
    environment = read_environment(store=store, connection=connection, files=files)
    keys = environment.keys() if flag is None else [flag]
    answers = [
        answer
        for key in keys
        for context in found
        if (answer := _answer(environment, key, context, is_named=flag is not None))
    ]
    fallback = _default(default)
    if json:
        emit_json([_as_object(answer, fallback) for answer in answers])
    else:
        emit(_table(answers, fallback, detail=detail))
    if any(answer.result.reason.kind is ReasonKind.ERROR for answer in answers):
        raise typer.Exit(ExitCode.FINDINGS)


def _answer(
    environment: Environment, key: str, context: Context, *, is_named: bool
) -> Answer | None:
    def evaluate(catalog: Catalog) -> Answer | None:
        compiled = catalog.flag(key)
        if compiled is None:
            return None
        try:
            result = compiled.evaluate(context, catalog)
        except RecursionError:  # a thousand prerequisites deep; a client answers the same
            result = Result(None, None, error_reason(ErrorKind.EXCEPTION))
        return Answer(key, compiled.facts.version, context, result)

    answer = environment.ask(evaluate)
    if answer is None and is_named:
        raise environment.missing(key)
    return answer


def _default(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return parse_json(text)
    except InvalidData:
        return text


def _as_object(answer: Answer, default: Any) -> dict[str, Any]:
    result = answer.result
    return {
        "flag": answer.key,
        "context": answer.context.to_dict(),
        "value": default if result.index is None else result.value,
        "variation": result.index,
        "version": answer.version,
        "reason": result.reason.to_dict(),
    }


def _table(answers: Sequence[Answer], default: Any, *, detail: bool) -> Table:
    table = Table(header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("Flag", "Context", "Value"):
        table.add_column(name, overflow="fold")
    if detail:
        table.add_column("Variation", justify="right")
        table.add_column("Version", justify="right")
    table.add_column("Why", overflow="fold")
    for answer in answers:
        result = answer.result
        is_default = result.index is None
        value = as_json(default if is_default else result.value)
        cells = [
            Text(printable(answer.key)),
            Text(shortened(printable(answer.context.fully_qualified_key))),
            Text(f"{value} (default)", "yellow") if is_default else Text(value, "green"),
        ]
        if detail:
            cells += [Text("" if is_default else str(result.index)), Text(str(answer.version))]
        reason = as_json(result.reason.to_dict()) if detail else why(result.reason)
        is_error = result.reason.kind is ReasonKind.ERROR
        table.add_row(*cells, Text(reason, "red" if is_error else ""))
    return table


def why(reason: Reason) -> str:
    """Return a reason in a few words."""
    text = reason.kind.value.replace("_", " ").lower()
    if reason.kind is ReasonKind.RULE_MATCH:
        text = f"rule {reason.rule_index}" + (f" ({reason.rule_id})" if reason.rule_id else "")
    elif reason.kind is ReasonKind.PREREQUISITE_FAILED:
        text = f"prerequisite {reason.prerequisite_key} failed"
    elif reason.error_kind is not None:
        text = f"error: {reason.error_kind.value.replace('_', ' ').lower()}"
    if reason.in_experiment:
        text += ", in experiment"
    if reason.big_segments_status is not None:
        text += f", Big Segments {reason.big_segments_status.value.replace('_', ' ').lower()}"
    return printable(text)
