"""What is particular to the store in Consul; what it shares with others is in the suite."""

import pytest

from flagkeep._async.stores.consul import AsyncConsulStore
from tests._async.store_suite import CHECKS, Backend

NAMES = [check.__name__ for check in CHECKS]


@pytest.mark.parametrize("name", NAMES)
async def test_consul(name: str, consul_url: str, consul_prefix: str) -> None:
    def opened(prefix: str) -> AsyncConsulStore:
        return AsyncConsulStore(consul_url, prefix=f"{consul_prefix}{prefix}")

    await CHECKS[NAMES.index(name)](Backend(opened))
