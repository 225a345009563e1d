"""A made-up environment of the size that a large customer has: 10,000 flags in 11 MB of JSON.

The mix is what one finds in practice: mostly on/off flags with a few targeted keys, then flags with
rules, percentage rollouts, prerequisites, segments, experiments and large JSON values. The random
source is seeded, so that every run and every SDK gets the same bytes.

`python -m benchmarks.environment FILE` writes it as the document that a polling request returns.
"""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

JsonObject = dict[str, Any]

FLAGS: Final = 10_000
SEGMENTS: Final = 200
SEED: Final = 20_240_607

AREAS: Final = ("checkout", "search", "catalogue", "account", "delivery", "pricing", "mail", "app")
SUBJECTS: Final = ("button", "layout", "provider", "limit", "banner", "retry", "cache", "wizard")
COUNTRIES: Final = ("de", "fr", "it", "es", "nl", "pl", "se", "dk", "jp", "us", "br", "in")
PLANS: Final = ("free", "team", "pro", "enterprise")


def environment(*, flags: int = FLAGS, segments: int = SEGMENTS) -> dict[str, dict[str, Any]]:
    """Return `{"flags": …, "segments": …}`, always the same for the same sizes."""
    chance = random.Random(SEED)
    segment_keys = [f"segment-{number:03}" for number in range(segments)]
    made: dict[str, Any] = {}
    for number in range(flags):
        maker = chance.choices(MAKERS, weights=WEIGHTS)[0]
        flag = maker(chance, list(made), segment_keys)
        key = f"{chance.choice(AREAS)}-{chance.choice(SUBJECTS)}-{number:05}"
        made[key] = common_members(chance, key) | flag
    return {
        "flags": made,
        "segments": {key: segment(chance, key) for key in segment_keys},
    }


