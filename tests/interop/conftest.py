"""What all tests of interoperation share."""

import base64
from collections.abc import Iterator

import pytest

from tests.interop.place import ConsulPlace, DynamoDBPlace, Place, RedisPlace
from tests.servers import consul


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """The database in which a test's `place` is: Redis, if the test names none."""
    return getattr(request, "param", "redis")


@pytest.fixture
def place(database: str, request: pytest.FixtureRequest) -> Iterator[Place]:
    """An empty environment in a database."""
    if database == "dynamodb":
        table = request.getfixturevalue("dynamodb_table")
        yield DynamoDBPlace(request.getfixturevalue("dynamodb_url"), table=table)
    elif database == "consul":
        prefix = request.getfixturevalue("consul_prefix")
        url = request.getfixturevalue("consul_url")
        yield ConsulPlace(url, f"{prefix}-größe")
        _remove_records(url, prefix)
    else:
        import redis  # noqa: PLC0415  other Pythons collect these tests without having it

        url = request.getfixturevalue("redis_url")
        with redis.Redis.from_url(url) as client:
            yield RedisPlace(url, raw=client)


def _remove_records(url: str, start: str) -> None:
    """Delete what we have written about all environments whose prefixes begin so."""
    name = base64.b32encode(start.encode()).decode()[: len(start.encode()) * 8 // 5]
    consul.remove(url, f"{consul.RECORDS}{name}")
