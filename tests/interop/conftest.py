"""What all tests of interoperation share."""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def raw(redis_url: str) -> Iterator[Any]:
    """A plain `redis.Redis`, to look at what is really there."""
    import redis  # noqa: PLC0415  other Pythons collect these tests without having it

    with redis.Redis.from_url(redis_url) as client:
        yield client
