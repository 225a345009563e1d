"""What a client is handed that lives on the other side: hooks, a Big Segment store, endpoints."""

from collections.abc import Mapping
from http.client import HTTPConnection
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from flagkeep import Context, Detail, EvaluationSeries, Hook, TrackSeries
from flagkeep.errors import StoreUnavailable
from flagkeep.hooks import HookMetadata
from flagkeep.storage.big_segments import BigSegmentMetadata
from tests.contract.colours import Outside
from tests.contract.messages import HookSection

TIMEOUT: Final = 10.0


class CallbackFailed(Exception):
    """The other side answered with an error."""


def post(uri: str, body: bytes = b"", *, content_type: str = "application/json") -> bytes:
    """POST something and return the answer.

    Raises:
        CallbackFailed: its status is not 2xx.
    """
    place = urlsplit(uri)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=TIMEOUT)
    try:
        connection.request("POST", place.path or "/", body, {"Content-Type": content_type})
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    if not 200 <= answer.status < 300:
        raise CallbackFailed(f"{answer.status}: {text.decode(errors='replace')}")
    return text


class CallbackHook(Hook):
    """Tells what happens, and then returns or raises what it was told to."""

    def __init__(self, section: HookSection, outside: Outside) -> None:
        self._section = section
        self._outside = outside

    @property
    def metadata(self) -> HookMetadata:
        """Its name."""
        return HookMetadata(self._section.name)

    def before_evaluation(self, series: EvaluationSeries, data: Mapping[str, Any]) -> Any:
        """Report the stage."""
        return self._outside(self._evaluation, "beforeEvaluation", series, data, None)

    def after_evaluation(
        self, series: EvaluationSeries, data: Mapping[str, Any], detail: Detail[Any]
    ) -> Any:
        """Report the stage."""
        return self._outside(self._evaluation, "afterEvaluation", series, data, detail)

    def after_track(self, series: TrackSeries) -> Any:
        """Report the stage."""
        return self._outside(self._track, series)

    def _evaluation(
        self,
        stage: str,
        series: EvaluationSeries,
        data: Mapping[str, Any],
        detail: Detail[Any] | None,
    ) -> dict[str, Any]:
        told: dict[str, Any] = {
            "evaluationSeriesContext": {
                "flagKey": series.key,
                "context": _wire(series.context),
                "defaultValue": series.default,
                "method": series.method,
                "environmentId": series.environment_id,
            },
            "evaluationSeriesData": dict(data),
        }
        if detail is not None:
            told["evaluationDetail"] = {
                "value": detail.value,
                "variationIndex": detail.index,
                "reason": detail.reason.to_dict(),
            }
        self._tell(stage, told)
        return {**data, **(self._section.data or {}).get(stage, {})}

    def _track(self, series: TrackSeries) -> None:
        told = {
            "key": series.key,
            "context": _wire(series.context),
            "data": series.data,
            "metricValue": series.metric_value,
            "environmentId": series.environment_id,
        }
        self._tell("afterTrack", {"trackSeriesContext": told})

    def _tell(self, stage: str, told: Mapping[str, Any]) -> None:
        error = (self._section.errors or {}).get(stage)
        if error is not None:
            raise RuntimeError(error)
        post(self._section.callback_uri, msgspec.json.encode({**told, "stage": stage}))


class CallbackBigSegments:
    """A Big Segment store, of either colour, that asks the other side."""

    name: Final = "callbacks"

    def __init__(self, uri: str, outside: Outside) -> None:
        self._uri = uri
        self._outside = outside

    def get_metadata(self) -> Any:
        """Return how old the data is."""
        return self._outside(self._metadata)

    def get_membership(self, context_hash: str) -> Any:
        """Return the segments of one context."""
        return self._outside(self._membership, context_hash)

    def close(self) -> None:
        """Do nothing."""

    async def aclose(self) -> None:
        """Do nothing."""

    def _metadata(self) -> BigSegmentMetadata:
        return BigSegmentMetadata(self._ask("getMetadata").get("lastUpToDate"))

    def _membership(self, context_hash: str) -> dict[str, bool] | None:
        values = self._ask("getMembership", contextHash=context_hash).get("values")
        if values is None:
            return None
        return {name: is_in for name, is_in in values.items() if is_in is not None}

    def _ask(self, operation: str, **asked: str) -> Any:
        try:
            answer = post(f"{self._uri}/{operation}", msgspec.json.encode(asked))
        except (CallbackFailed, OSError) as exc:
            raise StoreUnavailable(self.name, operation, str(exc)) from exc
        return msgspec.json.decode(answer)


def _wire(context: object) -> Any:
    return context.to_dict() if isinstance(context, Context) else None
