"""All flags of an environment for one context (evaluation spec, section 4)."""

from collections.abc import Iterable
from typing import Any

from flagkeep.evaluation.evaluator import CompiledFlag
from flagkeep.evaluation.inputs import InputMissing, Inputs
from flagkeep.evaluation.result import FAILED, Result
from flagkeep.model.codec import encode_json
from flagkeep.model.context import Context
from flagkeep.model.detail import Reason
from flagkeep.model.values import copy_decoded


class FlagsState:
    """The values of all flags for one context, with what client-side SDKs want to know.

    Attributes:
        valid: False if there was no data, or the context was invalid; then there are no flags.
    """

    __slots__ = ("_evaluated", "_now_ms", "_only_tracked", "_with_reasons", "valid")

    def __init__(
        self,
        evaluated: Iterable[tuple[CompiledFlag, Result]] = (),
        *,
        valid: bool = True,
        with_reasons: bool = False,
        details_only_for_tracked_flags: bool = False,
        now_ms: float = 0,
    ) -> None:
        self.valid = valid
        self._evaluated = {flag.facts.key: (flag, result) for flag, result in evaluated}
        self._with_reasons = with_reasons
        self._only_tracked = details_only_for_tracked_flags
        self._now_ms = now_ms

    def __contains__(self, key: object) -> bool:
        return key in self._evaluated

    def __len__(self) -> int:
        return len(self._evaluated)

    def value(self, key: str) -> Any:
        """Return the value of one flag; None if it has none, failed, or does not exist."""
        found = self._evaluated.get(key)
        return None if found is None else copy_decoded(found[1].value)

    def reason(self, key: str) -> Reason | None:
        """Return why a flag has its value; None if it does not exist or reasons were not asked."""
        found = self._evaluated.get(key)
        if found is None or not (self._with_reasons or found[1].experiment):
            return None
        return found[1].reason

    def to_values(self) -> dict[str, Any]:
        """Return the values by flag key, as new objects."""
        return {key: copy_decoded(result.value) for key, (_, result) in self._evaluated.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the form that client-side SDKs take as their bootstrap data."""
        described = {
            key: self._metadata(flag, result) for key, (flag, result) in self._evaluated.items()
        }
        return {**self.to_values(), "$flagsState": described, "$valid": self.valid}

    def to_json(self) -> str:
        """Return `to_dict` as compact JSON."""
        return encode_json(self.to_dict()).decode()

    def _metadata(self, flag: CompiledFlag, result: Result) -> dict[str, Any]:
        facts = flag.facts
        debug_until = facts.debug_events_until_date
        tracked = facts.track_events or result.experiment
        is_debugged = debug_until is not None and debug_until > self._now_ms
        metadata: dict[str, Any] = {}
        if result.index is not None:
            metadata["variation"] = result.index
        if tracked or is_debugged or not self._only_tracked:
            metadata["version"] = facts.version
            if self._with_reasons or result.experiment:
                metadata["reason"] = result.reason.to_dict()
        if tracked:
            metadata["trackEvents"] = True
        if result.experiment:
            metadata["trackReason"] = True
        if debug_until is not None:
            metadata["debugEventsUntilDate"] = _whole(debug_until)
        if result.direct_prerequisites:
            metadata["prerequisites"] = list(result.direct_prerequisites)
        return metadata


def evaluate_all(
    flags: Iterable[CompiledFlag], context: Context, inputs: Inputs
) -> list[tuple[CompiledFlag, Result]]:
    """Evaluate every one of `flags`; one that fails unexpectedly stays, without a value."""
    evaluated = []
    for flag in flags:
        try:
            evaluated.append((flag, flag.evaluate(context, inputs)))
        except InputMissing:
            raise
        except Exception:  # noqa: BLE001  promised: one flag never hides the others
            evaluated.append((flag, FAILED))
    return evaluated


def _whole(number: float) -> float:
    return int(number) if number == int(number) else number
