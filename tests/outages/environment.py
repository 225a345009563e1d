"""The flags of the outage tests: every generation has the same keys and other values."""

import json
from collections.abc import Mapping
from typing import Any, Final

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.codec import encode_json, to_item
from flagkeep.model.context import Context
from flagkeep.model.item import Kind

USER: Final = Context.create("user-key")
FILLERS: Final = 20  # so that a reply with everything comes in more than one piece


def value(generation: int) -> str:
    """What `main` says to `USER`; finding it out takes a prerequisite and a segment."""
    return f"v{generation}"


def all_values(generation: int) -> dict[str, Any]:
    """What all flags say to `USER`."""
    fillers = {f"filler-{index}": index for index in range(FILLERS)}
    return {"main": value(generation), "base": "ready", **fillers}


def document(generation: int) -> dict[str, Any]:
    """Return flags and segments by their names, as in a file."""
    main = _flag(
        "main",
        generation,
        value(generation),
        "not in the segment",
        fallthrough={"variation": 1},
        prerequisites=[{"key": "base", "variation": 0}],
        rules=[
            {
                "id": "members",
                "variation": 0,
                "clauses": [{"attribute": "", "op": "segmentMatch", "values": ["members"]}],
            }
        ],
    )
    fillers = [_flag(f"filler-{index}", generation, index) for index in range(FILLERS)]
    members = {"key": "members", "version": generation, "included": ["user-key"], "salt": "s"}
    members |= {"excluded": [], "rules": [], "deleted": False}
    flags = [main, _flag("base", generation, "ready"), *fillers]
    return {"flags": {flag["key"]: flag for flag in flags}, "segments": {"members": members}}


def file_text(generation: int) -> str:
    """Return the text of a flag file."""
    return json.dumps(document(generation))


def change_set(generation: int) -> ChangeSet:
    """Return everything, as a store takes it."""
    items = document(generation)
    return ChangeSet(
        full=True,
        flags={
            key: to_item(Kind.FLAG, key, encode_json(item)) for key, item in items["flags"].items()
        },
        segments={
            key: to_item(Kind.SEGMENT, key, encode_json(item))
            for key, item in items["segments"].items()
        },
    )


def generation_of(flags: Mapping[str, bytes], segments: Mapping[str, bytes]) -> int | None:
    """Return which generation a store holds; None if it holds nothing or not all of one."""
    if flags.keys() != all_values(0).keys() or segments.keys() != {"members"}:
        return None
    return int(json.loads(flags["main"])["variations"][0].removeprefix("v"))


def _flag(key: str, generation: int, *values: Any, **more: Any) -> dict[str, Any]:
    return {
        "key": key,
        "version": generation,
        "on": True,
        "deleted": False,
        "salt": key,
        "targets": [],
        "rules": [],
        "prerequisites": [],
        "variations": list(values),
        "fallthrough": {"variation": 0},
        "offVariation": None,
        **more,
    }
