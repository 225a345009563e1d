"""One way to ask each SDK for a flag: names, and the expressions that use them.

Expressions are text and not functions, so that what is timed is the call that a program would write
and no wrapper around it. `{key}` and `{context}` are filled in by the case.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Face:
    """How one SDK is asked.

    Attributes:
        names: what the expressions refer to; every face has `create` and `builder` for contexts.
        variation: evaluates one flag.
        all_flags: evaluates every flag.
        all_flags_json: the same, as the dictionary that a web page is sent; None if it has none.
        value: evaluates one flag outside of any timing.
        close: ends the client.
    """

    names: Mapping[str, object]
    variation: str
    all_flags: str
    all_flags_json: str | None
    value: Callable[[str, Any], object]
    close: Callable[[], object] = field(default=lambda: None)


def official_api(package: str) -> Callable[[Mapping[str, JsonObject]], Face]:
    """Return the maker of a face over `package`, which has the API of the official SDK."""

    def make(flags: Mapping[str, JsonObject]) -> Face:
        sdk = import_module(package)
        kinds = import_module(f"{package}.versioned_data_kind")
        store = import_module(f"{package}.feature_store").InMemoryFeatureStore()
        store.init({kinds.FEATURES: dict(flags), kinds.SEGMENTS: {}})
        config = sdk.Config("sdk-key", feature_store=store, use_ldd=True, send_events=False)
        client = sdk.LDClient(config)
        return Face(
            names={
                "variation": client.variation,
                "all_flags_state": client.all_flags_state,
                "create": sdk.Context.create,
                "builder": sdk.Context.builder,
            },
            variation="variation({key!r}, {context}, False)",
            all_flags="all_flags_state({context})",
            all_flags_json="all_flags_state({context}).to_json_dict()",
            value=lambda key, context: client.variation(key, context, None),
            close=client.close,
        )

    return make


def native_client(flags: Mapping[str, JsonObject]) -> Face:
    """Return the face of `flagkeep.Client` over a memory store in daemon mode."""
    flagkeep = import_module("flagkeep")
    store = import_module("flagkeep.stores").MemoryStore()
    store.replace(_change_set(flags))
    client = flagkeep.Client(flagkeep.Config(daemon=True), store=store)
    if not client.wait_until_ready(10):
        raise SystemExit("flagkeep.Client did not become ready")
    return Face(
        names={
            "variation": client.variation,
            "all_flags": client.all_flags,
            "create": flagkeep.Context.create,
            "builder": flagkeep.Context.builder,
        },
        variation="variation({key!r}, {context}, False)",
        all_flags="all_flags({context})",
        all_flags_json="all_flags({context}).to_dict()",
        value=lambda key, context: client.variation(key, context, None),
        close=client.close,
    )


def evaluation_door(flags: Mapping[str, JsonObject]) -> Face:
    """Return the face of the evaluator alone, without a client around it."""
    evaluation = import_module("flagkeep.evaluation")
    codec = import_module("flagkeep.model.codec")
    context = import_module("flagkeep.model.context").Context
    compiled = {
        key: evaluation.compile_flag(codec.decode_flag(json.dumps(flag).encode()))
        for key, flag in flags.items()
    }
    inputs = evaluation.Inputs(flags={}, segments={}, complete=True)
    evaluate = evaluation.evaluate
    return Face(
        names={
            "evaluate": evaluate,
            "compiled": compiled,
            "inputs": inputs,
            "every": lambda asked: [evaluate(flag, asked, inputs) for flag in compiled.values()],
            "create": context.create,
            "builder": context.builder,
        },
        variation="evaluate(compiled[{key!r}], {context}, inputs)",
        all_flags="every({context})",
        all_flags_json=None,
        value=lambda key, context: evaluate(compiled[key], context, inputs).value,
    )


def _change_set(flags: Mapping[str, JsonObject]) -> object:
    changeset = import_module("flagkeep.model.changeset")
    item = import_module("flagkeep.model.item").SerializedItem
    items = {
        key: item(version=flag["version"], deleted=False, data=json.dumps(flag).encode())
        for key, flag in flags.items()
    }
    return changeset.ChangeSet(full=True, flags=items, segments={})


FACES: Final[Mapping[str, Callable[[Mapping[str, JsonObject]], Face]]] = {
    "official": official_api("ldclient"),
    "evaluate": evaluation_door,
    "client": native_client,
    "ldclient": official_api("flagkeep.ldclient"),
}
