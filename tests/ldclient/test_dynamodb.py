"""What is particular to stores of the official API in DynamoDB; the rest is in test_databases."""

import logging
from typing import Any, Final

import pytest

from flagkeep.errors import ConfigError, StoreCorrupt, StoreError, StoreMissing
from flagkeep.ldclient import LDClient
from flagkeep.ldclient.feature_store import CacheConfig
from flagkeep.ldclient.feature_store_helpers import CachingStoreWrapper
from flagkeep.ldclient.integrations import DynamoDB
from flagkeep.ldclient.versioned_data_kind import FEATURES
from flagkeep.testing import FakeUpstream
from tests.ldclient.databases import DynamoDBTable
from tests.ldclient.programs import attempt, run
from tests.ldclient.sources import USER, environment, flag, quiet
from tests.servers import aws
from tests.servers.dynamodb import create_table, drop_table, rows

pytestmark = pytest.mark.extras

# As the guide shows it, but for the key and the address of whom it connects to.
PROGRAM: Final = """
import sys
import flagkeep.ldclient
flagkeep.ldclient.install()

import ldclient
from ldclient.config import Config
from ldclient.feature_store import CacheConfig
from ldclient.integrations import DynamoDB
from ldclient import Context

table, uri = sys.argv[1:]
store = DynamoDB.new_feature_store(table,
    caching=CacheConfig(expiration=30))

if uri:
    config = Config("sdk-key", feature_store=store, stream_uri=uri, send_events=False)
else:
    config = Config("", feature_store=store, use_ldd=True)
ldclient.set_config(config)
client = ldclient.get()
print(client.is_initialized(), client.variation("f", Context.create("u"), "default"))
client.close()
"""


@pytest.fixture
def at(dynamodb_url: str, dynamodb_table: str) -> DynamoDBTable:
    return DynamoDBTable(dynamodb_url, dynamodb_table)


