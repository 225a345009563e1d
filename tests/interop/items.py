"""The flags and segments that are compared: every feature of the data model once.

Left out is what a peer is known to get wrong in a way that says nothing about stores (stores spec,
section 15): seed 0, attributes whose names begin with a slash, `bucketBy` beyond 32 bits.
"""

from typing import Any, Final

Json = dict[str, Any]

# What is deleted in the course of events; no reader may find it.
DELETED_FLAGS: Final = ("gone", "gone-größe-日本", "never-was")
DELETED_SEGMENTS: Final = ("gone-segment", "never-was-segment")
DELETED_AT: Final = 7
# What every feed ends with; when it is there, so is everything before it.
LAST: Final = "the-end"

NO, YES = 0, 1


def flag(key: str, **more: Any) -> Json:
    """Return a flag that says "no" to everybody, with all that the strictest reader demands."""
    return {
        "key": key,
        "version": 3,
        "deleted": False,
        "on": True,
        "variations": ["no", "yes", "off"],
        "fallthrough": {"variation": NO},
        "offVariation": 2,
        "prerequisites": [],
        "targets": [],
        "contextTargets": [],
        "rules": [],
        "salt": f"salt of {key}",
        "trackEvents": False,
        "trackEventsFallthrough": False,
        "debugEventsUntilDate": None,
        "clientSide": False,
        **more,
    }


def ruled(key: str, *clauses: Json, **more: Any) -> Json:
    """Return a flag that says "yes" to those whom all clauses match."""
    rule = {"id": f"rule of {key}", "clauses": list(clauses), "variation": YES}
    return flag(key, rules=[{**rule, "trackEvents": False}], **more)


def clause(attribute: str, op: str, *values: Any, kind: str | None = None, **more: Any) -> Json:
    """Return a clause; without a kind the attribute is a plain name of a user."""
    where = {} if kind is None else {"contextKind": kind}
    return (
        {"attribute": attribute, "op": op, "values": list(values), "negate": False} | where | more
    )


def in_segment(*keys: str, **more: Any) -> Json:
    """Return a clause that asks for membership in one of the segments."""
    return clause("", "segmentMatch", *keys, **more)


def split(*weights: int, **more: Any) -> Json:
    """Return a rollout over the variations in order, in thousandths of a percent."""
    parts = [{"variation": index, "weight": weight} for index, weight in enumerate(weights)]
    return {"rollout": {"variations": parts, **more}}


def segment(key: str, **more: Any) -> Json:
    """Return a segment that holds nobody."""
    return {
        "key": key,
        "version": 3,
        "deleted": False,
        "included": [],
        "excluded": [],
        "includedContexts": [],
        "excludedContexts": [],
        "salt": f"salt of {key}",
        "rules": [],
        **more,
    }


def segment_rule(*clauses: Json, **more: Any) -> Json:
    """Return a rule of a segment."""
    return {"id": "r", "clauses": list(clauses), **more}


