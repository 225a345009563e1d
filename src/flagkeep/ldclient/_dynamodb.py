"""How the official names for stores in DynamoDB become stores of flagkeep."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from flagkeep._runtime.dynamodb_driver import load
from flagkeep._sync.readiness import make_ready
from flagkeep.ldclient._big_segments import AsyncBigSegments, BigSegments
from flagkeep.ldclient._drivers import BIG_SEGMENTS, FLAGS, with_driver
from flagkeep.ldclient._shared_store import StoreShare
from flagkeep.ldclient._store_core import AsyncStoreCore, StoreCore

DESCRIPTION: Final = "DynamoDB"
_IN_DYNAMODB: Final = "in DynamoDB"

_Options = Mapping[str, Any] | None


def dynamodb_core(table: str, prefix: str | None, dynamodb_opts: _Options) -> StoreCore:
    """Return the calls to a table. boto3 is imported; nothing connects yet.

    Args:
        table: its name or ARN.
        prefix: None or empty for none.
        dynamodb_opts: arguments of boto3's client, such as `region_name`. What is not there, boto3
            finds in the environment, in AWS's configuration files or at the machine's role.

    Raises:
        ConfigError: the name or an option cannot work.
        DriverNotInstalled: boto3 is not there.
    """
    from flagkeep.stores import DynamoDBStore  # noqa: PLC0415  not every program has one

    given = _arguments(prefix, dynamodb_opts)
    make = _loaded(lambda: DynamoDBStore(table, **given), FLAGS)
    return _Core(make(), make, DESCRIPTION)


def async_dynamodb_core(table: str, prefix: str | None, dynamodb_opts: _Options) -> AsyncStoreCore:
    """Return the calls to a table for asyncio; arguments and errors as for `dynamodb_core`."""
    from flagkeep.stores import AsyncDynamoDBStore  # noqa: PLC0415  it needs asyncio

    given = _arguments(prefix, dynamodb_opts)
    make = _loaded(lambda: AsyncDynamoDBStore(table, **given), FLAGS)
    return AsyncStoreCore(make(), make, DESCRIPTION)


def dynamodb_big_segments(table: str, prefix: str | None, dynamodb_opts: _Options) -> BigSegments:
    """Return Big Segments in a table; arguments and errors as for `dynamodb_core`."""
    from flagkeep.stores import DynamoDBBigSegmentStore  # noqa: PLC0415  not every program has one

    given = _arguments(prefix, dynamodb_opts)
    make = _loaded(lambda: DynamoDBBigSegmentStore(table, **given), BIG_SEGMENTS)
    return BigSegments(make)


def async_dynamodb_big_segments(
    table: str, prefix: str | None, dynamodb_opts: _Options
) -> AsyncBigSegments:
    """Return Big Segments in a table for asyncio; the same arguments and errors."""
    from flagkeep.stores import AsyncDynamoDBBigSegmentStore  # noqa: PLC0415  it needs asyncio

    given = _arguments(prefix, dynamodb_opts)
    make = _loaded(lambda: AsyncDynamoDBBigSegmentStore(table, **given), BIG_SEGMENTS)
    return AsyncBigSegments(make)


S = TypeVar("S")


class _Core(StoreCore):
    """The calls to a table; whoever borrows it finds it getting ready."""

    def share(self) -> StoreShare:
        """Return what one client works with, which looks for credentials at once."""
        share = super().share()
        make_ready(share.store)
        return share


def _loaded(make: Callable[[], S], what: str) -> Callable[[], S]:
    """Return `make` with the official error where boto3 is missing, and once boto3 is there.

    As with the official SDK, the factory waits until boto3 is imported, even on an event loop: no
    evaluation has to within the second that it may take. Nobody is asked for credentials before a
    client has the store.

    Args:
        make: makes a store.
        what: for.
    """
    made = with_driver(make, f"{what} {_IN_DYNAMODB}")
    is_first = iter((True,))

    def loaded() -> S:
        store = made()
        if next(is_first, False):
            load()
        return store

    return loaded


def _arguments(prefix: str | None, dynamodb_opts: _Options) -> dict[str, Any]:
    # A copy: what the caller does to its options later is its own business.
    return {"prefix": prefix or "", "options": dict(dynamodb_opts or {})}
