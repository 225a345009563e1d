"""The store that a fork is tried with, and where programs find it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from flagkeep.stores import RedisStore, SQLiteStore
from flagkeep.testing import FakeUpstream
from tests.forks.family import Family, Store
from tests.forks.world import RedisWorld, SQLiteWorld, World
from tests.servers.certificates import server_context

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(params=["sqlite", "redis"])
def world(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """A filled store; programs that are started now find it in their environment."""
    if request.param == "sqlite":
        made: World = SQLiteWorld(tmp_path)
    else:
        made = RedisWorld(tmp_path, request.getfixturevalue("redis_server"))
    monkeypatch.setenv("FORKS_STORE", made.url)
    monkeypatch.setenv("FORKS_HEARD", str(made.heard_file))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}:{ROOT}")
    yield made
    made.close()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Who signs the certificates of upstreams."""
    return trustme.CA()


@pytest.fixture
def family(
    request: pytest.FixtureRequest,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Family]:
    """An upstream; programs that are started now find it in their environment.

    Its parameters, divided by a space: "streaming" or "polling"; and "sqlite" or "redis" if there
    is to be a store.
    """
    source, _, kind = getattr(request, "param", "streaming").partition(" ")
    store: Store | None = None
    address = ""
    if kind == "sqlite":
        store, address = SQLiteStore(tmp_path / "flags.db"), f"sqlite:///{tmp_path}/flags.db"
    elif kind == "redis":
        address = request.getfixturevalue("redis_url")
        store = RedisStore(address)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with FakeUpstream(tls=server_context(authority, "127.0.0.1")) as upstream:
        monkeypatch.setenv("FORKS_UPSTREAM", upstream.uri)
        monkeypatch.setenv("FORKS_CA", str(tmp_path / "ca.pem"))
        monkeypatch.setenv("FORKS_SOURCE", source)
        monkeypatch.setenv("FORKS_STORE", address)
        monkeypatch.setenv("FORKS_TRACES", str(tmp_path / "traces"))
        monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}:{ROOT}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield Family(upstream, tmp_path / "traces", store)
    if store is not None:
        store.close()