CLAUSES: Final[dict[str, list[Json]]] = {
    "in-strings": [clause("country", "in", "de", "jp", "österreich")],
    "in-numbers": [clause("n", "in", 1, 2.5, -3)],
    "in-mixed": [clause("n", "in", "1", True, 2.5)],
    "in-object": [clause("address", "in", {"city": "Köln", "geo": {"zone": 5}})],
    "in-array-of-context": [clause("tags", "in", "beta")],
    "starts-with": [clause("email", "startsWith", "amal@", "ömer@")],
    "ends-with": [clause("email", "endsWith", ".org", "例.jp")],
    "contains": [clause("email", "contains", "@ex")],
    "matches": [clause("email", "matches", "^[a-z]+@ex.*\\.(com|org)$", "[")],
    "less-than": [clause("n", "lessThan", 2)],
    "less-than-or-equal": [clause("n", "lessThanOrEqual", 2.5)],
    "greater-than": [clause("n", "greaterThan", 2.5)],
    "greater-than-or-equal": [clause("n", "greaterThanOrEqual", 2.5)],
    "before": [clause("since", "before", "2024-01-01T00:00:00Z")],
    "after-in-ms": [clause("since", "after", 1704067200000)],
    "after-with-offset": [clause("since", "after", "2023-12-31T16:59:59.500-07:00")],
    "semver-equal": [clause("app", "semVerEqual", "2.0.0")],
    "semver-less-than": [clause("app", "semVerLessThan", "2.0")],
    "semver-greater-than": [clause("app", "semVerGreaterThan", "2.0.0-rc.2")],
    "unknown-operator": [clause("country", "resembles", "de")],
    "unknown-operator-negated": [clause("country", "resembles", "de", negate=True)],
    "negated": [clause("country", "in", "de", "jp", negate=True)],
    "absent-negated": [clause("nothing", "in", "x", negate=True)],
    "no-values": [clause("country", "in")],
    "two-clauses": [clause("country", "in", "de", "fr"), clause("n", "greaterThan", 1)],
    "by-key": [clause("key", "in", "user-3", "größe-7", "日本-11", "a<b>&'c'=\"d\"")],
    "by-name": [clause("name", "startsWith", "Amal", "Ω")],
    "by-anonymous": [clause("anonymous", "in", True)],
    "by-kind": [clause("kind", "in", "org", "device")],
    "by-kind-negated": [clause("kind", "in", "user", negate=True)],
    "by-reference": [clause("/address/geo/zone", "greaterThan", 4, kind="user")],
    "by-escaped-reference": [clause("/odd~1name~0", "in", "x", kind="user")],
    "by-reference-to-nothing": [clause("/address/street", "in", "x", kind="user", negate=True)],
    "of-org": [clause("region", "in", "eu", "亚洲", kind="org")],
    "of-org-negated": [clause("region", "in", "eu", kind="org", negate=True)],
    "of-device": [clause("os/name", "in", "linux", kind="device")],
    "non-ascii-attribute": [clause("größe", "greaterThan", 170)],
    "html": [clause("motto", "in", '<b>R&D\'s "best" = 1</b>', "line\nbreak\ttab\u2028")],
    "astral": [clause("mood", "in", "😀", "👩‍💻")],
    "bad-reference": [clause("//", "in", "x", kind="user")],
    "in-segment": [in_segment("listed")],
    "in-segment-negated": [in_segment("listed", negate=True)],
    "in-one-of-segments": [in_segment("nobody", "no-such-segment", "listed", "of-orgs")],
    "in-unknown-segment": [in_segment("no-such-segment")],
    "in-deleted-segment": [in_segment(DELETED_SEGMENTS[0])],
    "not-in-deleted-segment": [in_segment(DELETED_SEGMENTS[1], negate=True)],
    "in-segment-of-contexts": [in_segment("of-orgs")],
    "in-segment-by-rule": [in_segment("by-rule")],
    "in-segment-by-weight": [in_segment("by-weight")],
    "in-segment-by-weight-of-attribute": [in_segment("by-weight-of-attribute")],
    "in-segment-by-weight-of-org": [in_segment("by-weight-of-org")],
    "in-nested-segment": [in_segment("outer")],
    "in-non-ascii-segment": [in_segment("größe-日本-😀")],
    "in-changed-segment": [in_segment("changed-segment")],
    "in-big-segment": [in_segment("big")],
    "in-big-segment-never-made": [in_segment("big-never-made")],
}

OUTCOMES: Final[dict[str, Json]] = {
    "certain": {"variation": YES},
    "rollout": split(20_000, 30_000, 50_000),
    "rollout-of-kind-rollout": split(50_000, 50_000, kind="rollout"),
    "rollout-by-text": split(33_333, 33_333, 33_334, bucketBy="email"),
    "rollout-by-number": split(33_333, 33_333, 33_334, bucketBy="size"),
    "rollout-by-whole-float": split(33_333, 33_333, 33_334, bucketBy="whole"),
    "rollout-by-nothing": split(50_000, 50_000, bucketBy="nothing"),
    "rollout-by-city": split(20_000, 80_000, bucketBy="/address/city", contextKind="user"),
    "rollout-of-org": split(50_000, 50_000, contextKind="org"),
    "rollout-of-org-from-zero": split(0, 50_000, 50_000, contextKind="org"),
    "rollout-with-seed": split(50_000, 50_000, seed=61),
    "rollout-too-short": split(10_000, 10_000),
    "experiment": split(50_000, 50_000, kind="experiment", seed=61),
    "experiment-without-seed": split(50_000, 50_000, kind="experiment"),
    "experiment-of-org": split(40_000, 60_000, kind="experiment", seed=7, contextKind="org"),
    "experiment-by": split(50_000, 50_000, kind="experiment", seed=2_147_483_647, bucketBy="n"),
    "experiment-untracked": {
        "rollout": {
            "kind": "experiment",
            "seed": 61,
            "variations": [
                {"variation": 0, "weight": 10_000},
                {"variation": 1, "weight": 20_000, "untracked": False},
                {"variation": 0, "weight": 70_000, "untracked": True},
            ],
        }
    },
    "neither": {},
    "empty-rollout": split(),
}

