"""What each command of the harness does with a client."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from flagkeep import Stage
from tests.contract import contexts, messages, migrations
from tests.contract.target import Target

FLUSH_TIMEOUT: Final = 1.0  # the answer shall come after the events, but not wait for a new try

_METHODS: Final[dict[messages.ValueType, str]] = {
    "bool": "bool_variation",
    "int": "int_variation",
    "double": "float_variation",
    "string": "str_variation",
    "any": "variation",
}


class UnknownCommand(Exception):
    """There is no such command, or what it needs is missing."""


def carry_out(target: Target, command: messages.Command) -> Any:
    """Do what a command says, and return its answer; None is an empty one.

    Raises:
        UnknownCommand: there is no such command, or it came without its arguments.
    """
    name = command.command
    if name in _WITHOUT_ARGUMENTS:
        return _WITHOUT_ARGUMENTS[name](target)
    if name not in _WITH_ARGUMENTS:
        raise UnknownCommand(f"there is no command {name!r}")
    field, do = _WITH_ARGUMENTS[name]
    arguments = getattr(command, field)
    if arguments is None:
        raise UnknownCommand(f"{name!r} came without its arguments")
    return do(target, arguments)


def _evaluate(target: Target, wanted: messages.Evaluate) -> dict[str, Any]:
    method = _METHODS[wanted.value_type]
    asked = (wanted.flag_key, contexts.read(wanted), wanted.default_value)
    if not wanted.detail:
        return {"value": target.call(method, *asked)}
    found = target.call(f"{method}_detail", *asked)
    reason = found.reason.to_dict()
    return {"value": found.value, "variationIndex": found.index, "reason": reason}


def _evaluate_all(target: Target, wanted: messages.EvaluateAll) -> dict[str, Any]:
    state = target.call(
        "all_flags",
        contexts.read(wanted),
        client_side_only=bool(wanted.client_side_only),
        with_reasons=bool(wanted.with_reasons),
        details_only_for_tracked_flags=bool(wanted.details_only_for_tracked_flags),
    )
    return {"state": state.to_dict()}


def _identify(target: Target, wanted: messages.About) -> None:
    target.call("identify", contexts.read(wanted))


def _track(target: Target, wanted: messages.CustomEvent) -> None:
    asked = (wanted.event_key, contexts.read(wanted))
    if wanted.metric_value is not None:
        target.call("track", *asked, data=wanted.data, metric_value=wanted.metric_value)
    elif wanted.data is not None or not wanted.omit_null_data:
        target.call("track", *asked, data=wanted.data)
    else:
        target.call("track", *asked)


def _flush(target: Target) -> None:
    target.call("flush", FLUSH_TIMEOUT)


def _secure_mode_hash(target: Target, wanted: messages.About) -> dict[str, str]:
    return {"result": target.call("secure_mode_hash", contexts.read(wanted))}


def _big_segment_status(target: Target) -> dict[str, bool]:
    status = target.call("big_segment_status")
    return {"available": status.available, "stale": status.stale}


def _migration_variation(target: Target, wanted: messages.MigrationVariation) -> dict[str, str]:
    default = Stage(wanted.default_stage)
    stage, _ = target.call("migration", wanted.key, contexts.read(wanted), default)
    return {"result": stage.value}


_WITHOUT_ARGUMENTS: Final[dict[str, Callable[[Target], Any]]] = {
    "flushEvents": _flush,
    "getBigSegmentStoreStatus": _big_segment_status,
}

_WITH_ARGUMENTS: Final[dict[str, tuple[str, Callable[[Target, Any], Any]]]] = {
    "evaluate": ("evaluate", _evaluate),
    "evaluateAll": ("evaluate_all", _evaluate_all),
    "identifyEvent": ("identify_event", _identify),
    "customEvent": ("custom_event", _track),
    "secureModeHash": ("secure_mode_hash", _secure_mode_hash),
    "contextBuild": ("context_build", lambda _, wanted: contexts.build(wanted)),
    "contextConvert": ("context_convert", lambda _, wanted: contexts.convert(wanted)),
    "contextComparison": ("context_comparison", lambda _, wanted: contexts.compare(wanted)),
    "migrationVariation": ("migration_variation", _migration_variation),
    "migrationOperation": ("migration_operation", migrations.operate),
}

COMMANDS: Final = frozenset({*_WITHOUT_ARGUMENTS, *_WITH_ARGUMENTS})


def read_command(body: bytes) -> messages.Command:
    """Read a command.

    Raises:
        msgspec.MsgspecError: it is not JSON, or has a member of the wrong type.
    """
    return msgspec.json.decode(body, type=messages.Command)