def first_flag(flags: dict[str, Any]) -> str:
    """Return the flag that a starting process asks for: from the middle, on, with several rules."""
    middle = list(flags)[len(flags) // 2 :]
    return next(key for key in middle if flags[key]["on"] and len(flags[key]["rules"]) > 1)


def common_members(chance: random.Random, key: str) -> JsonObject:
    """Return the members that the service sends for every flag."""
    return {
        "key": key,
        "version": chance.randrange(1, 400),
        "on": chance.random() < 0.85,
        "prerequisites": [],
        "targets": [],
        "contextTargets": [],
        "rules": [],
        "fallthrough": {"variation": 0},
        "offVariation": 1,
        "variations": [True, False],
        "clientSideAvailability": {"usingMobileKey": True, "usingEnvironmentId": False},
        "clientSide": False,
        "salt": identity(chance),
        "trackEvents": False,
        "trackEventsFallthrough": False,
        "debugEventsUntilDate": None,
        "deleted": False,
    }


def identity(chance: random.Random) -> str:
    """Return 32 hexadecimal digits."""
    return f"{chance.getrandbits(128):032x}"


def user_keys(chance: random.Random, count: int) -> list[str]:
    """Return `count` keys as an application would make them."""
    return [f"user-{chance.randrange(10**8):08}" for _ in range(count)]


def clause(attribute: str, op: str, values: list[Any], kind: str = "user") -> JsonObject:
    """Return one clause."""
    return {
        "contextKind": kind,
        "attribute": attribute,
        "op": op,
        "values": values,
        "negate": False,
    }


def some_clause(chance: random.Random) -> JsonObject:
    """Return a clause with one of the operators that rules mostly use."""
    choices: tuple[Callable[[], JsonObject], ...] = (
        lambda: clause("country", "in", chance.sample(COUNTRIES, chance.randrange(1, 8))),
        lambda: clause("plan", "in", chance.sample(PLANS, 2)),
        lambda: clause("email", "endsWith", ["@example.com", "@example.org"]),
        lambda: clause("email", "in", [f"{key}@example.com" for key in user_keys(chance, 4)]),
        lambda: clause("age", "greaterThanOrEqual", [chance.randrange(18, 70)]),
        lambda: clause("version", "semVerGreaterThan", [f"{chance.randrange(9)}.0.0"], "device"),
        lambda: clause("signedUpAt", "after", ["2023-01-01T00:00:00Z"]),
        lambda: clause("/address/city", "startsWith", ["Ber", "Par", "Rom"]),
        lambda: clause("key", "in", user_keys(chance, 3), "organisation"),
        lambda: clause("userAgent", "matches", ["^Mozilla/5\\.[0-9]+ \\((iPhone|iPad);"]),
    )
    return chance.choice(choices)()


def rule(chance: random.Random, clauses: list[JsonObject], outcome: JsonObject) -> JsonObject:
    """Return a rule with an identity."""
    return {"id": identity(chance), "clauses": clauses, "trackEvents": False, **outcome}


def split(*weights: int) -> list[JsonObject]:
    """Return weighted variations 0, 1, ... with these weights."""
    return [{"variation": index, "weight": weight} for index, weight in enumerate(weights)]


def switch(chance: random.Random, *_: list[str]) -> JsonObject:
    """On or off, with a handful of targeted keys."""
    return {
        "targets": [{"variation": index, "values": user_keys(chance, 8)} for index in (0, 1)],
    }


def with_rules(chance: random.Random, *_: list[str]) -> JsonObject:
    """One to five rules of one to three clauses."""
    return {
        "rules": [
            rule(
                chance,
                [some_clause(chance) for _ in range(chance.randrange(1, 4))],
                {"variation": chance.randrange(2)},
            )
            for _ in range(chance.randrange(1, 6))
        ],
    }


def with_rollout(chance: random.Random, *_: list[str]) -> JsonObject:
    """A percentage of everybody, after one rule."""
    share = chance.randrange(1, 100) * 1_000
    rollout = {
        "kind": "rollout",
        "contextKind": "user",
        "variations": split(share, 100_000 - share),
    }
    return {
        "rules": [rule(chance, [some_clause(chance)], {"variation": 0})],
        "fallthrough": {"rollout": rollout},
    }


def experiment(chance: random.Random, *_: list[str]) -> JsonObject:
    """Three arms, with a seed."""
    return {
        "variations": ["control", "blue", "green"],
        "trackEventsFallthrough": True,
        "fallthrough": {
            "rollout": {
                "kind": "experiment",
                "contextKind": "user",
                "seed": chance.randrange(10**6),
                "variations": split(40_000, 30_000, 30_000),
            }
        },
    }


def with_prerequisite(chance: random.Random, earlier: list[str], _: list[str]) -> JsonObject:
    """One or two flags made before this one must be on."""
    keys = chance.sample(earlier, min(len(earlier), chance.randrange(1, 3)))
    return with_rules(chance) | {
        "prerequisites": [{"key": key, "variation": 0} for key in keys],
    }


def with_segments(chance: random.Random, _: list[str], segments: list[str]) -> JsonObject:
    """Rules that ask for segments."""
    return {
        "rules": [
            rule(
                chance,
                [clause("", "segmentMatch", [chance.choice(segments)]), some_clause(chance)],
                {"variation": 0},
            )
            for _ in range(2)
        ],
    }


def with_json_values(chance: random.Random, *_: list[str]) -> JsonObject:
    """Settings of a service as a value, 2 to 4 kB in all."""
    return {
        "variations": [
            {
                "endpoints": [f"https://{identity(chance)[:8]}.example.com/v1" for _ in range(8)],
                "timeouts": {name: chance.randrange(10_000) for name in SUBJECTS},
                "enabled": chance.random() < 0.5,
                "ratio": round(chance.random(), 4),
                "text": " ".join(chance.choices(AREAS, k=chance.randrange(40, 140))),
            }
            for _ in range(2)
        ],
        "targets": [{"variation": 1, "values": user_keys(chance, 4)}],
    }


def segment(chance: random.Random, key: str) -> JsonObject:
    """Return a segment of 50 to 150 listed keys and one rule."""
    return {
        "key": key,
        "version": chance.randrange(1, 100),
        "included": user_keys(chance, chance.randrange(50, 150)),
        "excluded": user_keys(chance, 5),
        "includedContexts": [],
        "excludedContexts": [],
        "rules": [{"id": identity(chance), "clauses": [some_clause(chance)], "weight": None}],
        "salt": identity(chance),
        "unbounded": False,
        "generation": None,
        "deleted": False,
    }


Maker = Callable[[random.Random, list[str], list[str]], JsonObject]

MIX: Final[tuple[tuple[Maker, int], ...]] = (
    (switch, 40),
    (with_rules, 25),
    (with_rollout, 12),
    (with_segments, 8),
    (with_prerequisite, 5),
    (experiment, 3),
    (with_json_values, 7),
)
MAKERS: Final = tuple(maker for maker, _ in MIX)
WEIGHTS: Final = tuple(weight for _, weight in MIX)


def main(target: str) -> None:
    """Write the environment to the file `target`."""
    Path(target).write_text(json.dumps(environment(), separators=(",", ":")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
