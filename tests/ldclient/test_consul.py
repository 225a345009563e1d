"""What is particular to feature stores of the official API in Consul.

The rest is in test_databases.
"""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from flagkeep.errors import ConfigError, StoreError
from flagkeep.ldclient import LDClient
from flagkeep.ldclient._store_core import StoreCore
from flagkeep.ldclient.feature_store import CacheConfig
from flagkeep.ldclient.feature_store_helpers import CachingStoreWrapper
from flagkeep.ldclient.integrations import Consul
from flagkeep.ldclient.versioned_data_kind import FEATURES
from flagkeep.testing import FakeUpstream
from tests.ldclient.databases import ConsulFolder
from tests.ldclient.programs import run
from tests.ldclient.sources import USER, environment, flag, quiet
from tests.servers import consul
from tests.servers.consul import ConsulServer
from tests.servers.consul_faults import ConsulFaults

PREFIX: Final = "my-key-prefix"

# As the guide shows it, but for the place, the key and the address of whom it connects to.
PROGRAM: Final = """
import sys
import flagkeep.ldclient
flagkeep.ldclient.install()

import ldclient
from ldclient.config import Config
from ldclient.feature_store import CacheConfig
from ldclient.integrations import Consul
from ldclient import Context

host, port, prefix, uri = sys.argv[1:]
store = Consul.new_feature_store(host=host, port=int(port),
    prefix=prefix, caching=CacheConfig(expiration=30))

if uri:
    config = Config("sdk-key", feature_store=store, stream_uri=uri, send_events=False)
else:
    config = Config("sdk-key", feature_store=store, use_ldd=True)
ldclient.set_config(config)
client = ldclient.get()
print(client.is_initialized(), client.variation("f", Context.create("u"), "default"))
client.close()
"""


@pytest.fixture
def at(consul_url: str, consul_prefix: str) -> ConsulFolder:
    return ConsulFolder(consul_url, consul_prefix)


@pytest.fixture(scope="module")
def guarded() -> Iterator[ConsulServer]:
    """A Consul that wants certificates and tokens."""
    with ConsulServer(acl=True, tls=True, client_certificates=True) as server:
        yield server


def shown(store: CachingStoreWrapper) -> str:
    """Return what the store behind a wrapper says of itself."""
    assert isinstance(store._core, StoreCore)
    return repr(store._core.store)


def place(url: str) -> dict[str, Any]:
    """Return the arguments for a server."""
    found = re.fullmatch(r"https?://([^:]+):(\d+)", url)
    assert found
    return {"host": found[1], "port": int(found[2])}


@pytest.mark.slow
def test_a_program_fills_a_consul_and_another_reads_it(at: ConsulFolder) -> None:
    host, port = at.place
    with FakeUpstream() as upstream:
        upstream.put({"f": flag("f", "streamed")})
        assert run(PROGRAM, host, str(port), at.prefix, upstream.uri) == "True streamed\n"
    assert set(at.content()) == {"features/f", "$inited"}
    assert run(PROGRAM, host, str(port), at.prefix, "") == "True streamed\n"


@pytest.mark.parametrize("prefix", [None, ""])
def test_there_is_a_default_prefix(prefix: str | None, consul_url: str) -> None:
    store = Consul.new_feature_store(**place(consul_url), prefix=prefix)
    assert Consul.DEFAULT_PREFIX == "launchdarkly"
    assert "prefix='launchdarkly'" in shown(store)
    store.close()


def test_without_host_and_port_it_is_the_agent_of_this_machine() -> None:
    store = Consul.new_feature_store()
    assert "consul 127.0.0.1:8500" in shown(store)
    store.close()


def test_options_that_are_none_are_as_if_they_were_not_there() -> None:
    names = ("host", "port", "token", "scheme", "consistency", "dc", "verify", "cert")
    store = Consul.new_feature_store(consul_opts=dict.fromkeys(names))
    assert "consul 127.0.0.1:8500" in shown(store)
    store.close()


