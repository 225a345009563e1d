"""The flags and contexts that the speed cases evaluate; plain data, the same for every SDK.

* A: a boolean flag that is on and has no rules.
* B: three rules of two clauses, none of which matches, then a 50/50 rollout. The first clause of
  each rule matches and the second does not, so that all six are looked at.
* B, first clauses fail: the same flag for a context with which only three are looked at.
* C: 1,000 targets (500 keys for each variation), asked for the last of them; C-miss for none.
* 10,000 flags of 1 KB, for what goes to a database and comes from it.
"""

import json
from typing import Any, Final

JsonObject = dict[str, Any]

KEYS: Final = 1_000
ALL_FLAGS: Final = 1_000
STORED_FLAGS: Final = 10_000
KILOBYTE: Final = 1_024

ON: Final[JsonObject] = {
    "on": True,
    "prerequisites": [],
    "targets": [],
    "contextTargets": [],
    "rules": [],
    "offVariation": 1,
    "variations": [True, False],
    "clientSide": False,
    "trackEvents": False,
    "trackEventsFallthrough": False,
    "debugEventsUntilDate": None,
    "deleted": False,
}


def boolean_flag(key: str) -> JsonObject:
    """Return case A under `key`: on, no targets, no rules, true for everybody."""
    return ON | {"key": key, "version": 1, "salt": key, "fallthrough": {"variation": 0}}


def clause(attribute: str, op: str, *values: object) -> JsonObject:
    """Return a clause on an attribute of the user kind."""
    return {
        "contextKind": "user",
        "attribute": attribute,
        "op": op,
        "values": list(values),
        "negate": False,
    }


def rule(identity: str, *clauses: JsonObject) -> JsonObject:
    """Return a rule that serves variation 0 where all clauses match."""
    return {"id": identity, "variation": 0, "trackEvents": False, "clauses": list(clauses)}


def rule_flag(key: str) -> JsonObject:
    """Return case B under `key`; the salt is the key, so that every flag splits differently."""
    half = {"weight": 50_000}
    return ON | {
        "key": key,
        "version": 1,
        "salt": f"salt-{key}",
        "rules": [
            rule(
                "enterprise-in-europe",
                clause("country", "in", "de", "fr", "it", "es", "nl"),
                clause("plan", "in", "enterprise"),
            ),
            rule(
                "staff-of-the-lab",
                clause("email", "endsWith", "@example.com", "@example.org"),
                clause("groups", "in", "lab"),
            ),
            rule(
                "adults-with-many-orders",
                clause("age", "greaterThanOrEqual", 18),
                clause("orders", "greaterThan", 1_000),
            ),
        ],
        "fallthrough": {
            "rollout": {
                "kind": "rollout",
                "contextKind": "user",
                "variations": [{"variation": 0, **half}, {"variation": 1, **half}],
            }
        },
    }


def target_flag(key: str) -> JsonObject:
    """Return case C under `key`: 1,000 user keys, half of them for each variation."""
    keys = [f"user-{number:04}" for number in range(1_000)]
    return ON | {
        "key": key,
        "version": 1,
        "salt": key,
        "targets": [
            {"variation": 0, "values": keys[:500]},
            {"variation": 1, "values": keys[500:]},
        ],
        "fallthrough": {"variation": 0},
    }


def case_flags() -> dict[str, JsonObject]:
    """Return the flags of the cases A, B and C by key."""
    return {"a": boolean_flag("a"), "b": rule_flag("b"), "c": target_flag("c")}


def all_flags() -> dict[str, JsonObject]:
    """Return 1,000 flags like B."""
    return {key: rule_flag(key) for key in (f"flag-{number:04}" for number in range(ALL_FLAGS))}


def kilobyte_flags() -> dict[str, bytes]:
    """Return 10,000 flags of exactly 1 KB as they are stored: a rule and some targets each."""
    made = {}
    for number in range(STORED_FLAGS):
        key = f"flag-{number:05}"
        targets = [f"user-{number:05}-{target:02}" for target in range(20)]
        flag = boolean_flag(key) | {
            "targets": [{"variation": 1, "values": targets}],
            "rules": [rule("enterprise", clause("plan", "in", "enterprise"))],
        }
        room = KILOBYTE - len(as_stored(flag))
        made[key] = as_stored(flag | {"salt": key + "." * room})
    return made


def stored_key() -> str:
    """Return the key of one of them, from the middle; it is true for everybody it does not name."""
    return f"flag-{STORED_FLAGS // 2:05}"


def as_stored(flag: JsonObject) -> bytes:
    """Return the text of a flag, without spaces."""
    return json.dumps(flag, separators=(",", ":")).encode()


def attributes(number: int) -> JsonObject:
    """Return what is known of user `number`, who passes the first clause of every rule of B."""
    return {
        "name": f"User {number}",
        "country": ("de", "fr", "it", "es", "nl")[number % 5],
        "plan": ("free", "team", "pro")[number % 3],
        "email": f"user-{number}@example.com",
        "groups": ["shop", "warehouse"],
        "age": 18 + number % 60,
        "orders": number % 1_000,
    }


def early_attributes(number: int) -> JsonObject:
    """Return a user who fails the first clause of every rule of B."""
    return attributes(number) | {
        "country": "jp",
        "email": f"user-{number}@example.net",
        "age": 17,
    }


def key_of(number: int) -> str:
    """Return the key of user `number`; the last one that C targets is 999."""
    return f"user-{number:04}"
