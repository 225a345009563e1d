"""What the two sides of a migration are, and what comes of calling them.

The official SDK's face hands out these very classes, hence their form.
"""

from collections.abc import Callable
from typing import Any, Self

import msgspec

from flagkeep.model.migration import Origin

# Takes the payload and returns a `Result`; in `AsyncMigrator` it may be a coroutine function.
MigrationFn = Callable[[Any], Any]
# Takes the values of the old and of the new side and says whether they agree.
MigrationCompareFn = Callable[[Any, Any], bool]


class Result:
    """What one side of a migration gave: a value, or an error.

    Attributes:
        value: None if it failed.
        error: what went wrong, in words; None if nothing did.
        exception: what was raised, if anything was.
    """

    __slots__ = ("error", "exception", "value")

    def __init__(
        self, value: Any = None, error: str | None = None, exception: Exception | None = None
    ) -> None:
        self.value = value
        self.error = error
        self.exception = exception

    @classmethod
    def success(cls, value: Any) -> Self:
        """Return a success."""
        return cls(value)

    @classmethod
    def fail(cls, error: str, exception: Exception | None = None) -> Self:
        """Return a failure."""
        return cls(None, str(error), exception)  # whatever it is, it is no success

    def is_success(self) -> bool:
        """Whether there is a value."""
        return self.error is None

    def __repr__(self) -> str:
        # without the value, which may be anybody's data
        outcome = "success" if self.error is None else repr(self.error)
        return f"{type(self).__name__}({outcome})"


class OperationResult(Result):
    """A result, and whose.

    Attributes:
        origin: the side that gave it.
    """

    __slots__ = ("origin",)

    def __init__(self, origin: Origin, result: Result) -> None:
        super().__init__(result.value, result.error, result.exception)
        self.origin = origin

    @classmethod
    def success(cls, value: Any) -> Self:
        """Raise TypeError: there is no telling whose success it is."""
        raise TypeError(f"OperationResult(origin, Result.success({type(value).__name__} …))")

    @classmethod
    def fail(cls, error: str, exception: Exception | None = None) -> Self:
        """Raise TypeError: there is no telling whose failure it is."""
        raise TypeError(f"OperationResult(origin, Result.fail({error!r}))") from exception


class WriteResult(msgspec.Struct, frozen=True):
    """What came of a write.

    Attributes:
        authoritative: of the side that decides; a failure if that failed.
        nonauthoritative: of the other side; None if it was not called.
    """

    authoritative: OperationResult
    nonauthoritative: OperationResult | None = None


class MigrationConfig(msgspec.Struct, frozen=True):
    """How a migration reads, or how it writes.

    Attributes:
        old: calls the old side.
        new: calls the new side.
        comparison: says whether what both sides returned agrees; None: that is not checked.
    """

    old: MigrationFn
    new: MigrationFn
    comparison: MigrationCompareFn | None = None
