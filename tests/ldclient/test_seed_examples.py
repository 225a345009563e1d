"""The Python examples of LaunchDarkly's page about persistent feature stores, as they are there."""

from collections.abc import Iterator
from typing import Final

import pytest

from flagkeep.ldclient.integrations import Consul, DynamoDB, Redis
from tests.ldclient.programs import attempt, run
from tests.ldclient.sources import environment
from tests.servers import aws
from tests.servers.consul import ConsulServer, remove, remove_records
from tests.servers.dynamodb import DynamoDBServer, create_table, drop_table

INSTALL: Final = """
import warnings
import flagkeep.ldclient
flagkeep.ldclient.install()
warnings.filterwarnings("ignore", "Config without an SDK key", DeprecationWarning)
"""

IGNORE_OLD_NAME: Final = """
warnings.filterwarnings("ignore", "RedisFeatureStore is deprecated", DeprecationWarning)
"""

# An application's own store, written as the example writes it.
STORE: Final = """
from ldclient.interfaces import FeatureStore
from ldclient.versioned_data_kind import FEATURES, SEGMENTS

FLAG = {"key": "f", "version": 1, "on": True, "variations": ["stored"],
        "fallthrough": {"variation": 0}, "salt": ""}
store_options = {}

class SomeKindOfFeatureStore(FeatureStore):
    def __init__(self, options):
        self.data = {FEATURES: {"f": FLAG}, SEGMENTS: {}}
    def get(self, kind, key, callback=lambda x: x):
        return callback(self.data[kind].get(key))
    def all(self, kind, callback=lambda x: x):
        return callback(self.data[kind])
    def init(self, all_data):
        self.data = all_data
    def upsert(self, kind, item):
        self.data[kind][item["key"]] = item
    def delete(self, kind, key, version):
        self.data[kind].pop(key, None)
    @property
    def initialized(self):
        return True
"""

# What an application does next.
USE: Final = """
from ldclient import Context
client = ldclient.get()
print(client.is_initialized(), client.variation("f", Context.create("u"), "default"))
client.close()
"""

OWN_STORE: Final = """
import ldclient
from ldclient.config import Config

store = SomeKindOfFeatureStore(store_options)
config = Config(feature_store=store)
ldclient.set_config(config)
"""

DAEMON_MODE: Final = """
import ldclient
from ldclient.config import Config

store = SomeKindOfFeatureStore(store_options)
config = Config(feature_store=store, use_ldd=True)
ldclient.set_config(config)
"""

REDIS: Final = """
import ldclient
from ldclient.config import Config
from ldclient.feature_store import CacheConfig
from ldclient.integrations import Redis

store = Redis.new_feature_store(url='redis://my-redis:6379',
    prefix='my-key-prefix', caching=CacheConfig(expiration=30))
"""

REDIS_BEFORE_6_7: Final = """
import ldclient
from ldclient.config import Config
from ldclient.redis_feature_store import RedisFeatureStore

store = RedisFeatureStore(url='redis://my-redis:6379', prefix='my-key-prefix',
    expiration=30)
"""

CONNECTED: Final = """
config = Config(feature_store=store)
ldclient.set_config(config)
"""

ONLY_READING: Final = """
config = Config(feature_store=store, use_ldd=True)
ldclient.set_config(config)
"""

DYNAMODB: Final = """
import ldclient
from ldclient.config import Config
from ldclient.feature_store import CacheConfig
from ldclient.integrations import DynamoDB

store = DynamoDB.new_feature_store('my_table',
    caching=CacheConfig(expiration=30))
"""

CONSUL: Final = """
import ldclient
from ldclient.config import Config
from ldclient.feature_store import CacheConfig
from ldclient.integrations import Consul

store = Consul.new_feature_store(host='my-consul', port=8100,
    prefix='my-key-prefix', caching=CacheConfig(expiration=30))
"""


