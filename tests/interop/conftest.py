"""What all tests of interoperation share."""

from collections.abc import Iterator

import pytest

from tests.interop.place import Place


@pytest.fixture
def place(redis_url: str) -> Iterator[Place]:
    """An empty database."""
    import redis  # noqa: PLC0415  other Pythons collect these tests without having it

    with redis.Redis.from_url(redis_url) as client:
        yield Place(redis_url, client)
