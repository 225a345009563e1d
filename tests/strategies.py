"""Every Hypothesis strategy: environments and contexts that fit each other, odd values included.

Keys, names and values come from small pools that flags and contexts share, so that rules match
often. Everything is plain JSON as it would arrive: fields are absent, null, or whole numbers with
a fraction of zero, wherever the data model allows it.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from flagkeep.protocol.sse import Event
from tests.reference import World

Json = Any
Object = dict[str, Any]
Objects = st.SearchStrategy[Object]

KINDS = ["user", "org", "device"]
KEYS = ["a", "b", "x:1%", "é", ""]
FLAG_KEYS = ["f", "g", "h", "i"]
SEGMENT_KEYS = ["s", "t", "u", "v"]
NAMES = ["n", "m", "/n", "a/b", "~t", "deep", "name", "anonymous", "key", "kind"]
REFERENCES = ["/n", "/deep/x", "/deep/x/y", "/deep/0", "/a~1b", "/~0t", "/~1n", "/key", "/kind"]
BROKEN_REFERENCES = ["", "/", "//", "/a~2", "/n/", "/n//m", "/~"]
LONE_SURROGATE = "\ud800"
ODD_TEXTS = ["", LONE_SURROGATE, "\x00", "1", "true", "\U0001f600", "A", "ab", "ba"]
VERSIONS = ["2", "2.0", "2.0.0", "2-rc", "2.0.0-rc.2", "2.0.0-rc.10", "2.0.0+b", "02.0.0", "10.0.0"]
TIMES = [
    "2017-12-06T07:00:00Z",
    "2017-12-06T00:00:00.000-07:00",
    "2017-12-06t07:00:00.000000001z",
    "2017-12-06T06:59:60Z",
    "2017-12-06 07:00:00Z",
    "2017-12-06T24:00:00Z",
]
NUMBERS = [
    *(0, 1, -1, 2, 1.0, -0.0, 1.5, 7, 99, 10**400, -(10**400), 2**53, 2**53 + 1, 2.0**53, 1e300),
    *(2**64, 1512543600000, 1512543600000.0, 1512543600001.0, 1512543600000.5, 5e-324),
]
PATTERNS = ["^a", "a$", "b", "", "(", "(?i)A", r"\d", "(?=a)", "a|b", LONE_SURROGATE, r"^\w+$"]


@st.composite
def mostly(draw: st.DrawFn, usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> Any:
    """Draw something odd once in sixteen times."""
    return draw(odd if draw(st.integers(0, 15)) == 15 else usual)


texts = st.sampled_from([*KEYS, *ODD_TEXTS, *VERSIONS, *TIMES, *KINDS])
finite = st.floats(allow_nan=False, allow_infinity=False)
numbers = mostly(st.sampled_from(NUMBERS), st.integers() | finite)
common = st.sampled_from(["a", "b", "ab", 1, 1.0, True, False, 2, "1"])
scalars = st.one_of(common, texts, numbers, st.booleans())
values = st.recursive(
    scalars | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["x", "y", "0", ""]), inner, max_size=3)
    ),
    max_leaves=4,
)
any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def whole(strategy: st.SearchStrategy[int]) -> st.SearchStrategy[float]:
    """Write some of the integers as `3.0`."""
    return st.tuples(strategy, st.integers(0, 7)).map(lambda pair: _maybe_float(*pair))


def _maybe_float(number: int, choice: int) -> float:
    return float(number) if choice == 0 and abs(number) < 2**53 else number


def fields(required: Object, optional: Object) -> Objects:
    """Build objects whose optional members may be absent or null."""
    nullable = {name: st.none() | strategy for name, strategy in optional.items()}
    return st.fixed_dictionaries(required, optional=nullable)


kinds = mostly(
    st.sampled_from(["user", "user", "user", "org", ""]), st.sampled_from(["device", "x"])
)
safe_attributes = st.sampled_from([*["n"] * 8, "m", "m", "key", *NAMES, *REFERENCES])
attributes = mostly(safe_attributes, st.sampled_from(BROKEN_REFERENCES))
indices = whole(mostly(st.sampled_from([0, 0, 1, 2]), st.sampled_from([9, -1, 3])))
weights = whole(
    st.sampled_from([0, 0, 1, 10_000, 33_333, 50_000, 99_999, 100_000, 100_001, -5, 2**70, 10**400])
    | st.integers(0, 100_000)
)
seeds = whole(st.sampled_from([0, 61, -5, 2**64]) | st.integers())

# --- contexts -----------------------------------------------------------------------------------

attribute_values = st.one_of(common, common.map(lambda one: [one]), scalars, values)
custom_attributes = st.fixed_dictionaries(
    {"n": attribute_values},
    optional={
        "m": attribute_values,
        "/n": attribute_values,
        "a/b": scalars,
        "~t": scalars,
        "deep": st.fixed_dictionaries({}, optional={"x": values, "0": scalars}),
    },
)
private_references = st.lists(safe_attributes | st.sampled_from(BROKEN_REFERENCES), max_size=3)


@st.composite
def members(draw: st.DrawFn) -> Object:
    """Draw a single context without its kind."""
    member: Object = {"key": draw(st.sampled_from(KEYS[:-1])), **draw(custom_attributes)}
    if draw(st.booleans()):
        member["name"] = draw(st.sampled_from(["a", "", None]))
    if draw(st.booleans()):
        member["anonymous"] = draw(st.booleans())
    if draw(st.integers(0, 3)) == 0:
        member["_meta"] = {"privateAttributes": draw(private_references)}
    return member


def single_contexts() -> Objects:
    """Build contexts of one kind."""
    kind = st.sampled_from(["user", "user", *KINDS])
    return st.builds(lambda name, member: {"kind": name, **member}, kind, members())


def multi_contexts() -> Objects:
    """Build contexts of several kinds, at times of just one."""
    several = st.dictionaries(st.sampled_from(KINDS), members(), min_size=1, max_size=3)
    return several.map(lambda found: {"kind": "multi", **found})


def contexts() -> Objects:
    """Build valid contexts in their JSON form."""
    return single_contexts() | multi_contexts()


# --- clauses ------------------------------------------------------------------------------------

VALUES_BY_OPERATOR: dict[str, st.SearchStrategy[Json]] = {
    "in": st.one_of(common, scalars, values),
    "startsWith": texts,
    "endsWith": texts,
    "contains": texts,
    "matches": st.sampled_from(PATTERNS),
    "lessThan": numbers,
    "lessThanOrEqual": numbers,
    "greaterThan": numbers,
    "greaterThanOrEqual": numbers,
    "before": st.sampled_from(TIMES) | numbers,
    "after": st.sampled_from(TIMES) | numbers,
    "semVerEqual": st.sampled_from(VERSIONS),
    "semVerLessThan": st.sampled_from(VERSIONS),
    "semVerGreaterThan": st.sampled_from(VERSIONS),
    "segmentMatch": st.sampled_from([*SEGMENT_KEYS, "missing"]),
    "unheardOf": scalars,
    "": scalars,
}


@st.composite
def clauses(draw: st.DrawFn, *, op: str | None = None) -> Object:
    """Draw a clause whose values suit its operator, mostly."""
    pool = [*["segmentMatch"] * 6, *["in"] * 6, *VALUES_BY_OPERATOR]
    op = draw(st.sampled_from(pool)) if op is None else op
    wanted = VALUES_BY_OPERATOR[op]
    if op != "segmentMatch" and draw(st.integers(0, 5)) == 0:
        wanted = values
    clause: Object = {"op": op, "values": draw(mostly(st.lists(wanted, min_size=1), st.just([])))}
    if op == "segmentMatch":
        clause["attribute"] = ""
    elif draw(st.integers(0, 30)):
        clause["attribute"] = draw(attributes)
    clause.update(draw(fields({}, {"negate": st.booleans(), "contextKind": kinds})))
    return clause


# --- flags and segments -------------------------------------------------------------------------

weighted_variations = fields(
    {}, {"variation": indices, "weight": weights, "untracked": st.booleans()}
)
rollouts = fields(
    {"variations": mostly(st.lists(weighted_variations, min_size=1, max_size=4), st.just([]))},
    {
        "kind": st.sampled_from(["rollout", "experiment", "experiment", "other", ""]),
        "contextKind": kinds,
        "bucketBy": attributes,
        "seed": seeds,
    },
)
outcomes = mostly(
    fields({"variation": indices}, {}) | fields({"rollout": rollouts}, {"variation": st.none()}),
    fields({}, {"variation": indices, "rollout": rollouts}),
)
targets = fields(
    {"variation": indices},
    {"contextKind": kinds, "values": st.lists(st.sampled_from(KEYS), max_size=3)},
)
flag_rules = st.builds(
    lambda outcome, rule: {**outcome, **rule},
    outcomes,
    fields(
        {"clauses": mostly(st.lists(clauses(), min_size=1, max_size=2), st.just([]))},
        {"id": st.sampled_from(["r1", ""]), "trackEvents": st.booleans()},
    ),
)


def prerequisites(key: str) -> Objects:
    """Build prerequisites of the flag `key`, seldom with a cycle."""
    later = FLAG_KEYS[FLAG_KEYS.index(key) + 1 :] or ["missing"]
    required = mostly(st.sampled_from(later), st.sampled_from([*FLAG_KEYS, "missing"]))
    return fields({"key": required, "variation": indices}, {})


def flags(key: str) -> Objects:
    """Build flags that are mostly on."""
    several_values = st.lists(values, min_size=3, max_size=3)
    return fields(
        {
            "key": st.just(key),
            "version": whole(st.integers(0, 9)),
            "on": mostly(st.just(value=True), st.booleans()),
            "variations": mostly(several_values, st.lists(values, max_size=2)),
            "fallthrough": mostly(outcomes, st.none()),
            "rules": st.lists(flag_rules, max_size=3),
        },
        {
            "offVariation": indices,
            "prerequisites": st.lists(prerequisites(key), max_size=2),
            "targets": st.lists(targets, max_size=2),
            "contextTargets": st.lists(targets, max_size=2),
            "salt": texts,
            "trackEventsFallthrough": st.booleans(),
        },
    )


key_lists = st.lists(st.sampled_from(KEYS), max_size=2)
segment_targets = fields({}, {"contextKind": kinds, "values": key_lists})
segment_rules = fields(
    {"clauses": st.lists(clauses(), max_size=1)},
    {"weight": weights, "bucketBy": attributes, "rolloutContextKind": kinds},
)


def segments(key: str) -> Objects:
    """Build segments, a good part of them Big Segments."""
    return fields(
        {"key": st.just(key), "version": whole(st.integers(0, 9))},
        {
            "included": key_lists,
            "excluded": key_lists,
            "includedContexts": st.lists(segment_targets, max_size=2),
            "excludedContexts": st.lists(segment_targets, max_size=2),
            "rules": st.lists(segment_rules, max_size=2),
            "salt": texts,
            "unbounded": st.booleans(),
            "unboundedContextKind": kinds,
            "generation": whole(st.sampled_from([1, 1, 1, 2])),
        },
    )


references_to_big = st.sampled_from([f"{key}.g1" for key in SEGMENT_KEYS])
one_membership = st.tuples(
    st.sampled_from(["HEALTHY", "STALE", "STORE_ERROR", "NOT_CONFIGURED"]),
    st.dictionaries(references_to_big, st.booleans(), max_size=4),
)
memberships = mostly(st.fixed_dictionaries(dict.fromkeys(KEYS, one_membership)), st.none())


@st.composite
def worlds(draw: st.DrawFn, *, of_flags: Callable[[str], Objects] | None = flags) -> World:
    """Draw an environment; what is not in it is referred to all the same."""
    flag_keys = FLAG_KEYS[: draw(st.sampled_from([3, 2, 1, 4]))] if of_flags else []
    segment_keys = SEGMENT_KEYS[: draw(st.sampled_from([3, 2, 1, 4]))]
    return World(
        {key: draw(of_flags(key)) for key in flag_keys} if of_flags else {},
        {key: draw(segments(key)) for key in segment_keys},
        draw(memberships),
    )


def linked_flags(key: str) -> Objects:
    """Build flags with prerequisites and little else."""
    later = FLAG_KEYS[FLAG_KEYS.index(key) + 1 :] or ["missing"]
    required = mostly(st.sampled_from(later), st.sampled_from(FLAG_KEYS))
    one = fields({"key": required, "variation": mostly(st.just(0), st.sampled_from([1, 9]))}, {})
    return fields(
        {
            "key": st.just(key),
            "version": st.just(1),
            "on": st.sampled_from([True, True, True, False]),
            "variations": st.just(["a", "b"]),
            "offVariation": st.sampled_from([0, 0, 1, 9, None]),
            "fallthrough": fields({"variation": mostly(st.just(0), st.just(1))}, {}),
            "prerequisites": st.lists(one, max_size=3),
        },
        {},
    )


# --- one thing at a time -----------------------------------------------------------------------

clauses_on_kinds = fields(
    {
        "attribute": st.sampled_from(["kind", "/kind", "key", "/key", "n", "name", "anonymous"]),
        "op": st.sampled_from(["in", "in", "startsWith", "contains", "unheardOf"]),
        "values": st.lists(st.sampled_from([*KINDS, "a", "b", True, False, 1]), max_size=3),
    },
    {"negate": st.booleans(), "contextKind": st.sampled_from(["", *KINDS])},
)
rollouts_by_attribute = fields(
    {
        "contextKind": st.sampled_from(["user", "org", ""]),
        "bucketBy": st.sampled_from(["n", "/n", "name", "anonymous", "kind", "/deep/x", "gone"]),
        "variations": st.just([{"variation": n, "weight": 8_333 * (n + 1)} for n in range(3)]),
    },
    {"seed": seeds, "kind": st.sampled_from(["rollout", "other"])},
)
bucketable_values = st.one_of(numbers, st.integers().map(float), texts, attribute_values)


@st.composite
def contexts_to_bucket(draw: st.DrawFn) -> Object:
    """Draw contexts of one kind, with an attribute that a rollout may or may not go by."""
    value = draw(bucketable_values)
    kind = draw(st.sampled_from(["user", "org"]))
    return {"kind": kind, "key": "a", "n": value, "deep": {"x": draw(bucketable_values)}}


@st.composite
def big_worlds(draw: st.DrawFn) -> World:
    """Draw Big Segments only, with memberships."""
    big = fields(
        {
            "version": st.just(1),
            "unbounded": st.just(value=True),
            "unboundedContextKind": st.sampled_from(["user", "org", "device", ""]),
            "generation": mostly(st.just(1), st.none() | st.just(2)),
        },
        {"rules": st.just([{}]), "included": key_lists},
    )
    segments = {key: {**draw(big), "key": key} for key in SEGMENT_KEYS}
    return World(segments=segments, memberships=draw(memberships))


# --- event streams --------------------------------------------------------------------------------

_names = st.sampled_from(["put", "patch", "message", "é", " x", ":"])
_ids = st.none() | st.sampled_from(["", "7", "é", " a: b"])
_data = st.text(st.sampled_from("x: \n{}é😀"), max_size=40).map(str.encode)
_line_ends = [b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n"]
_fields = [b"data", b"data:", b"data: ", b"event: put", b"id: 7", b"id:", b":", b" ", b"x", b"\0"]
_cut_characters = [b"\xc3", b"\xa9", b"\xef\xbb\xbf", b"\xef"]
_fragments = st.sampled_from([*_fields, *_line_ends, *_cut_characters])


def server_sent_events() -> st.SearchStrategy[Event]:
    """Events as one writes them oneself."""
    return st.builds(Event, name=_names, data=_data, id=_ids)


def event_stream_lines() -> st.SearchStrategy[bytes]:
    """Bytes that look much like an event stream, and anything between."""
    return st.lists(_fragments | st.binary(max_size=3), max_size=30).map(b"".join)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut bytes at these places; places beyond the end do nothing."""
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]