VALUES: Final[dict[str, list[Any]]] = {
    "booleans": [True, False],
    "strings": ["größe", "日本 😀 <b>&'=\"\\ \u2028 \x7f", ""],
    "integers": [0, -1, 9007199254740991],
    "floats": [0.1, -2.5e-7, 1e21],
    "whole-floats": [3.0, 1e3, -0.0],
    "objects": [{"a": [1, {"b": None}], "ä": {}}, {}, {"deleted": True, "version": 9}],
    "lists": [[], [1, "1", True, None, [2]], [{"x": {}}]],
    "nulls": [None, 1, None],
    "mixed": ["1", 1, True],
}

PREREQUISITES: Final[dict[str, list[tuple[str, int]]]] = {
    "needs-rollout": [("rollout", NO)],
    "needs-two": [("rule-in-strings", YES), ("rollout", NO)],
    "needs-chain": [("needs-two", NO)],
    "needs-longer-chain": [("needs-chain", NO), ("booleans", NO)],
    "needs-non-ascii": [("größe/日本 😀 <&>", YES)],
    "needs-missing": [("no-such-flag", NO)],
    "needs-deleted": [(DELETED_FLAGS[0], NO)],
    "needs-never-was": [(DELETED_FLAGS[2], NO)],
    "needs-off": [("off", 2)],
    "needs-malformed": [("fallthrough-out-of-range", NO)],
    "needs-itself": [("needs-itself", NO)],
    "cycle-1": [("cycle-2", NO)],
    "cycle-2": [("cycle-1", NO)],
    "needs-revived": [("revived", YES)],
}

# Each a flag of its own: what has no place in the tables above.
SINGLE: Final[list[Json]] = [
    flag("off", on=False),
    flag("off-without-variation", on=False, offVariation=None),
    flag("off-out-of-range", on=False, offVariation=9),
    flag("off-with-everything", on=False, prerequisites=[{"key": "rollout", "variation": 1}]),
    flag("no-variations", variations=[]),
    flag("fallthrough-out-of-range", fallthrough={"variation": 9}),
    flag("prerequisite-fails-without-off", offVariation=None)
    | {"prerequisites": [{"key": "no-such-flag", "variation": NO}]},
    flag(
        "targets",
        targets=[
            {"variation": YES, "values": ["user-1", "user-2", "größe-7", "日本-11"]},
            {"variation": 2, "values": ["user-2", "user-5", "a<b>&'c'=\"d\""]},
        ],
    ),
    flag(
        "context-targets",
        targets=[{"variation": YES, "values": ["user-1", "user-4"]}],
        contextTargets=[
            {"contextKind": "org", "variation": 2, "values": ["org-1", "größe-gmbh"]},
            {"contextKind": "user", "variation": YES, "values": []},
            {"contextKind": "device", "variation": NO, "values": ["device-0"]},
        ],
    ),
    flag("target-out-of-range", targets=[{"variation": 9, "values": ["user-1"]}]),
    flag(
        "many-targets",
        targets=[{"variation": YES, "values": [f"user-{n}" for n in range(0, 600, 3)]}],
    ),
    flag("rule-without-clauses", rules=[{"id": "r", "clauses": [], "variation": YES}]),
    flag("rule-without-id", rules=[{"clauses": [], "variation": YES}]),
    flag("rule-out-of-range", rules=[{"id": "r", "clauses": [], "variation": 9}]),
    flag("rule-without-outcome", rules=[{"id": "r", "clauses": []}]),
    flag(
        "several-rules",
        rules=[
            {"id": "1", "clauses": [clause("country", "in", "de")], "variation": YES},
            {"id": "2", "clauses": [in_segment("by-rule")], **split(50_000, 50_000)},
            {
                "id": "3",
                "clauses": [clause("region", "in", "eu", kind="org")],
                **split(10_000, 90_000, kind="experiment", seed=5, contextKind="org"),
                "trackEvents": True,
            },
        ],
    ),
    flag("tracked", trackEvents=True, debugEventsUntilDate=4102444800000),
    flag("tracked-fallthrough", trackEventsFallthrough=True, fallthrough={"variation": YES}),
    flag("sampled", samplingRatio=5, excludeFromSummaries=True, trackEvents=True),
    flag("client-side", clientSide=True)
    | {"clientSideAvailability": {"usingMobileKey": False, "usingEnvironmentId": True}},
    flag("mobile", clientSideAvailability={"usingMobileKey": True, "usingEnvironmentId": False}),
    flag(
        "migration",
        variations=["off", "dualwrite", "shadow", "live", "rampdown", "complete"],
        fallthrough=split(10_000, 10_000, 20_000, 20_000, 20_000, 20_000),
        migration={"checkRatio": 3},
        offVariation=0,
    ),
    flag("migration-without-ratio", variations=["shadow", "live"], migration={}, offVariation=0),
    flag(
        "unknown-properties",
        futureList=[1, {"deep": [True]}],
        futureText="größe <&>",
        futureNumber=1.5,
        rules=[
            {
                "id": "r",
                "variation": YES,
                "clauses": [{**clause("country", "in", "de"), "futureClause": {"a": 1}}],
                "futureRule": "x",
            }
        ],
        fallthrough={"variation": NO, "futureFallthrough": [1]},
    ),
    ruled("größe/日本 😀 <&>", clause("country", "in", "de", "jp")),
    flag("spaces and: colons", fallthrough={"variation": YES}),
    flag("$inited", fallthrough={"variation": YES}),
    flag("kept", version=5, fallthrough={"variation": YES}),
    flag("changed"),
    flag("revived"),
    *(flag(key, version=DELETED_AT - 1) for key in DELETED_FLAGS[:2]),
]

