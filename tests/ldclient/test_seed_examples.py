"""The Python examples of LaunchDarkly's page about persistent feature stores, as they are there."""

from typing import Final

import pytest

from flagkeep.ldclient.integrations import Redis
from tests.ldclient.programs import attempt, run
from tests.ldclient.sources import environment

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


@pytest.mark.parametrize(
    ("example", "named"),
    [
        (DYNAMODB, "DynamoDB.new_feature_store"),
        (CONSUL, "Consul.new_feature_store"),
    ],
    ids=["dynamodb", "consul"],
)
def test_examples_with_a_database_of_a_later_release_say_so(example: str, named: str) -> None:
    done = attempt(INSTALL + example)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith("flagkeep.errors.NotBuiltYet: ")
    assert f"{named} is not part of this release of flagkeep" in done.stderr


@pytest.mark.extras
@pytest.mark.slow
@pytest.mark.parametrize("store", [REDIS, REDIS_BEFORE_6_7], ids=["redis", "redis before 6.7"])
@pytest.mark.parametrize(
    ("use", "said"),
    [
        (CONNECTED, ["Missing or blank SDK key: LaunchDarkly is not asked; the client serves"]),
        (ONLY_READING, []),
    ],
    ids=["connected", "only reading"],
)
def test_examples_with_redis_serve_what_it_holds_with_one_warning_at_most(
    redis_url: str, store: str, use: str, said: list[str]
) -> None:
    filling = Redis.new_feature_store(redis_url, "my-key-prefix")
    filling.init(environment(f="stored"))
    filling.close()
    example = (store + use).replace("redis://my-redis:6379", redis_url)
    done = attempt(INSTALL + IGNORE_OLD_NAME + example + USE)
    assert done.stdout == "True stored\n", done.stderr
    for warning, beginning in zip(done.stderr.splitlines(), said, strict=True):
        assert warning.startswith(beginning)


@pytest.mark.extras
def test_the_old_name_of_a_redis_store_is_deprecated() -> None:
    done = attempt(INSTALL + REDIS_BEFORE_6_7)
    assert done.stderr.splitlines()[-1].startswith("DeprecationWarning: RedisFeatureStore is")
