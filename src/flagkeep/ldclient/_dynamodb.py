"""How the official names for stores in DynamoDB become stores of flagkeep."""

from collections.abc import Mapping
from typing import Any, Final

from flagkeep.ldclient._big_segments import AsyncBigSegments, BigSegments
from flagkeep.ldclient._drivers import BIG_SEGMENTS, FLAGS, with_driver
from flagkeep.ldclient._store_core import AsyncStoreCore, StoreCore

DESCRIPTION: Final = "DynamoDB"
_IN_DYNAMODB: Final = "in DynamoDB"

_Options = Mapping[str, Any] | None


def dynamodb_core(table: str, prefix: str | None, dynamodb_opts: _Options) -> StoreCore:
    """Return the calls to a table; nothing connects, or looks for credentials, yet.

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
    make = with_driver(lambda: DynamoDBStore(table, **given), f"{FLAGS} {_IN_DYNAMODB}")
    return StoreCore(make(), make, DESCRIPTION)


def async_dynamodb_core(table: str, prefix: str | None, dynamodb_opts: _Options) -> AsyncStoreCore:
    """Return the calls to a table for asyncio; arguments and errors as for `dynamodb_core`."""
    from flagkeep.stores import AsyncDynamoDBStore  # noqa: PLC0415  it needs asyncio

    given = _arguments(prefix, dynamodb_opts)
    make = with_driver(lambda: AsyncDynamoDBStore(table, **given), f"{FLAGS} {_IN_DYNAMODB}")
    return AsyncStoreCore(make(), make, DESCRIPTION)


def dynamodb_big_segments(table: str, prefix: str | None, dynamodb_opts: _Options) -> BigSegments:
    """Return Big Segments in a table; arguments and errors as for `dynamodb_core`."""
    from flagkeep.stores import DynamoDBBigSegmentStore  # noqa: PLC0415  not every program has one

    given = _arguments(prefix, dynamodb_opts)
    make = with_driver(
        lambda: DynamoDBBigSegmentStore(table, **given), f"{BIG_SEGMENTS} {_IN_DYNAMODB}"
    )
    return BigSegments(make)


def async_dynamodb_big_segments(
    table: str, prefix: str | None, dynamodb_opts: _Options
) -> AsyncBigSegments:
    """Return Big Segments in a table for asyncio; the same arguments and errors."""
    from flagkeep.stores import AsyncDynamoDBBigSegmentStore  # noqa: PLC0415  it needs asyncio

    given = _arguments(prefix, dynamodb_opts)
    make = with_driver(
        lambda: AsyncDynamoDBBigSegmentStore(table, **given), f"{BIG_SEGMENTS} {_IN_DYNAMODB}"
    )
    return AsyncBigSegments(make)


def _arguments(prefix: str | None, dynamodb_opts: _Options) -> dict[str, Any]:
    # A copy: what the caller does to its options later is its own business.
    return {"prefix": prefix or "", "options": dict(dynamodb_opts or {})}
