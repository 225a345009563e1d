"""What is particular to the store in Consul; what it shares with others is in the suite."""

import pytest

from flagkeep._sync.stores.consul import ConsulStore
from tests._sync.store_suite import CHECKS, Backend

NAMES = [check.__name__ for check in CHECKS]


@pytest.mark.parametrize("name", NAMES)
def test_consul(name: str, consul_url: str, consul_prefix: str) -> None:
    def opened(prefix: str) -> ConsulStore:
        return ConsulStore(consul_url, prefix=f"{consul_prefix}{prefix}")

    CHECKS[NAMES.index(name)](Backend(opened))
