"""`flagkeep explain`: why a flag has its value."""

from typing import Annotated

import msgspec
import typer

from flagkeep.cli.connection import Connection, connects
from flagkeep.cli.contexts import read_contexts
from flagkeep.cli.environment import Environment, read_environment
from flagkeep.cli.explain_tree import tree_of
from flagkeep.cli.failures import CommandFailed, ExitCode
from flagkeep.cli.options import AsJson, Contexts, Files, Store
from flagkeep.cli.output import emit, emit_json
from flagkeep.evaluation.explain import explain_flag
from flagkeep.evaluation.explanation import FlagExplanation
from flagkeep.model.context import Context
from flagkeep.model.detail import ReasonKind


@connects
def explain(
    flag: Annotated[str, typer.Argument(metavar="FLAG", help="The key.", show_default=False)],
    contexts: Contexts,
    *,
    store: Store = None,
    connection: Connection,
    files: Files = None,
    json: AsJson = False,
) -> None:
    """Show what decided: prerequisite, target, rule, clause, segment, bucket."""
    found = read_contexts(contexts)
    environment = read_environment(store=store, connection=connection, files=files)
    explained = [(one, _explained(environment, flag, one)) for one in found]
    if json:
        emit_json(
            [
                {"context": context.to_dict(), **msgspec.to_builtins(explanation)}
                for context, explanation in explained
            ]
        )
    else:
        emit(*(tree_of(explanation, context) for context, explanation in explained))
    if any(one.reason["kind"] == ReasonKind.ERROR for _, one in explained):
        raise typer.Exit(ExitCode.FINDINGS)


def _explained(environment: Environment, key: str, context: Context) -> FlagExplanation:
    def explain_it(_: object) -> FlagExplanation | None:
        case = environment.case(context)
        model = case.flag(key)
        return None if model is None else explain_flag(model, case)

    try:
        explanation = environment.ask(explain_it)
    except RecursionError:
        problem = f"flag {key!r} is too deep to explain: prerequisites of hundreds of levels"
        raise CommandFailed(ExitCode.FINDINGS, problem) from None
    if explanation is None:
        raise environment.missing(key)
    return explanation
