"""Hooks: code of the application that runs before and after each evaluation.

The classes are here so that a hook can be written; this release does not call hooks yet and
refuses a configuration with one.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flagkeep.ldclient._later import later
from flagkeep.ldclient.context import Context
from flagkeep.ldclient.evaluation import EvaluationDetail

if not TYPE_CHECKING:  # so that checkers know these names are missing
    __getattr__ = later(__name__, "AsyncHook")


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
class Metadata:
    """Says which hook it is.

    Attributes:
        name: shown in log messages.
    """

    name: str


class Hook(ABC):
    """Base class of hooks. A hook that raises is logged and otherwise ignored."""

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