@pytest.mark.parametrize("example", [OWN_STORE, DAEMON_MODE], ids=["own store", "daemon mode"])
def test_examples_with_a_store_of_the_application_run_as_they_are(example: str) -> None:
    assert run(INSTALL + STORE + example + USE) == "True stored\n"


def test_without_an_sdk_key_there_is_a_deprecation_warning() -> None:
    strict = INSTALL.replace('"ignore"', '"error"')
    done = attempt(strict + STORE + OWN_STORE)
    assert "DeprecationWarning: Config without an SDK key" in done.stderr


USES: Final = pytest.mark.parametrize(
    ("use", "said"),
    [
        (CONNECTED, ["Missing or blank SDK key: LaunchDarkly is not asked; the client serves"]),
        (ONLY_READING, []),
    ],
    ids=["connected", "only reading"],
)


@pytest.mark.extras
@pytest.mark.slow
@pytest.mark.parametrize("store", [REDIS, REDIS_BEFORE_6_7], ids=["redis", "redis before 6.7"])
@USES
def test_examples_with_redis_serve_what_it_holds_with_one_warning_at_most(
    redis_url: str, store: str, use: str, said: list[str]
) -> None:
    filling = Redis.new_feature_store(redis_url, "my-key-prefix")
    filling.init(environment(f="stored"))
    filling.close()
    example = (store + use).replace("redis://my-redis:6379", redis_url)
    check_that_it_serves(INSTALL + IGNORE_OLD_NAME + example, said)


@pytest.mark.extras
def test_the_old_name_of_a_redis_store_is_deprecated() -> None:
    done = attempt(INSTALL + REDIS_BEFORE_6_7)
    assert done.stderr.splitlines()[-1].startswith("DeprecationWarning: RedisFeatureStore is")


@pytest.fixture
def my_table(dynamodb_server: DynamoDBServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The table of the example, where AWS's variables lead to."""
    name = "my_table"
    for variable, value in aws.variables(dynamodb_server.url).items():
        monkeypatch.setenv(variable, value)
    create_table(dynamodb_server.url, name)
    yield name
    drop_table(dynamodb_server.url, name)


@pytest.mark.extras
@pytest.mark.slow
@USES
def test_examples_with_dynamodb_run_as_they_are(my_table: str, use: str, said: list[str]) -> None:
    filling = DynamoDB.new_feature_store(my_table)
    filling.init(environment(f="stored"))
    filling.close()
    check_that_it_serves(INSTALL + DYNAMODB + use, said)


@pytest.fixture
def my_consul(consul_server: ConsulServer) -> Iterator[str]:
    """Host and port of a Consul that has flags under the prefix of the example."""
    address = consul_server.url.removeprefix("http://")
    host, port = address.split(":")
    filling = Consul.new_feature_store(host, int(port), "my-key-prefix")
    filling.init(environment(f="stored"))
    filling.close()
    yield address
    remove(consul_server.url, "my-key-prefix/")
    remove_records(consul_server.url, "my-key-prefix")


@pytest.mark.slow
@USES
def test_examples_with_consul_run_as_they_are(my_consul: str, use: str, said: list[str]) -> None:
    host, port = my_consul.split(":")
    example = CONSUL.replace("'my-consul'", repr(host)).replace("8100", port)
    assert example != CONSUL
    check_that_it_serves(INSTALL + example + use, said)


@pytest.mark.slow
def test_the_example_with_consul_needs_no_change_where_the_environment_says_where_it_is(
    my_consul: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_ADDR", my_consul)
    said = [f"CONSUL_HTTP_ADDR outranks host and port: Consul is asked at http://{my_consul}"]
    check_that_it_serves(INSTALL + CONSUL + ONLY_READING, said)


def check_that_it_serves(example: str, said: list[str]) -> None:
    """Run an example; it must find the stored value, and say no more than what begins so."""
    done = attempt(example + USE)
    assert done.stdout == "True stored\n", done.stderr
    for warning, beginning in zip(done.stderr.splitlines(), said, strict=True):
        assert warning.startswith(beginning)
