"""What an evaluation returns, and the signal that ends a hopeless one."""

from typing import TYPE_CHECKING, Any, Final, final

from flagkeep.model.detail import ErrorKind, Reason, error_reason

if TYPE_CHECKING:
    from flagkeep.evaluation.evaluator import CompiledFlag


class Malformed(Exception):
    """The flag cannot be evaluated: a broken reference that counts, or a cycle."""


@final
class Result:
    """The outcome of one evaluation. Shared between evaluations: never change one.

    Attributes:
        value: of the variation, None if `index` is.
        index: of the variation; None means that the caller's default is to be used.
        reason: which part of the flag decided.
        experiment: whether the analytics event must be sent in full, with its reason.
        prerequisites: the evaluations of prerequisites that came before it, in order of events.
        direct_prerequisites: keys of the flag's own prerequisites that were looked up, in order.
    """

    __slots__ = ("direct_prerequisites", "experiment", "index", "prerequisites", "reason", "value")

    def __init__(
        self,
        value: Any,
        index: int | None,
        reason: Reason,
        *,
        experiment: bool = False,
        prerequisites: "tuple[PrerequisiteResult, ...]" = (),
        direct_prerequisites: tuple[str, ...] = (),
    ) -> None:
        self.value = value
        self.index = index
        self.reason = reason
        self.experiment = experiment
        self.prerequisites = prerequisites
        self.direct_prerequisites = direct_prerequisites

    def __repr__(self) -> str:
        return f"Result({self.value!r}, {self.index!r}, {self.reason!r})"


@final
class PrerequisiteResult:
    """The evaluation of a prerequisite, for its analytics event.

    Attributes:
        prerequisite_of: key of the flag that required it.
    """

    __slots__ = ("flag", "prerequisite_of", "result")

    def __init__(self, flag: "CompiledFlag", result: Result, prerequisite_of: str) -> None:
        self.flag = flag
        self.result = result
        self.prerequisite_of = prerequisite_of


FAILED: Final = Result(None, None, error_reason(ErrorKind.EXCEPTION))
MALFORMED: Final = Result(None, None, error_reason(ErrorKind.MALFORMED_FLAG))