@pytest.mark.usefixtures("consul_here")
@pytest.mark.parametrize("form", ["file with both", "two files"])
def test_the_options_are_those_of_python_consul(
    guarded: ConsulServer, tmp_path: Path, form: str
) -> None:
    cert: Any = (guarded.cert_file, guarded.key_file)
    if form == "file with both":
        both = tmp_path / "both.pem"
        both.write_text(Path(guarded.cert_file).read_text() + Path(guarded.key_file).read_text())
        cert = str(both)
    options = {
        "token": guarded.token,
        "scheme": "https",
        "verify": guarded.ca_file,
        "cert": cert,
        "dc": "dc1",
        "consistency": "consistent",
        **place(guarded.url),
    }
    given = dict(options)
    store = Consul.new_feature_store(prefix=PREFIX, consul_opts=options)
    assert options == given  # the official factory puts host and port in
    options["token"] = "none"  # the caller's business
    store.init(environment(f=1))
    assert store.get(FEATURES, "f")["variations"] == [1]
    store.close()
    store.disable_cache()
    assert store.get(FEATURES, "f")["variations"] == [1]  # with connections of its own again
    store.close()


@pytest.mark.usefixtures("consul_here")
def test_arguments_outrank_the_options(guarded: ConsulServer) -> None:
    options = {
        "host": "no-host.invalid",
        "port": 1,
        "token": guarded.token,
        "scheme": "https",
        "verify": False,
        "cert": [guarded.cert_file, guarded.key_file],
    }
    store = Consul.new_feature_store(**place(guarded.url), prefix=PREFIX, consul_opts=options)
    assert store.is_available()
    store.close()


def test_options_reach_the_server(consul_url: str) -> None:
    with ConsulFaults(consul_url) as faults:
        options = {"token": "s3cret", "dc": "dc1", "consistency": "stale"}
        store = Consul.new_feature_store(**place(faults.url), consul_opts=options)
        store.is_available()
        store.close()
    (request,) = faults.requests
    assert request.path.startswith("/v1/kv/launchdarkly/")
    assert {"dc=dc1", "stale"} <= set(request.path.partition("?")[2].split("&"))
    assert request.headers["authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"host": "http://my-consul"}, "host must be a name or an address such as my-consul"),
        ({"host": "my-consul:8500"}, "host must be a name or an address such as my-consul"),
        ({"host": "me:s3cret@my-consul"}, "host must be a name or an address such as my-consul"),
        ({"host": ""}, "host must be a name or an address such as my-consul"),
        ({"host": 7}, "host must be a name or an address such as my-consul"),
        ({"port": 0}, "port must be a number from 1 to 65535, not 0"),
        ({"port": "http"}, "port must be a number from 1 to 65535, not 'http'"),
        ({"port": True}, "port must be a number from 1 to 65535, not True"),
        ({"prefix": "/x"}, "prefix cannot be '/x'"),
        ({"consul_opts": {"tocken": "s3cret"}}, "consul_opts: 'tocken' is not known; it takes"),
        ({"consul_opts": {"scheme": "ftp"}}, "scheme must be 'http' or 'https', not 'ftp'"),
        ({"consul_opts": {"consistency": "none"}}, "consistency must be one of"),
        ({"consul_opts": {"dc": 7}}, "datacenter must be text"),
        ({"consul_opts": {"token": "s3cret \n"}}, "token must be text in ASCII without blanks"),
        ({"consul_opts": {"verify": 7}}, "verify must be True, False or the path of a CA file"),
        ({"consul_opts": {"verify": "ca.pem"}}, "verify and cert need 'scheme': 'https'"),
        ({"consul_opts": {"cert": "c.pem"}}, "verify and cert need 'scheme': 'https'"),
        ({"consul_opts": {"cert": 7}}, "cert must be a path, or those of certificate and key"),
        ({"consul_opts": {"cert": ("a", "b", "c")}}, "cert must be a path, or those of"),
        ({"consul_opts": {"scheme": "https", "verify": "/no/ca.pem"}}, "there is no file '/no/ca"),
        ({"caching": 30}, "a cache is described by a CacheConfig, not int"),
    ],
)
@pytest.mark.parametrize("factory", [Consul.new_feature_store, Consul.async_feature_store])
def test_what_cannot_work_is_refused_at_once(
    factory: Any, arguments: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem) as refusal:
        factory(**arguments)
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("my-consul", "my-consul:8100"),
        ("::1", "[::1]:8100"),
        ("[::1]", "[::1]:8100"),
        ("10.0.0.1", "10.0.0.1:8100"),
    ],
)
@pytest.mark.parametrize("port", [8100, "8100"])
def test_every_kind_of_host_is_one(host: str, port: Any, url: str) -> None:
    store = Consul.new_feature_store(host, port)
    assert f"consul {url}" in shown(store)
    store.close()


# --- the environment ---------------------------------------------------------------------------


