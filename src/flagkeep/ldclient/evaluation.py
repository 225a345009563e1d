"""What evaluations return: `EvaluationDetail`, `FeatureFlagsState`, `BigSegmentsStatus`."""

import json
import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final, Self

from flagkeep.evaluation.flags_state import FlagsState


class BigSegmentsStatus:
    """How far an answer that needed a Big Segment can be trusted; plain strings."""

    HEALTHY: Final = "HEALTHY"
    STALE: Final = "STALE"
    NOT_CONFIGURED: Final = "NOT_CONFIGURED"
    STORE_ERROR: Final = "STORE_ERROR"


class EvaluationDetail:
    """A flag's value and how it came about."""

    __slots__ = ("_reason", "_value", "_variation_index")

    def __init__(self, value: Any, variation_index: int | None, reason: dict[str, Any]) -> None:
        self._value = value
        self._variation_index = variation_index
        self._reason = reason

    @property
    def value(self) -> Any:
        """The flag's value, or the caller's default where `variation_index` is None."""
        return self._value

    @property
    def variation_index(self) -> int | None:
        """The position of the value in the flag's variations; None if the default was used."""
        return self._variation_index

    @property
    def reason(self) -> dict[str, Any]:
        """Which part of the flag decided, in its JSON form (evaluation spec, section 3)."""
        return self._reason

    def is_default_value(self) -> bool:
        """Whether the caller's default was used."""
        return self._variation_index is None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EvaluationDetail):
            return NotImplemented
        return (
            self._value == other._value
            and self._variation_index == other._variation_index
            and self._reason == other._reason
        )

    # The value and the reason may be dicts, so there is no hash that agrees with equality.
    __hash__ = None  # type: ignore[assignment]  # how Python spells "not hashable"

    def __str__(self) -> str:
        return (
            f"(value={self._value}, variation_index={self._variation_index}, reason={self._reason})"
        )

    def __repr__(self) -> str:
        return str(self)


class FeatureFlagsState:
    """The values of all flags for one context, with what a client-side SDK needs beside them."""

    def __init__(self, valid: bool) -> None:
        self._valid = valid
        self._unopened: FlagsState | None = None

    @classmethod
    def _of(cls, state: FlagsState) -> Self:
        """Return what the core found out; it is taken apart when somebody asks."""
        own = cls(state.valid)
        own._unopened = state
        return own

    @cached_property
    def _flags(self) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """All values, and what else is known of each flag, by flag key."""
        if self._unopened is None:
            return {}, {}
        values = self._unopened.to_dict()
        del values["$valid"]
        metadata = values.pop("$flagsState")
        return values, metadata

    def add_flag(
        self,
        flag_state: Mapping[str, Any],
        with_reasons: bool,
        details_only_if_tracked: bool,
    ) -> None:
        """Add one flag. Not for applications: the client calls it.

        Args:
            flag_state: `key`, `value`, `variation`, `version`, `reason`, `trackEvents`,
                `trackReason`, `debugEventsUntilDate`, `prerequisites`.
            with_reasons: keep the reason also where no event needs it.
            details_only_if_tracked: drop version and reason unless an event needs them.
        """
        key = flag_state["key"]
        tracked, experiment = flag_state.get("trackEvents"), flag_state.get("trackReason")
        debug_until = flag_state.get("debugEventsUntilDate")
        debugging = debug_until is not None and debug_until > time.time() * 1000
        detailed = not details_only_if_tracked or tracked or experiment or debugging
        metadata: dict[str, Any] = {}
        if detailed and (with_reasons or experiment):
            metadata["reason"] = flag_state["reason"]
        if detailed:
            metadata["version"] = flag_state["version"]
        if flag_state.get("prerequisites"):
            metadata["prerequisites"] = flag_state["prerequisites"]
        if flag_state.get("variation") is not None:
            metadata["variation"] = flag_state["variation"]
        if tracked:
            metadata["trackEvents"] = True
        if experiment:
            metadata["trackReason"] = True
        if debug_until is not None:
            metadata["debugEventsUntilDate"] = debug_until
        values, known = self._flags
        values[key] = flag_state["value"]
        known[key] = metadata

    @property
    def valid(self) -> bool:
        """Whether there was data and a valid context; otherwise there are no flags in it."""
        return self._valid

    def get_flag_value(self, key: str) -> Any:
        """Return a flag's value; None for an unknown flag and where the default applies."""
        return self._flags[0].get(key)

    def get_flag_reason(self, key: str) -> dict[str, Any] | None:
        """Return a flag's reason; None for an unknown flag and where reasons were left out."""
        return self._flags[1].get(key, {}).get("reason")

    def to_values_map(self) -> dict[str, Any]:
        """Return all values by flag key. A JavaScript SDK needs `to_json_dict` instead."""
        return self._flags[0]

    def to_json_dict(self) -> dict[str, Any]:
        """Return the form that the JavaScript SDK takes as its bootstrap data."""
        values, metadata = self._flags
        return {**values, "$flagsState": metadata, "$valid": self._valid}

    def to_json_string(self) -> str:
        """Return `to_json_dict` as text."""
        return json.dumps(self.to_json_dict())

    def __getstate__(self) -> dict[str, Any]:
        return self.to_json_dict()

    def __setstate__(self, state: dict[str, Any]) -> None:
        values = dict(state)
        metadata = values.pop("$flagsState")
        self.__init__(values.pop("$valid"))  # type: ignore[misc]  # pickle has not called it
        self.__dict__["_flags"] = (values, metadata)
