"""What clients say of a table that cannot be used: in the status, and in one line of the log."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

pytest.importorskip("boto3")

from flagkeep._sync.client import Client
from flagkeep._sync.stores.dynamodb import DynamoDBStore
from flagkeep._runtime import threads as runtime
from flagkeep.config import CachePolicy, Config, StorePolicy
from flagkeep.model.context import Context
from tests._sync.dynamodb_stores import PATIENT, store_at
from tests._sync.hand_source import HandSource, environment, flag
from tests._sync.waiting import until
from tests.limits import check_within
from tests.servers.dynamodb import create_table, drop_table
from tests.servers.dynamodb_faults import DynamoDBFaults
from tests.servers.server import free_port

pytestmark = pytest.mark.slow

USER: Final = Context.create("u")
SECRET: Final = "hunter2-secret"
ANOTHER_KEY: Final = "flagkeep-status-another-key"

# What is wrong, and what has to be said of it.
WRONG: Final = {
    "missing": ("aws dynamodb create-table --table-name not-there", "--region us-east-1"),
    "another key": ("partition key namespace (String)", f"create-table --table-name {ANOTHER_KEY}"),
    "turned round": ("partition key namespace (String)", "create-table --table-name"),
    "no credentials": ("there are no AWS credentials", "AWS_ACCESS_KEY_ID"),
    "expired": ("the session token has expired", "get new credentials"),
    "denied": ("AWS denies the access (dynamodb:", "dynamodb:GetItem, BatchGetItem and Query"),
    "unknown": ("AWS does not know the access key", "region"),
    "signature": ("check the secret key", "clock"),
    "unreachable": ("the connection was refused", "is it running"),
    "nowhere": ("the name of its host is unknown", "region"),
    "no region": ("there is no region", "AWS_DEFAULT_REGION"),
    "hangs": ("no answer within", "s"),
}
ANSWERS: Final = {
    "expired": "ExpiredTokenException",
    "unknown": "UnrecognizedClientException",
    "signature": "InvalidSignatureException",
}
KEYS: Final = {
    "another key": [("id", "HASH")],
    "turned round": [("key", "HASH"), ("namespace", "RANGE")],
}
SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "another key": {"table": ANOTHER_KEY},
    "hangs": {"timeout": 0.3},
    "missing": {"table": "not-there"},
    "no credentials": {"access_key_id": None, "secret_access_key": None},
    "no region": {"region": None, "url": None},
    "nowhere": {"url": "http://no-such-host.invalid"},
    "turned round": {"table": ANOTHER_KEY},
    "unreachable": {"url": f"http://127.0.0.1:{free_port()}"},
}
# What those are told of, too, who read single items.
ITEMS: Final = ("missing", "another key", "turned round", "expired")


@pytest.fixture(autouse=True)
def _no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no credentials of this machine be found, and let no question leave it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture
def faults(dynamodb_url: str) -> Iterator[DynamoDBFaults]:
    with DynamoDBFaults(dynamodb_url) as faults:
        yield faults


@pytest.fixture
def broken(
    dynamodb_url: str, dynamodb_table: str, faults: DynamoDBFaults
) -> Iterator[Callable[[str], DynamoDBStore]]:
    """Opens a store with something wrong."""
    made: list[str] = []

    def opened(wrong: str) -> DynamoDBStore:
        if wrong in KEYS:
            create_table(dynamodb_url, ANOTHER_KEY, keys=KEYS[wrong])
            made.append(ANOTHER_KEY)
        if wrong in ANSWERS:
            faults.error(None, ANSWERS[wrong], message="of the service")
        elif wrong == "denied":
            faults.deny(None)
        elif wrong == "hangs":
            faults.hang(None)
        settings = {"url": faults.url, "table": dynamodb_table, "secret_access_key": SECRET}
        return store_at(**{**settings, **SETTINGS.get(wrong, {})})

    yield opened
    for table in made:
        drop_table(dynamodb_url, table)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was said of the store that an operator must see."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and "dynamodb" in record.getMessage()
    ]


def until_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    """Wait until the store has failed once more, which is not worth a line."""
    until(lambda: any(one.getMessage().startswith("still: ") for one in caplog.records))


def check_said(
    client: Client, caplog: pytest.LogCaptureFixture, parts: tuple[str, ...]
) -> None:
    """The status and one line of the log say what is wrong, however often it is tried again."""

    def is_told() -> bool:
        status = client.status.store
        return status is not None and not status.available

    until(is_told)
    until_asked_again(caplog)
    status = client.status.store
    assert status is not None
    assert not status.available
    (line,) = errors(caplog)
    for part in parts:
        assert part in status.reason
        assert part in line
    assert "\n" not in line
    assert SECRET not in caplog.text + status.reason
    assert not [record for record in caplog.records if record.exc_info]


def all_but(
    cases: Iterable[tuple[object, ...]], quick: Collection[tuple[object, ...]]
) -> list[Any]:
    """Return the cases, of which only the quick ones run in every test run."""
    return [
        pytest.param(*case, marks=() if case in quick else pytest.mark.faults) for case in cases
    ]


@pytest.mark.parametrize(
    ("wrong", "prefetch"),
    all_but(
        [*((wrong, True) for wrong in WRONG), *((wrong, False) for wrong in ITEMS)],
        [("missing", True), ("no credentials", True), ("turned round", False)],
    ),
)
def test_a_reader_says_once_what_is_wrong(
    wrong: str,
    prefetch: bool,  # noqa: FBT001  a parameter of the test
    broken: Callable[[str], DynamoDBStore],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "flagkeep")
    began = runtime.monotonic()
    config = Config(
        daemon=True,
        send_events=False,
        cache=CachePolicy(0.2),
        store_policy=_policy(prefetch=prefetch),
    )
    with Client(config, store=broken(wrong)) as client:
        check_within(2, since=began)
        assert client.variation("f", USER, "default") == "default"
        check_said(client, caplog, WRONG[wrong])


@pytest.mark.parametrize("wrong", all_but(((wrong,) for wrong in WRONG), [("missing",)]))
def test_a_writer_says_at_the_first_contact_what_is_wrong(
    wrong: str,
    broken: Callable[[str], DynamoDBStore],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "flagkeep")
    source = HandSource()
    config = Config(source=source, send_events=False, cache=CachePolicy(0.2))
    with Client(config, store=broken(wrong)) as client:
        # Nothing has come from the source yet.
        check_said(client, caplog, WRONG[wrong])
        source.deliver(environment(flag("f", "served")))
        assert client.variation("f", USER, "default") == "served"
        caplog.clear()
        until_asked_again(caplog)
        assert not errors(caplog)


def _policy(*, prefetch: bool) -> StorePolicy:
    return StorePolicy(prefetch=prefetch, deadline=PATIENT)