SEGMENTS: Final[list[Json]] = [
    segment("nobody"),
    segment("listed", included=["user-1", "user-2", "größe-7"], excluded=["user-2", "user-3"]),
    segment(
        "of-orgs",
        includedContexts=[{"contextKind": "org", "values": ["org-1", "größe-gmbh"]}],
        excludedContexts=[{"contextKind": "device", "values": ["device-0", "device-1"]}],
        rules=[segment_rule(clause("os/name", "in", "linux", kind="device"))],
    ),
    segment(
        "by-rule",
        excluded=["user-3"],
        rules=[
            segment_rule(clause("country", "in", "jp"), clause("n", "greaterThan", 0)),
            segment_rule(clause("email", "endsWith", ".org", negate=True)),
        ],
    ),
    segment("by-weight", rules=[segment_rule(clause("key", "contains", ""), weight=40_000)]),
    segment(
        "by-weight-of-attribute",
        rules=[segment_rule(clause("key", "contains", ""), weight=50_000, bucketBy="email")],
    ),
    segment(
        "by-weight-of-org",
        rules=[
            segment_rule(
                clause("kind", "in", "org", "user"),
                weight=60_000,
                rolloutContextKind="org",
                bucketBy="region",
            )
        ],
    ),
    segment("outer", rules=[segment_rule(in_segment("middle"), clause("n", "greaterThan", 0))]),
    segment("middle", rules=[segment_rule(in_segment("listed", "by-weight"))]),
    segment("größe-日本-😀", included=["日本-11", "größe-7", "user-9", "日本-4"], salt="Salz ä"),
    segment("big", unbounded=True, generation=12, unboundedContextKind="user"),
    segment("big-never-made", unbounded=True, generation=None),
    segment("unknown-properties", futureProperty={"a": [1]}, included=["user-1"]),
    segment("changed-segment", included=["user-1"]),
    segment(DELETED_SEGMENTS[0], version=DELETED_AT - 1, included=["user-1", "user-2"]),
]

FLAGS: Final[list[Json]] = [
    *(ruled(f"rule-{name}", *clauses) for name, clauses in CLAUSES.items()),
    *(flag(name, fallthrough=outcome) for name, outcome in OUTCOMES.items()),
    *(
        ruled(name, clause("country", "in", "de"), variations=values, offVariation=0)
        | {"fallthrough": split(50_000, 0, 50_000)}
        for name, values in VALUES.items()
    ),
    *(
        flag(name, prerequisites=[{"key": key, "variation": index} for key, index in needed])
        for name, needed in PREREQUISITES.items()
    ),
    *SINGLE,
]


# What happens after that: is it a segment, and the item, or the tombstone of what is deleted.
Change = tuple[bool, Json]
CHANGES: Final[list[Change]] = [
    (False, flag("changed", version=4, fallthrough={"variation": YES}, futureText="größe")),
    (True, segment("changed-segment", version=4, included=["user-5", "日本-11"])),
    (False, flag("kept", version=4, on=False)),
    *((False, {"key": key, "version": DELETED_AT, "deleted": True}) for key in DELETED_FLAGS),
    *((True, {"key": key, "version": DELETED_AT, "deleted": True}) for key in DELETED_SEGMENTS),
    (False, flag(DELETED_FLAGS[0], version=DELETED_AT - 1)),
    (False, flag(DELETED_FLAGS[1], version=DELETED_AT)),
    (False, {"key": "revived", "version": 4, "deleted": True}),
    (False, flag("revived", version=5, fallthrough={"variation": YES})),
    (False, flag(LAST, version=1, fallthrough={"variation": YES})),
]
