"""Hooks: code of the application that runs before and after each evaluation."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from flagkeep.ldclient.context import Context
from flagkeep.ldclient.evaluation import EvaluationDetail

__all__ = ["AsyncHook", "EvaluationSeriesContext", "Hook", "Metadata", "TrackSeriesContext"]


@dataclass
class EvaluationSeriesContext:
    """What one evaluation is about, the same in all stages of a hook.

    Attributes:
        key: of the flag.
        context: it is evaluated for.
        default_value: given by the caller.
        method: the client's method that was called, such as `variation_detail`.
        environment_id: None until the upstream has told it.
    """

    key: str
    context: Context
    default_value: Any
    method: str
    environment_id: str | None = None


@dataclass
class TrackSeriesContext:
    """What one call of `track` is about; the official SDK for Python has none yet.

    Attributes:
        key: of the event.
        context: it is about.
        data: given by the caller.
        metric_value: given by the caller.
        environment_id: None until the upstream has told it.
    """

    key: str
    context: Context
    data: Any = None
    metric_value: float | None = None
    environment_id: str | None = None


@dataclass
class Metadata:
    """Says which hook it is.

    Attributes:
        name: shown in log messages.
    """

    name: str


class Hook(ABC):
    """Base class of hooks. A hook that raises is logged and otherwise ignored.

    A hook may also have `after_track(series_context)`, which is called after each `track` with a
    `TrackSeriesContext`. `AsyncLDClient` takes these hooks too; they must not block there.
    """

    @property
    @abstractmethod
    def metadata(self) -> Metadata:
        """Says which hook it is."""

    @abstractmethod
    def before_evaluation(
        self, series_context: EvaluationSeriesContext, data: dict[Any, Any]
    ) -> dict[Any, Any]:
        """Run before an evaluation and return data for `after_evaluation`."""

    @abstractmethod
    def after_evaluation(
        self,
        series_context: EvaluationSeriesContext,
        data: dict[Any, Any],
        detail: EvaluationDetail,
    ) -> dict[Any, Any]:
        """Run after an evaluation, with what `before_evaluation` returned."""


class AsyncHook(ABC):
    """Base class of hooks for `AsyncLDClient` whose stages are awaited."""

    @property
    @abstractmethod
    def metadata(self) -> Metadata:
        """Says which hook it is."""

    async def before_evaluation(
        self,
        series_context: EvaluationSeriesContext,  # noqa: ARG002  for those who override it
        data: dict[Any, Any],
    ) -> dict[Any, Any]:
        """Run before an evaluation and return data for `after_evaluation`."""
        return data

    async def after_evaluation(
        self,
        series_context: EvaluationSeriesContext,  # noqa: ARG002  for those who override it
        data: dict[Any, Any],
        detail: EvaluationDetail,  # noqa: ARG002
    ) -> dict[Any, Any]:
        """Run after an evaluation, with what `before_evaluation` returned."""
        return data
