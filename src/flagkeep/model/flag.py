"""A flag as the wire and the stores have it (data model spec, section 2).

Absent fields take the defaults below. The decoder in `codec` also repairs what the specification
tolerates: null for absent, and whole numbers written as `3.0`.
"""

from typing import Any

import msgspec


class _Part(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What every part of a flag or segment has in common: how its names look on the wire."""


class Prerequisite(_Part, frozen=True):
    """Another flag that must be on and give `variation`."""

    key: str = ""
    variation: int = 0


class Target(_Part, frozen=True):
    """Context keys that get `variation`. `context_kind` `""` means user."""

    context_kind: str = ""
    variation: int = 0
    values: list[str] = []


class WeightedVariation(_Part, frozen=True):
    """One arm of a rollout. `weight` is in thousandths of a per cent: 100000 is everybody."""

    variation: int = 0
    weight: int = 0
    untracked: bool = False


class Rollout(_Part, frozen=True):
    """Arms chosen by a hash of one attribute. `context_kind` `""` means user."""

    kind: str = "rollout"
    context_kind: str = ""
    bucket_by: str = ""
    seed: int | None = None
    variations: list[WeightedVariation] = []


class VariationOrRollout(_Part, frozen=True):
    """One variation, or a rollout; the variation wins if both are there."""

    variation: int | None = None
    rollout: Rollout | None = None


class Clause(_Part, frozen=True):
    """One condition on one attribute.

    Without a `context_kind` the kind is user and `attribute` is a literal name, not a reference.
    """

    context_kind: str = ""
    attribute: str = ""
    op: str = ""
    values: list[Any] = []
    negate: bool = False


class FlagRule(_Part, frozen=True):
    """What contexts get that match all `clauses`."""

    id: str | None = None
    clauses: list[Clause] = []
    track_events: bool = False
    variation: int | None = None
    rollout: Rollout | None = None


class ClientSideAvailability(_Part, frozen=True):
    """Which client-side SDKs may see the flag."""

    using_mobile_key: bool = False
    using_environment_id: bool = False


class Migration(_Part, frozen=True):
    """Settings of a migration flag: one in `check_ratio` reads is compared."""

    check_ratio: int = 1


class Flag(_Part, frozen=True):
    """A feature flag. `debug_events_until_date` is in milliseconds since the epoch."""

    key: str
    version: int
    deleted: bool = False
    on: bool = False
    variations: list[Any] = []
    off_variation: int | None = None
    fallthrough: VariationOrRollout = VariationOrRollout()
    prerequisites: list[Prerequisite] = []
    targets: list[Target] = []
    context_targets: list[Target] = []
    rules: list[FlagRule] = []
    salt: str = ""
    track_events: bool = False
    track_events_fallthrough: bool = False
    debug_events_until_date: float | None = None
    client_side: bool = False
    client_side_availability: ClientSideAvailability | None = None
    sampling_ratio: int = 1
    exclude_from_summaries: bool = False
    migration: Migration | None = None

    @property
    def is_client_side(self) -> bool:
        """Whether JavaScript SDKs may see it; the newer of the two fields wins."""
        if self.client_side_availability is not None:
            return self.client_side_availability.using_environment_id
        return self.client_side
