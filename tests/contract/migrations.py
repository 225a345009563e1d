"""The command that runs one operation of a migration."""

import operator
from contextlib import closing
from functools import partial
from typing import Any, Final

from flagkeep import ExecutionOrder, MigrationConfig, Result, Stage
from tests.contract import contexts, messages
from tests.contract.callbacks import post
from tests.contract.target import Target

_ORDERS: Final = {
    "serial": ExecutionOrder.SERIAL,
    "random": ExecutionOrder.RANDOM,
    "concurrent": ExecutionOrder.PARALLEL,
}


def operate(target: Target, wanted: messages.MigrationOperation) -> dict[str, Any]:
    """Read or write through a migrator; answer what came out, or the text of the error."""
    colour = target.colour
    # Each side has a thread of its own, or they could not be asked at the same time.
    with closing(colour.new_outside()) as old_side, closing(colour.new_outside()) as new_side:
        old = partial(old_side, _ask, wanted.old_endpoint)
        new = partial(new_side, _ask, wanted.new_endpoint)
        migrator = colour.migrator_type(
            target.client,
            read=MigrationConfig(old, new, operator.eq if wanted.track_consistency else None),
            write=MigrationConfig(old, new),
            read_execution_order=_ORDERS[wanted.read_execution_order],
            track_latency=wanted.track_latency,
            track_errors=wanted.track_errors,
        )
        run = getattr(migrator, wanted.operation)
        asked = (wanted.key, contexts.read(wanted), Stage(wanted.default_stage), wanted.payload)
        result = colour.settle(lambda: run(*asked))
    outcome = result.authoritative if wanted.operation == "write" else result
    return {"result": outcome.value if outcome.is_success() else outcome.error}


def _ask(uri: str, payload: str | None) -> Result:
    body = b"" if payload is None else payload.encode()
    return Result.success(post(uri, body, content_type="text/plain").decode())
