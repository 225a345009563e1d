"""The contexts that are compared: users, organisations, devices, and several of them at once.

The lists of values have lengths without common factors, so their combinations do not repeat.
"""

from itertools import count, islice
from typing import Any, Final

from tests.interop.items import Json

Values = tuple[Any, ...]
NUMBER: Final = 200
# What a user of the time before contexts has besides `custom`; of these, all but one are texts.
BUILT_IN: Final = ("key", "name", "email", "country", "anonymous")

_PREFIXES: Final[Values] = ("user", "user", "größe", "user", "日本", "user", "user")
_COUNTRIES: Final[Values] = ("de", "jp", "fr", "österreich", 7)
_NUMBERS: Final[Values] = (
    1,
    2.5,
    -3,
    "1",
    True,
    0,
    2,
    [1, "1", False],
    1e10,
    None,
    {"a": 1},
)
_EMAILS: Final[Values] = (
    "amal@example.com",
    "ömer@例.jp",
    "BOB@EX.ORG",
    "a@b.org",
    "",
    None,
    3,
)
_TAGS: Final[Values] = (["alpha", "beta"], [], ["beta", 1, True], "beta", [["beta"]], None)
_TIMES: Final[Values] = (
    "2023-12-31T23:59:59.500-07:00",
    "2024-01-01T00:00:00Z",
    "2023-05-01T12:00:00.123456Z",
    1704067200000,
    1704067200001,
    "2024-02-30",
    "soon",
    None,
)
_VERSIONS: Final[Values] = (
    "2.0.0",
    "2",
    "2.0.0-rc.1",
    "2.0.0-rc.10",
    "1.9.9",
    "10.0.0+build",
    "x",
    2,
    "",
)
_ADDRESSES: Final[Values] = (
    {"city": "Köln", "geo": {"zone": 5}},
    {"city": "Köln", "geo": {"zone": 3}},
    {"city": "東京", "geo": []},
    "Köln",
    None,
)
_MOODS: Final[Values] = ("😀", "👩‍💻", "fine")
_MOTTOS: Final[Values] = (
    '<b>R&D\'s "best" = 1</b>',
    "line\nbreak\ttab\u2028",
    "plain",
    "",
)
_ORGS: Final[Values] = ("org-1", "größe-gmbh", "org-3", "a:b%c")
_REGIONS: Final[Values] = ("eu", "亚洲", 3, None, "us")


def _pick(values: Values, number: int) -> Any:
    return values[number % len(values)]


def _without_nulls(attributes: Json) -> Json:
    return {name: value for name, value in attributes.items() if value is not None}


def _user(number: int) -> Json:
    prefix = _pick(_PREFIXES, number)
    return _without_nulls(
        {
            "key": "a<b>&'c'=\"d\"" if number % 23 == 22 else f"{prefix}-{number % 13}",
            "name": _pick(("Amal", "Ω", None, "Bob"), number),
            "anonymous": _pick((True, False, None), number),
            "country": _pick(_COUNTRIES, number),
            "n": _pick(_NUMBERS, number),
            "size": _pick((33333, -7, 0), number),
            "whole": _pick((33333.0, "33333", 12), number),
            "email": _pick(_EMAILS, number),
            "tags": _pick(_TAGS, number),
            "since": _pick(_TIMES, number),
            "app": _pick(_VERSIONS, number),
            "address": _pick(_ADDRESSES, number // 5),
            "mood": _pick(_MOODS, number // 3),
            "motto": _pick(_MOTTOS, number // 2),
            "größe": _pick((160, 171, "180"), number // 2),
            "odd/name~": _pick(("x", "y"), number),
            "_meta": _pick(({"privateAttributes": ["email", "/address/city"]}, None), number),
        }
    )


def _org(number: int) -> Json:
    key, region = _pick(_ORGS, number // 2), _pick(_REGIONS, number // 4)
    return _without_nulls({"key": key, "region": region, "n": _pick(_NUMBERS, number)})


def _device(number: int) -> Json:
    return {"key": f"device-{number % 5}", "os/name": _pick(("linux", "mac", "windows"), number)}


def _any_kind(number: int) -> Json:
    match number % 8:
        case 3:
            return {"kind": "org", **_org(number)}
        case 5:
            return {"kind": "device", **_device(number)}
        case 4 | 6:
            return {"kind": "multi", "user": _user(number), "org": _org(number)}
        case 7:
            device = _device(number)
            return {"kind": "multi", "user": _user(number), "org": _org(number), "device": device}
        case _:
            return {"kind": "user", **_user(number)}


def as_user(context: Json) -> Json:
    """Return a context of kind user in the form of the time before contexts."""
    custom = context.keys() - {"kind", "_meta", *BUILT_IN}
    user = {name: context[name] for name in context if name in BUILT_IN}
    return {**user, "custom": {name: context[name] for name in custom}}


def _has_form_of_user(user: Json) -> bool:
    return all(isinstance(user.get(name, ""), str) for name in BUILT_IN[:-1])


CONTEXTS: Final = [_any_kind(number) for number in range(NUMBER)]
USERS: Final = [
    {"kind": "user", **user}
    for user in islice(filter(_has_form_of_user, map(_user, count())), NUMBER)
]
