"""Rollouts and experiments (evaluation spec, section 2.7)."""

import hashlib
from typing import Final

from tests.reference.contexts import look_up, members, path_named_by
from tests.reference.fields import (
    Json,
    Object,
    flag_of,
    kind_of,
    objects,
    text,
    whole,
    whole_or_zero,
)
from tests.reference.operators import as_double

SCALE: Final = 0xFFFFFFFFFFFFFFF


def bucket_of(prefix: str, value: Json) -> float:
    """Return the place in [0, 1] of an attribute's value; 0 for what cannot be placed."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = decimal(value)
    if not isinstance(value, str):
        return 0.0
    digest = hashlib.sha1(f"{prefix}.{value}".encode("utf-8", "surrogatepass")).hexdigest()
    return float(int(digest[:15], 16)) / float(SCALE)


def decimal(number: int) -> str:
    """Write an integer of any size, which `str` refuses beyond some thousand digits."""
    digits = ""
    rest = abs(number)
    while rest or not digits:
        rest, chunk = divmod(rest, 10**1000)
        digits = f"{chunk:01000}" + digits
    return ("-" if number < 0 else "") + (digits.lstrip("0") or "0")


def value_to_bucket(owner: Object, context: Object, kind_field: str, *, by_key: bool) -> Json:
    """Return the attribute that decides; None if the context has no such kind or attribute."""
    path = ["key"]
    if not by_key and text(owner, "bucketBy"):
        path = path_named_by(owner, "bucketBy", kind_field)
    member = members(context).get(kind_of(owner, kind_field))
    return None if member is None else look_up(member, path)


def choose_arm(flag: Object, rollout: Object, context: Object) -> tuple[int, bool]:
    """Return the variation that a rollout gives, and whether that counts in an experiment."""
    arms = objects(rollout, "variations")
    is_experiment = text(rollout, "kind") == "experiment"
    seed = whole(rollout, "seed")
    prefix = f"{flag['key']}.{text(flag, 'salt')}" if seed is None else decimal(seed)
    value = value_to_bucket(rollout, context, "contextKind", by_key=is_experiment)
    chosen = arm_at(bucket_of(prefix, value), arms)
    has_kind = kind_of(rollout) in members(context)
    counts = is_experiment and has_kind and not flag_of(chosen, "untracked")
    return whole_or_zero(chosen, "variation"), counts


def arm_at(bucket: float, arms: list[Object]) -> Object:
    """Return the arm in whose share `bucket` lies; the last one if the shares end before it."""
    end = 0.0
    for arm in arms:
        end += share(whole_or_zero(arm, "weight"))
        if bucket < end:
            return arm
    return arms[-1]


def share(weight: int) -> float:
    """Return the part of all that `weight` stands for."""
    return as_double(weight) / 100_000.0 if abs(weight) > 2**1000 else weight / 100_000.0


def is_in_segment_share(segment: Object, rule: Object, context: Object) -> bool:
    """Tell whether a context is in the percentage of a segment rule."""
    weight = whole(rule, "weight")
    if weight is None:
        return True
    value = value_to_bucket(rule, context, "rolloutContextKind", by_key=False)
    if kind_of(rule, "rolloutContextKind") not in members(context):
        return False
    return bucket_of(f"{segment['key']}.{text(segment, 'salt')}", value) < share(weight)