def test_the_environment_outranks_what_was_given(
    at: ConsulFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_ADDR", at.url)
    store = Consul.new_feature_store("my-consul", 8100, at.prefix)
    assert store.is_available()
    store.close()
    (warning,) = caplog.messages
    assert warning == (
        f"CONSUL_HTTP_ADDR outranks host and port: Consul is asked at {at.url}, not at"
        " http://my-consul:8100"
    )


@pytest.mark.parametrize("arguments", [{}, {"host": "here", "port": 8100}])
def test_the_environment_may_say_what_nobody_else_says(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, arguments: dict[str, Any]
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "here:8100")
    store = Consul.new_feature_store(**arguments)
    assert "consul here:8100" in shown(store)
    assert not caplog.messages
    store.close()


@pytest.mark.usefixtures("consul_here")
def test_token_and_tls_may_come_from_the_environment(
    guarded: ConsulServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_ADDR", guarded.url.removeprefix("https://"))
    monkeypatch.setenv("CONSUL_HTTP_SSL", "true")
    monkeypatch.setenv("CONSUL_HTTP_SSL_VERIFY", "false")
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", str(guarded.token))
    options = {"token": "another", "cert": (guarded.cert_file, guarded.key_file)}
    store = Consul.new_feature_store(prefix=PREFIX, consul_opts=options)
    assert store.is_available()
    monkeypatch.setenv("CONSUL_HTTP_SSL_VERIFY", "true")
    suspicious = Consul.new_feature_store(prefix=PREFIX, consul_opts=options)
    with pytest.raises(StoreError, match="certificate"):
        suspicious.get(FEATURES, "f")
    for one in (store, suspicious):
        one.close()


@pytest.mark.parametrize("address", ["s3cret", "h:x", "ftp://h:1", "http://me:s3cret@h:1", "h:0"])
def test_an_address_in_the_environment_that_cannot_work_is_refused(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_ADDR", address)
    with pytest.raises(ConfigError, match=r"CONSUL_HTTP_ADDR|port") as refusal:
        Consul.new_feature_store()
    assert "s3cret" not in str(refusal.value)


# --- secrets, and rights -------------------------------------------------------------------------


@pytest.mark.usefixtures("consul_here")
def test_no_message_shows_a_token(guarded: ConsulServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    options = {
        "token": "0badcafe-5ec7-e7aa-0000-000000000000",
        "scheme": "https",
        "verify": guarded.ca_file,
        "cert": (guarded.cert_file, guarded.key_file),
    }
    store = Consul.new_feature_store(**place(guarded.url), consul_opts=options)
    with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
        assert client.variation("f", USER, "default") == "default"
    with pytest.raises(StoreError, match="token") as failure:
        store.get(FEATURES, "f")
    store.close()
    said = f"{failure.value} {failure.value.__cause__!r} {store!r} {store._core!r} {caplog.text}"
    assert "0badcafe" not in said


@pytest.mark.usefixtures("consul_here")
def test_a_token_that_may_only_read_is_enough_for_daemon_mode(guarded: ConsulServer) -> None:
    tls = {
        "scheme": "https",
        "verify": guarded.ca_file,
        "cert": (guarded.cert_file, guarded.key_file),
    }
    writer = Consul.new_feature_store(
        **place(guarded.url), prefix="shop", consul_opts={**tls, "token": guarded.token}
    )
    writer.init(environment(f="stored"))
    writer.close()
    token = guarded.new_token('key_prefix "shop/" { policy = "read" }')
    store = Consul.new_feature_store(
        **place(guarded.url),
        prefix="shop",
        consul_opts={**tls, "token": token},
        caching=CacheConfig.disabled(),
    )
    with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
        assert client.variation("f", USER, "default") == "stored"
    with pytest.raises(StoreError, match="key_prefix"):
        store.init(environment(f=2))
    store.close()


def test_environments_whose_prefixes_begin_alike_leave_each_other_alone(
    at: ConsulFolder, consul_url: str
) -> None:
    stores = {
        name: Consul.new_feature_store(*at.place, f"{at.prefix}{name}") for name in ("", "0", "/x")
    }
    try:
        for name, store in stores.items():
            store.init(environment(f=name or "itself"))
        stores[""].init({})
        stores["0"].disable_cache()
        stores["/x"].disable_cache()
        assert stores["0"].get(FEATURES, "f")["variations"] == ["0"]
        assert stores["/x"].get(FEATURES, "f")["variations"] == ["/x"]
    finally:
        for name, store in stores.items():
            store.close()
            consul.remove_records(consul_url, f"{at.prefix}{name}")