@pytest.fixture
def _environment(dynamodb_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS's variables lead to the server."""
    for variable, value in aws.variables(dynamodb_url).items():
        monkeypatch.setenv(variable, value)


@pytest.mark.slow
@pytest.mark.usefixtures("_environment")
def test_a_program_finds_credentials_region_and_endpoint_in_the_environment(
    dynamodb_url: str, dynamodb_table: str
) -> None:
    with FakeUpstream() as upstream:
        upstream.put({"f": flag("f", "streamed")})
        assert run(PROGRAM, dynamodb_table, upstream.uri) == "True streamed\n"
    found = {(row["namespace"]["S"], row["key"]["S"]) for row in rows(dynamodb_url, dynamodb_table)}
    assert {("features", "f"), ("$inited", "$inited")} <= found
    assert run(PROGRAM.replace('""', '"key"'), dynamodb_table, "") == "True streamed\n"


@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize("prefix", [None, ""])
def test_there_is_no_default_prefix(
    dynamodb_url: str, dynamodb_table: str, prefix: str | None
) -> None:
    store = DynamoDB.new_feature_store(dynamodb_table, prefix)
    store.init(environment(f=1))
    store.close()
    namespaces = {row["namespace"]["S"] for row in rows(dynamodb_url, dynamodb_table)}
    assert namespaces >= {"features", "$inited"}
    assert not any(":" in name for name in namespaces)


def test_options_are_used_and_stay_the_callers_own(at: DynamoDBTable) -> None:
    botocore_config = pytest.importorskip("botocore.config")
    at.options |= {"config": botocore_config.Config(user_agent_extra="shop"), "verify": False}
    store = at.feature_store()
    at.options["endpoint_url"] = "none"  # the caller's business
    store.init(environment(f=1))
    store.close()
    assert store.get(FEATURES, "f")["variations"] == [1]  # with connections of its own again
    store.close()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"table_name": "a b"}, "table must be the name of a table"),
        ({"table_name": None}, "table must be the name of a table"),
        ({"table_name": "flags", "prefix": 7}, "prefix"),
        ({"table_name": "flags", "dynamodb_opts": {"regoin": "x"}}, "has no 'regoin'; it takes"),
        ({"table_name": "flags", "dynamodb_opts": {"endpoint_url": "here"}}, "endpoint must be"),
        ({"table_name": "flags", "dynamodb_opts": {"aws_access_key_id": "AK"}}, "give both"),
        ({"table_name": "flags", "dynamodb_opts": {"config": {}}}, "botocore.config.Config"),
    ],
)
@pytest.mark.parametrize(
    "factory",
    [
        DynamoDB.new_feature_store,
        DynamoDB.async_feature_store,
        DynamoDB.new_big_segment_store,
        DynamoDB.async_big_segment_store,
    ],
)
def test_what_cannot_work_is_refused_at_once(
    factory: Any, arguments: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        factory(**arguments)


def test_no_message_shows_a_secret(
    at: DynamoDBTable, caplog: pytest.LogCaptureFixture, dynamodb_url: str
) -> None:
    caplog.set_level(logging.DEBUG, "flagkeep")
    caplog.set_level(logging.DEBUG, "ldclient")
    secrets = {"aws_secret_access_key": "s3cret", "aws_session_token": "s3cret-token"}
    endpoint = dynamodb_url.replace("://", "://me:s3cret@").replace("127.0.0.1", "no-host.invalid")
    at.options |= secrets | {"endpoint_url": endpoint}
    store = at.feature_store()
    with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
        assert client.variation("f", USER, "default") == "default"
    with pytest.raises(StoreError) as failure:
        store.get(FEATURES, "f")
    store.close()
    said = f"{failure.value} {failure.value.__cause__!r} {store!r} {store._core!r} {caplog.text}"
    assert "s3cret" not in said


def test_a_missing_table_is_named_with_the_command_that_makes_it(
    at: DynamoDBTable, caplog: pytest.LogCaptureFixture
) -> None:
    at.table = "not-there"
    store = at.feature_store()
    assert not store.is_available()
    with pytest.raises(StoreMissing, match=r"create-table --table-name not-there .*us-east-1"):
        store.get(FEATURES, "f")
    with LDClient(quiet(use_ldd=True, feature_store=store)) as client:
        detail = client.variation_detail("f", USER, "default")
        assert (detail.value, detail.reason["errorKind"]) == ("default", "EXCEPTION")
    assert "aws dynamodb create-table --table-name not-there" in caplog.text
    store.close()


@pytest.mark.parametrize(
    "keys", [[("namespace", "HASH")], [("id", "HASH")], [("namespace", "HASH"), ("name", "RANGE")]]
)
def test_a_table_with_another_key_is_said_to_have_one(
    at: DynamoDBTable, keys: list[tuple[str, str]]
) -> None:
    at.table = f"{at.table}-other"
    create_table(at.url, at.table, keys=keys)
    try:
        store = at.feature_store(CacheConfig.disabled())
        with pytest.raises(StoreCorrupt, match="partition key namespace"):
            store.get(FEATURES, "f")
        with pytest.raises(StoreCorrupt, match="partition key namespace"):
            store.init(environment(f=1))
        store.close()
    finally:
        drop_table(at.url, at.table)


def test_a_client_leaves_the_tables_of_others_alone(
    at: DynamoDBTable, dynamodb_url: str, dynamodb_table: str
) -> None:
    other = DynamoDB.new_feature_store(dynamodb_table, "other", at.options)
    other.init(environment(f="other"))
    store: CachingStoreWrapper = at.feature_store()
    store.init(environment(g=1))
    store.init({})
    assert other.get(FEATURES, "f")["variations"] == ["other"]
    namespaces = {row["namespace"]["S"] for row in rows(dynamodb_url, dynamodb_table)}
    assert {"other:features", "other:$inited", "p:$inited"} <= namespaces
    assert "p:features" not in namespaces
    for one in (store, other):
        one.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "what"),
    [
        ("new_feature_store", "feature"),
        ("async_feature_store", "feature"),
        ("new_big_segment_store", "Big Segment"),
        ("async_big_segment_store", "Big Segment"),
    ],
)
def test_without_boto3_the_error_is_the_official_one_and_says_what_to_install(
    call: str, what: str
) -> None:
    program = f"""
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "boto3" else find(name, *more)
import flagkeep.ldclient
flagkeep.ldclient.install()
from flagkeep.errors import MissingExtra
from ldclient.integrations import DynamoDB
try:
    DynamoDB.{call}("table")
except NotImplementedError as exc:
    assert isinstance(exc, MissingExtra)
    print(exc)
"""
    done = attempt(program)
    assert (
        done.stdout
        == f"a {what} store in DynamoDB needs an extra: pip install 'flagkeep[dynamodb]'\n"
    ), done.stderr


# On a small machine boto3 is imported for seconds, and that is more than an evaluation has.
SLOW_IMPORT: Final = """
import sys, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "botocore.session":
            time.sleep(5)

sys.meta_path.insert(0, Slow())

import asyncio
from flagkeep.ldclient import AsyncLDClient, Config, Context, LDClient
from flagkeep.ldclient.async_config import AsyncConfig
from flagkeep.ldclient.integrations import DynamoDB

table, colour = sys.argv[1:]
user = Context.create("u")

async def ask():
    store = DynamoDB.async_feature_store(table)
    client = AsyncLDClient(AsyncConfig("", feature_store=store, use_ldd=True))
    print(await client.variation("f", user, "default"))
    await client.close()

if colour == "asyncio":
    asyncio.run(ask())
else:
    store = DynamoDB.new_feature_store(table)
    client = LDClient(Config("", feature_store=store, use_ldd=True))
    print(client.variation("f", user, "default"))
    client.close()
"""


@pytest.mark.slow
@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize("colour", ["threads", "asyncio"])
def test_the_first_evaluation_does_not_wait_for_an_import(
    dynamodb_table: str, colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAGKEEP_DEADLINE", "2")
    store = DynamoDB.new_feature_store(dynamodb_table)
    store.init(environment(f="stored"))
    store.close()
    assert run(SLOW_IMPORT, dynamodb_table, colour) == "stored\n"
