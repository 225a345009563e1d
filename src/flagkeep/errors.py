"""Every error flagkeep raises, in one tree.

FlagkeepError
 ├─ ConfigError            a setting that cannot work (also ValueError)
 ├─ MissingExtra           an optional package is not installed (also ImportError)
 ├─ NotBuiltYet            a feature of a later release was asked for (also NotImplementedError)
 ├─ InvalidItem            one flag or segment cannot be used (also ValueError)
 ├─ InvalidData            a whole document cannot be used (also ValueError)
 │   └─ InvalidFile        … and it came from a file
 ├─ UpstreamUnavailable    no answer over HTTP, or none that can be used
 └─ StoreError             a feature store failed
     ├─ StoreUnavailable   it may pass: locked, disk full, I/O error
     │   └─ StoreMissing   nothing is there yet
     ├─ StoreCorrupt       what is there is not a store, or a damaged one
     ├─ StoreLayoutTooNew  written by a newer flagkeep
     └─ StoreClosed        used after close

`variation` and its relatives never raise any of these.
"""


class FlagkeepError(Exception):
    """The root of all errors of this package."""


class ConfigError(FlagkeepError, ValueError):
    """A setting cannot work; the message says which, why, and what to write instead."""


class MissingExtra(FlagkeepError, ImportError):
    """An optional package is needed and not installed.

    Attributes:
        extra: the name in `pip install 'flagkeep[extra]'`.
    """

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs an extra: pip install 'flagkeep[{extra}]'")
        self.extra = extra


class NotBuiltYet(FlagkeepError, NotImplementedError):
    """A feature that this release does not have was asked for.

    Attributes:
        feature: its name, as the caller knows it.
    """

    def __init__(self, feature: str) -> None:
        super().__init__(f"{feature} is not part of this release of flagkeep")
        self.feature = feature


class InvalidItem(FlagkeepError, ValueError):
    """One flag or segment cannot be used; the others are not affected.

    Attributes:
        kind: `flag` or `segment`.
        key: its key, `""` if unknown.
        path: the offending field, such as `$.rules[0].clauses[1].negate`.
        problem: what is wrong there.
    """

    def __init__(self, kind: str, key: str, path: str, problem: str) -> None:
        super().__init__(f"{kind} {key!r} at {path}: {problem}")
        self.kind = kind
        self.key = key
        self.path = path
        self.problem = problem


class InvalidData(FlagkeepError, ValueError):
    """A document as a whole cannot be used: broken JSON, or not the shape of an environment.

    Attributes:
        path: the offending place in the document, `$` if it is the document itself.
        problem: what is wrong there.
    """

    def __init__(self, problem: str, path: str = "$") -> None:
        super().__init__(problem if path == "$" else f"{problem} (at {path})")
        self.path = path
        self.problem = problem


class InvalidFile(InvalidData):
    """A file as a whole cannot be used.

    Attributes:
        file: its name as configured.
        line: 1-based, None if the problem has no place.
        column: 1-based, None likewise.
    """

    def __init__(
        self,
        file: str,
        problem: str,
        *,
        path: str = "$",
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        place = "".join(f":{number}" for number in (line, column) if number is not None)
        super().__init__(f"{file}{place}: {problem}", path)
        self.file = file
        self.line = line
        self.column = column
        self.problem = problem


class UpstreamUnavailable(FlagkeepError):
    """There was no answer over HTTP: no connection, no trust, cut off, too slow or too large.

    Attributes:
        server: which one, without secrets, such as `https://stream.launchdarkly.com`.
        reason: why, and what to do.
    """

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(f"{server}: {reason}")
        self.server = server
        self.reason = reason


class StoreError(FlagkeepError):
    """A feature store failed.

    Attributes:
        store: which one, without secrets, such as `sqlite flags.db`.
        operation: what was tried, such as `get_all`.
        reason: why it failed and what to do.
    """

    def __init__(self, store: str, operation: str, reason: str) -> None:
        super().__init__(f"{store}: {operation} failed: {reason}")
        self.store = store
        self.operation = operation
        self.reason = reason


class StoreUnavailable(StoreError):
    """The store cannot be used now; it may pass: locked, unreachable, full, read-only."""


def as_store_error(error: Exception, store: str, operation: str) -> StoreError:
    """Return what a store raised as what it should have raised.

    A store of somebody else may raise anything; the text of that is not shown, as it may hold a
    password.
    """
    if isinstance(error, StoreError):
        return error
    reason = f"it raised {type(error).__name__}, where a store raises StoreError"
    return StoreUnavailable(store, operation, reason)


class StoreMissing(StoreUnavailable):
    """There is no store yet: the file or table does not exist."""


class StoreCorrupt(StoreError):
    """What is there is not a store, or a damaged one; it is never overwritten."""


class StoreLayoutTooNew(StoreError):
    """The store was written by a newer flagkeep, in a layout unknown to this one.

    Attributes:
        found: the layout number in the store.
        known: the newest that this release understands.
    """

    def __init__(self, store: str, operation: str, *, found: int, known: int) -> None:
        reason = f"its layout is {found}, this release knows up to {known}: upgrade flagkeep"
        super().__init__(store, operation, reason)
        self.found = found
        self.known = known


class StoreClosed(StoreError):
    """The store was used after it was closed."""

    def __init__(self, store: str, operation: str) -> None:
        super().__init__(store, operation, "it was closed")
