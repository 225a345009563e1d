"""Flag data for tests of the service."""

from typing import Any

from tests.contract.driver import Json


def flag(key: str, *variations: Any, **more: Any) -> Json:
    """A flag that is on and gives everybody its last variation."""
    last = len(variations) - 1
    body = {"on": True, "version": 1, "variations": variations, "fallthrough": {"variation": last}}
    return {"key": key, **body, **more}


def flags(*those: Json, segments: tuple[Json, ...] = ()) -> Json:
    return {
        "flags": {one["key"]: one for one in those},
        "segments": {one["key"]: one for one in segments},
    }


STAGES = ("off", "dualwrite", "shadow", "live", "rampdown", "complete")

DATA = flags(
    flag("bool", False, True, clientSideAvailability={"usingEnvironmentId": True}),
    flag("number", 1, 3.7, trackEvents=True),
    flag("text", "a", "b"),
    flag("object", {"a": [1]}),
    flag("mail", "no", "yes", rules=[
        {"id": "r", "variation": 0, "clauses": [
            {"attribute": "email", "op": "in", "values": ["a@b.c"]},
        ]},
    ]),
    *(flag(f"stage-{stage}", stage) for stage in STAGES),
)  # fmt: skip


BIG = {"key": "big", "version": 1, "unbounded": True, "generation": 2}
IN_BIG = flag("in-big", "in", "out", rules=[
    {"id": "r", "variation": 0, "clauses": [
        {"attribute": "", "op": "segmentMatch", "values": ["big"]},
    ]},
])  # fmt: skip
