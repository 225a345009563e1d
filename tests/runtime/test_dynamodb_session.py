"""How a table of DynamoDB is reached: clients, credentials, threads, deadlines, forks."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

boto3 = pytest.importorskip("boto3")
from botocore.config import Config  # noqa: E402

from flagkeep._async.stores.dynamodb_workers import AsyncTurns  # noqa: E402
from flagkeep._runtime import dynamodb_calls  # noqa: E402
from flagkeep._runtime.dynamodb_errors import ConditionFailed  # noqa: E402
from flagkeep._runtime.dynamodb_session import DynamoDBSession  # noqa: E402
from flagkeep._runtime.dynamodb_settings import Settings  # noqa: E402
from flagkeep.errors import StoreClosed, StoreError, StoreUnavailable  # noqa: E402
from flagkeep.stores import AsyncDynamoDBStore, DynamoDBStore  # noqa: E402
from tests._async.waiting import until  # noqa: E402
from tests._sync.dynamodb_stores import many  # noqa: E402
from tests._sync.store_suite import flags, full, part, refs  # noqa: E402
from tests.limits import check_within  # noqa: E402
from tests.servers.dynamodb import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY  # noqa: E402
from tests.servers.dynamodb_faults import DynamoDBFaults  # noqa: E402
from tests.servers.http_faults import Ask, Reply, Request  # noqa: E402
from tests.servers.server import free_port  # noqa: E402

KEYS: dict[str, Any] = {"access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY}
NAMED = {"aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY}
ROLE = "arn:aws:iam::123456789012:role/flags"
SECRET = "hunter2-secret"


@pytest.fixture(autouse=True)
def _no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let nothing of this machine be found, and let no question leave it."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


OTHERS: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def _others() -> None:
    """Leave out what other tests have left hanging: it ends some time."""
    OTHERS.clear()
    OTHERS.update(threading.enumerate())


@pytest.fixture
def faults(dynamodb_url: str) -> Iterator[DynamoDBFaults]:
    with DynamoDBFaults(dynamodb_url) as faults:
        yield faults


@pytest.fixture
def configured(tmp_path: Path) -> Callable[[str], None]:
    """Writes AWS's configuration file."""

    def configured(text: str) -> None:
        (tmp_path / "config").write_text(textwrap.dedent(text))

    return configured


Make = Callable[..., DynamoDBStore]


@pytest.fixture
def opened(dynamodb_table: str, faults: DynamoDBFaults) -> Iterator[Make]:
    """Opens a store behind the proxy; it is closed in the end."""
    made = []

    def opened(**more: Any) -> DynamoDBStore:
        settings = {"endpoint": faults.url, "region": REGION, "timeout": 20.0, **more}
        store = DynamoDBStore(dynamodb_table, **settings)
        made.append(store)
        return store

    yield opened
    for store in made:
        store.close()


def keys_used(faults: DynamoDBFaults) -> set[str]:
    """Return the access keys that requests were signed with."""
    signed = [request.headers["authorization"] for request in faults.requests]
    return {one.partition("Credential=")[2].partition("/")[0] for one in signed}


def reason(ask: Callable[[], object]) -> str:
    with pytest.raises(StoreUnavailable) as caught:
        ask()
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def calls() -> list[threading.Thread]:
    running = set(threading.enumerate()) - OTHERS
    return [one for one in running if one.name == "flagkeep-dynamodb-call"]


# --- where credentials come from ------------------------------------------------------------------


def test_without_credentials_it_is_said_where_they_can_come_from(opened: Make) -> None:
    said = reason(opened().is_initialized)
    assert "no AWS credentials" in said
    assert "AWS_ACCESS_KEY_ID" in said


def test_without_a_region_it_is_said_where_it_can_come_from(opened: Make) -> None:
    said = reason(opened(region=None, **KEYS).is_initialized)
    assert "no region" in said
    assert "AWS_DEFAULT_REGION" in said


def test_credentials_and_region_are_found_where_boto3_finds_them(
    opened: Make,
    faults: DynamoDBFaults,
    configured: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configured(
        """\
        [profile dev]
        aws_access_key_id = OFPROFILE
        aws_secret_access_key = x
        region = eu-west-1
        """
    )
    opened(region=None, profile="dev").is_initialized()
    assert keys_used(faults) == {"OFPROFILE"}
    assert "/eu-west-1/" in faults.requests[-1].headers["authorization"]
    faults.requests.clear()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OFENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    opened().is_initialized()
    assert keys_used(faults) == {"OFENVIRONMENT"}
    assert faults.requests[-1].headers["x-amz-security-token"] == "token"
    faults.requests.clear()
    opened(session_token="mine", **KEYS).is_initialized()
    assert keys_used(faults) == {ACCESS_KEY_ID}
    assert faults.requests[-1].headers["x-amz-security-token"] == "mine"


BROKEN = {
    "[profile other]\nregion = x\n": "no such profile",
    "[profile dev\n": "cannot be read",
    "[profile dev]\naws_access_key_id = AKIA\n": "incomplete",
    "[profile dev]\ncredential_process = sh -c 'echo hunter2-secret; exit 1'\n": "has failed",
    "[profile dev]\ncredential_process = echo hunter2-secret\n": "boto3",
    "[profile dev]\nrole_arn = x\nsource_profile = dev2\n": "contradicts itself",
    (
        "[profile dev]\nsso_start_url = x\nsso_region = x\nsso_account_id = 1\nsso_role_name = x\n"
    ): "SSO",
}


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_wrong_with_a_profile_is_told_in_one_line(
    text: str, opened: Make, configured: Callable[[str], None]
) -> None:
    configured(text)
    assert BROKEN[text] in reason(opened(profile="dev").is_initialized)


class _Sts(BaseHTTPRequestHandler):
    """As much of STS as a role needs."""

    assumed = 0
    seconds = 3600.0
    denies = False
    is_throttled = 0  # how often

    def do_POST(self) -> None:
        kind = type(self)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        assert "Action=AssumeRole" in body
        assert "RoleSessionName=flagkeep" in body
        kind.assumed += 1
        ends = (datetime.now(UTC) + timedelta(seconds=kind.seconds)).isoformat()
        answer = (
            "<AssumeRoleResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'>"
            f"<AssumeRoleResult><Credentials><AccessKeyId>ASSUMED{kind.assumed}</AccessKeyId>"
            f"<SecretAccessKey>x</SecretAccessKey><SessionToken>token{kind.assumed}</SessionToken>"
            f"<Expiration>{ends}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
        )
        if kind.denies:
            answer = (
                "<ErrorResponse><Error><Code>AccessDenied</Code><Message>User: x is not authorized"
                f" to perform: sts:AssumeRole on resource: {ROLE}</Message></Error></ErrorResponse>"
            )
        if kind.is_throttled:
            kind.is_throttled -= 1
            code = "<Code>Throttling</Code><Message>Rate exceeded</Message>"
            answer = f"<ErrorResponse><Error>{code}</Error></ErrorResponse>"
        self.send_response(200 if "Credentials" in answer else 403)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Sts]]:
    handler = type("Sts", (_Sts,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{server.server_address[1]}")
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_role_is_assumed_when_it_is_needed_and_again_when_it_ends(
    opened: Make, faults: DynamoDBFaults, sts: type[_Sts]
) -> None:
    store = opened(role=ROLE, **KEYS)
    assert sts.assumed == 0
    store.replace(full(flags(a=1)))
    assert sts.assumed == 1
    assert keys_used(faults) == {"ASSUMED1"}
    assert faults.requests[-1].headers["x-amz-security-token"] == "token1"
    other = opened(role=ROLE, **KEYS)
    sts.seconds = 60.0  # so little that it is renewed at every use
    other.is_initialized()
    before = sts.assumed
    faults.requests.clear()
    other.is_initialized()
    assert sts.assumed > before
    (key,) = keys_used(faults)
    assert int(key.removeprefix("ASSUMED")) >= before


def test_a_role_of_a_session_or_profile_keeps_its_region(
    opened: Make, faults: DynamoDBFaults, sts: type[_Sts], configured: Callable[[str], None]
) -> None:
    configured(
        """\
        [profile dev]
        aws_access_key_id = OFPROFILE
        aws_secret_access_key = x
        region = eu-west-1
        """
    )
    opened(region=None, profile="dev", role=ROLE).is_initialized()
    opened(region=None, session=boto3.Session(profile_name="dev"), role=ROLE).is_initialized()
    opened(session=boto3.Session(**NAMED), role=ROLE).is_initialized()
    signed = [request.headers["authorization"] for request in faults.requests]
    assert ["/eu-west-1/" in one for one in signed] == [True, True, False]
    assert keys_used(faults) == {"ASSUMED1", "ASSUMED2", "ASSUMED3"}
    assert sts.assumed == 3


def test_a_role_that_may_not_be_assumed_is_told_of(opened: Make, sts: type[_Sts]) -> None:
    sts.denies = True
    store = opened(role=ROLE, **KEYS)
    said = reason(store.is_initialized)
    assert said.startswith("STS (127.0.0.1) gives no credentials: AWS denies sts:AssumeRole")
    sts.denies = False
    assert not store.is_initialized()


def test_an_sts_that_cannot_be_reached_is_not_taken_for_the_table(
    opened: Make, faults: DynamoDBFaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{free_port()}")
    said = reason(opened(role=ROLE, **KEYS).is_initialized)
    assert said == (
        "STS (127.0.0.1) gives no credentials: the connection was refused: is it running there?"
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://sts.invalid")
    said = reason(lambda: opened(role=ROLE, **KEYS).is_initialized(timeout=20))
    assert said.startswith("STS (sts.invalid) gives no credentials: ")
    assert "endpoint" not in said
    assert not faults.requests


def test_an_sts_in_trouble_is_asked_again(opened: Make, sts: type[_Sts]) -> None:
    sts.is_throttled = 2
    assert not opened(role=ROLE, **KEYS).is_initialized()
    assert sts.assumed == 3
    sts.is_throttled = 10**6
    said = reason(lambda: opened(role=ROLE, **KEYS).is_initialized(timeout=1))
    assert said == "STS (127.0.0.1) gives no credentials: it is asked too much"


# --- what is given --------------------------------------------------------------------------------


def test_a_given_client_is_used_as_it_is_and_never_closed(
    dynamodb_table: str, faults: DynamoDBFaults
) -> None:
    client = boto3.client("dynamodb", region_name=REGION, endpoint_url=faults.url, **NAMED)
    store = DynamoDBStore(dynamodb_table, prefix="p", client=client)
    store.replace(full(flags(a=1), segments=["s"]))
    assert store.get_all().flags == flags(a=1)
    assert len(store.get_many(refs("a", "b"))) == 1
    assert store.upsert(part(flags(a=2))) == {}
    assert store.upsert(part(flags(a=1))) == {refs("a")[0]: flags(a=2)["a"]}
    assert store.label == f"dynamodb {dynamodb_table}"
    store.close()
    with pytest.raises(StoreClosed):
        store.get_all()
    found = client.get_item(
        TableName=dynamodb_table, Key={"namespace": {"S": "p:features"}, "key": {"S": "a"}}
    )
    assert found["Item"]["version"] == {"N": "2"}
    client.close()


def test_large_items_go_through_a_given_client_too(dynamodb_table: str, dynamodb_url: str) -> None:
    from tests._sync.dynamodb_stores import large  # noqa: PLC0415

    client = boto3.client("dynamodb", region_name=REGION, endpoint_url=dynamodb_url, **NAMED)
    store = DynamoDBStore(dynamodb_table, client=client)
    big = large("big", 2, 500_000)
    store.replace(full(flags(big=1)))
    assert store.upsert(part({"big": big})) == {}
    assert store.get_all().flags == {"big": big}
    assert store.get_many(refs("big")) == {refs("big")[0]: big}
    store.close()
    client.close()


def test_a_given_client_tries_again_as_often_as_it_is_told(
    dynamodb_table: str, faults: DynamoDBFaults
) -> None:
    config = Config(retries={"total_max_attempts": 3, "mode": "standard"})
    client = boto3.client(
        "dynamodb", region_name=REGION, endpoint_url=faults.url, config=config, **NAMED
    )
    store = DynamoDBStore(dynamodb_table, client=client)
    faults.fail("GetItem", times=2)
    assert not store.is_initialized()
    faults.hang("GetItem")
    assert "no answer within 0.2 s" in reason(lambda: store.is_initialized(timeout=0.2))
    faults.pass_on()
    store.close()
    client.close()


def test_a_web_page_is_no_answer_to_a_given_client_either(
    dynamodb_table: str, faults: DynamoDBFaults
) -> None:
    client = boto3.client("dynamodb", region_name=REGION, endpoint_url=faults.url, **NAMED)
    store = DynamoDBStore(dynamodb_table, client=client)
    faults.answer(None, 200, b"<html>hello</html>", {"Content-Type": "text/html"})
    assert "not DynamoDB" in reason(store.is_initialized)
    store.close()
    client.close()


def test_a_given_session_makes_the_client(opened: Make, faults: DynamoDBFaults) -> None:
    session = boto3.Session(**{**NAMED, "aws_access_key_id": "OFSESSION"}, region_name="eu-west-3")
    store = opened(session=session, region=None)
    store.replace(full(flags(a=1)))
    assert store.get_all().flags == flags(a=1)
    assert keys_used(faults) == {"OFSESSION"}
    assert "/eu-west-3/" in faults.requests[-1].headers["authorization"]


def test_options_reach_the_client_but_for_how_often_it_tries(
    opened: Make, faults: DynamoDBFaults
) -> None:
    config = Config(retries={"total_max_attempts": 9}, user_agent_extra="mine/1", read_timeout=0.25)
    store = opened(options={"config": config, "verify": False}, **KEYS)
    assert not store.is_initialized()
    assert "mine/1" in faults.requests[-1].headers["user-agent"]
    faults.deny("GetItem")
    faults.counts.clear()
    assert "denies" in reason(store.is_initialized)
    assert faults.counts["GetItem"] == 1
    faults.pass_on()
    faults.hang("GetItem")
    began = time.monotonic()
    assert "no answer within" in reason(store.is_initialized)
    check_within(5, since=began)
    faults.pass_on()


def test_settings_that_boto3_alone_knows_to_be_wrong_are_told(opened: Make) -> None:
    store = opened(options={"api_version": "1999-01-01"}, **KEYS)
    assert "boto3 failed with" in reason(store.is_initialized)


# --- getting ready --------------------------------------------------------------------------------


GIVER = """\
[profile dev]
credential_process = sh -c 'sleep {seconds}; echo x >> {log}; echo "{{\\"Version\\": 1, \
\\"AccessKeyId\\": \\"a\\", \\"SecretAccessKey\\": \\"b\\"}}"'
"""


def until_ready(store: DynamoDBStore) -> None:
    deadline = time.monotonic() + 20
    while store._table._session._client is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_is_prepared_takes_no_time_of_the_first_call(
    opened: Make, configured: Callable[[str], None], tmp_path: Path, faults: DynamoDBFaults
) -> None:
    log = tmp_path / "log"
    configured(GIVER.format(seconds=1, log=log))
    hurried = opened(profile="dev")
    assert "no answer within 0.5 s" in reason(lambda: hurried.is_initialized(timeout=0.5))
    store = opened(profile="dev")
    began = time.monotonic()
    store.prepare()
    store.prepare()
    check_within(0.5, since=began)
    until_ready(store)
    assert not store.is_initialized(timeout=20)
    store.prepare()
    for thread in calls():
        thread.join(20)
    assert log.read_text() == "x\nx\n"  # once for each
    assert keys_used(faults) == {"a"}


def test_what_goes_wrong_while_it_is_prepared_is_told_by_the_first_call(
    opened: Make, configured: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    configured("[profile other]\n")
    store = opened(profile="dev")
    store.prepare()
    for thread in calls():
        thread.join(20)
    assert not caplog.records
    assert "no such profile" in reason(store.is_initialized)


def test_a_store_that_is_closed_while_it_prepares_keeps_no_client(
    opened: Make, configured: Callable[[str], None], tmp_path: Path
) -> None:
    configured(GIVER.format(seconds=0.3, log=tmp_path / "log"))
    store = opened(profile="dev")
    store.prepare()
    store.close()
    for thread in calls():
        thread.join(20)
    store.prepare()
    assert not calls()
    with pytest.raises(StoreClosed):
        store.is_initialized()


def test_where_threads_do_not_run_nobody_is_asked_beforehand(
    opened: Make, monkeypatch: pytest.MonkeyPatch, configured: Callable[[str], None], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    configured(GIVER.format(seconds=0, log=log))
    store = opened(profile="dev")
    monkeypatch.setattr("flagkeep._runtime.threads.needs_pumping", lambda: True)
    store.prepare()
    assert store._table._session._client is None
    assert not log.exists()
    assert not store.is_initialized()
    assert log.exists()


async def test_a_call_that_hangs_holds_no_other_up(
    dynamodb_table: str, faults: DynamoDBFaults
) -> None:
    store = AsyncDynamoDBStore(
        dynamodb_table, endpoint=faults.url, region=REGION, timeout=20.0, **KEYS
    )
    assert await store.get_many(refs("a"), timeout=20) == {}
    faults.hang("Query")
    hanging = [asyncio.create_task(store.get_all()) for _ in range(3)]
    await asyncio.to_thread(faults.wait_for, "Query", 3)
    for _ in range(10):
        assert await store.get_many(refs("a"), timeout=10) == {}
    assert not any(task.done() for task in hanging)
    faults.pass_on()
    faults.hang_up()
    await store.aclose()
    await asyncio.wait(hanging)
    assert all(task.exception() or task.result() for task in hanging)


async def test_a_full_set_that_is_cancelled_ends_with_the_request_under_way(
    dynamodb_table: str, faults: DynamoDBFaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing else ends it.
    monkeypatch.setattr("flagkeep._async.stores.dynamodb_table._IN_A_ROW", 60.0)
    store = AsyncDynamoDBStore(
        dynamodb_table, endpoint=faults.url, region=REGION, timeout=20.0, **KEYS
    )
    await store.replace(full({}))
    goes_on = threading.Event()

    def hold(request: Request, ask: Ask) -> Reply:
        assert goes_on.wait(20)
        return ask(request)

    faults.counts.clear()
    faults.on("BatchWriteItem", hold, times=1)
    writing = asyncio.create_task(store.replace(full(many(200))))
    await asyncio.to_thread(faults.wait_for, "BatchWriteItem")
    writing.cancel()
    began = time.monotonic()
    await asyncio.wait([writing])
    check_within(5, since=began)
    assert writing.cancelled()
    left = store._table._session.calls.left
    assert len(left) == 1
    goes_on.set()
    await until(lambda: not left)
    assert faults.counts["BatchWriteItem"] == 1
    assert len((await store.get_all()).flags) == 25
    await store.replace(full(many(200)))
    assert (await store.get_all()).flags == many(200)
    await store.aclose()


async def test_a_turn_that_comes_to_somebody_who_is_cancelled_is_the_next_ones() -> None:
    turns, ends = AsyncTurns(1, 1), time.monotonic() + 5
    assert await turns.take(ends)
    waiting = [asyncio.create_task(turns.take(ends)) for _ in range(2)]
    await until(lambda: len(turns._waiting) == 2)
    turns.give()
    waiting[0].cancel()
    await asyncio.wait(waiting)
    assert waiting[0].cancelled()
    assert waiting[1].result()
    turns.give()
    assert await turns.take(ends)


# --- time -----------------------------------------------------------------------------------------


def test_the_time_that_a_caller_gave_is_named_and_not_what_was_left_of_it(
    opened: Make, faults: DynamoDBFaults
) -> None:
    store = opened(**KEYS)
    assert not store.is_initialized()
    faults.delay("Query", 0.3)
    assert "no answer within 0.5 s" in reason(lambda: store.get_all(timeout=0.5))
    faults.pass_on()
    faults.throttle("GetItem", times=1)
    faults.hang("GetItem")
    said = reason(lambda: store.get_many(refs("a"), timeout=2))
    assert "the table is throttled" in said


def test_the_timeout_of_a_given_client_is_named(
    dynamodb_table: str, faults: DynamoDBFaults
) -> None:
    config = Config(read_timeout=0.25, retries={"total_max_attempts": 1})
    client = boto3.client(
        "dynamodb", endpoint_url=faults.url, region_name=REGION, config=config, **NAMED
    )
    store = DynamoDBStore(dynamodb_table, client=client)
    faults.hang(None)
    assert reason(lambda: store.get_many(refs("a"))) == "no answer within 0.25 s"
    store.close()
    client.close()


@pytest.mark.parametrize("colour", ["threads", "asyncio"])
def test_nobody_waits_for_credentials_that_hang(
    colour: str, opened: Make, faults: DynamoDBFaults, configured: Callable[[str], None]
) -> None:
    configured("[profile dev]\ncredential_process = sleep 3\n")
    began = time.monotonic()
    if colour == "threads":
        store = opened(profile="dev")
        for _ in range(3):
            said = reason(lambda: store.get_many(refs("a"), timeout=0.1))
            assert "no answer within 0.1 s: from the DNS, the credentials" in said
        store.close()
    else:
        asyncio.run(hang_in_asyncio(opened()._table.label.split()[1], faults.url))
    check_within(2.5, since=began)
    for thread in calls():
        thread.join()


async def hang_in_asyncio(table: str, url: str) -> None:
    store = AsyncDynamoDBStore(table, endpoint=url, region=REGION, profile="dev")
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="no answer within"):
            await store.get_many(refs("a"), timeout=0.1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await store.get_all()
    await store.aclose()
    with pytest.raises(StoreClosed):
        await store.get_all()


def test_nobody_waits_for_a_name_that_is_looked_up(
    opened: Make, faults: DynamoDBFaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()
    usual = socket.getaddrinfo

    def slow(host: Any, *arguments: Any, **more: Any) -> Any:
        if host == "localhost":
            answer.wait(20)
        return usual(host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    store = opened(endpoint=faults.url.replace("127.0.0.1", "localhost"), **KEYS)
    began = time.monotonic()
    assert "no answer within 0.3 s" in reason(lambda: store.get_all(timeout=0.3))
    check_within(3, since=began)
    assert len(calls()) == 1
    answer.set()
    assert store.get_all(timeout=20).flags == {}
    for thread in calls():
        thread.join(20)
    assert not calls()


def test_no_more_calls_are_begun_than_may_hang(
    opened: Make, configured: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_calls, "MOST_LEFT", 1)
    configured("[profile dev]\ncredential_process = sleep 2\n")
    store = opened(profile="dev")
    assert "no answer within" in reason(lambda: store.is_initialized(timeout=0.1))
    began = time.monotonic()
    said = reason(lambda: store.is_initialized(timeout=10.0))
    assert said == "1 earlier calls hang, in the DNS, the credentials or the table"
    check_within(1, since=began)


def test_calls_that_hung_are_forgotten_when_they_end(opened: Make, faults: DynamoDBFaults) -> None:
    store = opened(**KEYS)
    assert not store.is_initialized()
    faults.hang("GetItem")
    for _ in range(3):
        reason(lambda: store.is_initialized(timeout=0.05))
    left = store._table._session.calls.left
    assert len(left) == 3
    faults.pass_on()
    deadline = time.monotonic() + 20
    while left and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left
    assert not store.is_initialized()


def test_a_call_is_the_callers_work_where_no_thread_can_begin(opened: Make) -> None:
    store = opened(**KEYS)
    assert not store.is_initialized()
    usual = threading.stack_size(1 << 46)  # more than there is: what a full machine says
    try:
        assert not store.is_initialized(timeout=20)
    finally:
        threading.stack_size(usual)


def test_a_call_is_the_callers_work_where_threads_do_not_run(
    opened: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(**KEYS)
    monkeypatch.setattr("flagkeep._runtime.threads.needs_pumping", lambda: True)
    assert not store.is_initialized(timeout=20)
    store.close()
    with pytest.raises(StoreClosed):
        store.is_initialized()


def test_an_error_on_the_other_thread_arrives(opened: Make) -> None:
    store = opened(**KEYS)
    table = store._table
    row = {"namespace": {"S": "n"}, "key": {"S": "k"}}
    arguments = table.requests.put_over(row, None)
    assert table.put_if("upsert", arguments) is None
    with pytest.raises(ConditionFailed) as caught:
        table.put_if("upsert", arguments)
    assert caught.value.row == row


def test_the_callers_context_goes_with_the_call(opened: Make, faults: DynamoDBFaults) -> None:
    trace: ContextVar[str] = ContextVar("trace")
    session = boto3.Session(**NAMED)
    store = opened(session=session)
    seen = []
    session.events.register("before-call.dynamodb", lambda **_: seen.append(trace.get()))
    trace.set("mine")
    assert not store.is_initialized(timeout=20)
    assert seen == ["mine"]
    assert faults.counts.total() == 1


def test_a_thread_is_kept_for_the_next_call_and_ends_with_the_store(opened: Make) -> None:
    store = opened(**KEYS)
    assert not store.is_initialized()
    (kept,) = calls()
    for _ in range(5):
        assert store.get_many(refs("a")) == {}
        assert calls() == [kept]
    store.close()
    kept.join(20)
    assert not calls()


def test_a_thread_that_nobody_needs_ends(opened: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamodb_calls, "IDLE", 0.05)
    store = opened(**KEYS)
    for _ in range(3):
        assert not store.is_initialized()
        for thread in calls():
            thread.join(20)
        assert not calls()


def test_no_more_threads_are_kept_than_are_needed_again(
    opened: Make, faults: DynamoDBFaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_calls, "KEPT", 2)
    store = opened(**KEYS)
    assert not store.is_initialized()
    faults.hang("GetItem")
    askers = [threading.Thread(target=store.get_many, args=(refs("a"),)) for _ in range(6)]
    for asker in askers:
        asker.start()
    faults.wait_for("GetItem", 6)
    assert len(calls()) == 6
    faults.pass_on()
    for asker in askers:
        asker.join()
    deadline = time.monotonic() + 20
    while len(calls()) > 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(calls()) == 2


@pytest.mark.parametrize("given", [False, True])
def test_no_more_calls_are_under_way_than_there_are_connections(
    given: bool,  # noqa: FBT001  a parameter of the test
    opened: Make,
    faults: DynamoDBFaults,
    dynamodb_table: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = Config(max_pool_connections=3)
    client = boto3.client(
        "dynamodb", region_name=REGION, endpoint_url=faults.url, config=config, **NAMED
    )
    store = (
        DynamoDBStore(dynamodb_table, client=client) if given else opened(max_connections=3, **KEYS)
    )
    assert not store.is_initialized()
    faults.hang("GetItem")
    found: list[object] = []
    askers = [
        threading.Thread(target=lambda: found.append(store.get_many(refs("a"), timeout=60.0)))
        for _ in range(9)
    ]
    for asker in askers:
        asker.start()
    faults.wait_for("GetItem", 3)
    began = time.monotonic()
    assert "no answer within 0.2 s" in reason(lambda: store.is_initialized(timeout=0.2))
    check_within(2, since=began)
    assert faults.counts["GetItem"] == 3
    faults.pass_on()
    for asker in askers:
        asker.join()
    assert found == [{}] * 9
    assert not [one for one in caplog.records if "pool" in one.getMessage()]
    store.close()
    client.close()


async def test_a_timeout_bounds_the_ninth_call_too(
    dynamodb_table: str, faults: DynamoDBFaults
) -> None:
    store = AsyncDynamoDBStore(
        dynamodb_table, endpoint=faults.url, region=REGION, timeout=20.0, **KEYS
    )
    assert await store.get_many(refs("a"), timeout=20) == {}
    faults.hang("GetItem")
    writing = [asyncio.create_task(store.upsert(part(flags(a=1)))) for _ in range(9)]
    await asyncio.to_thread(faults.wait_for, "GetItem", 10)
    began = time.monotonic()

    async def asked() -> str:
        with pytest.raises(StoreUnavailable) as caught:
            await store.get_many(refs("a"), timeout=0.3)
        check_within(1.5, since=began)
        return caught.value.reason

    said = await asyncio.gather(*(asked() for _ in range(20)))
    assert all("no answer within 0.3 s" in one for one in said)
    await store.aclose()
    done = await asyncio.gather(*writing, return_exceptions=True)
    assert {type(one) for one in done} == {StoreClosed}
    faults.pass_on()


def test_many_threads_share_one_client(opened: Make) -> None:
    opened(**KEYS).replace(full(flags(a=1)))
    store = opened(**KEYS)
    seen: list[int] = []

    def ask() -> None:
        seen.extend(len(store.get_many(refs("a"))) for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 40


def test_a_store_that_is_closed_while_it_asks_leaves_no_connection(
    opened: Make, faults: DynamoDBFaults
) -> None:
    store = opened(**KEYS)
    assert not store.is_initialized()
    faults.delay("GetItem", 0.3)
    errors: list[StoreError] = []

    def ask() -> None:
        try:
            store.is_initialized()
        except StoreError as exc:
            errors.append(exc)

    thread = threading.Thread(target=ask)
    thread.start()
    faults.wait_for("GetItem", 1)
    store.close()
    thread.join()
    deadline = time.monotonic() + 10
    while faults._sockets and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not faults._sockets


async def test_a_store_that_is_closed_while_a_page_is_taken_leaves_no_thread(
    dynamodb_table: str, faults: DynamoDBFaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flagkeep.storage.dynamodb_requests._ROWS_PER_PAGE", 10)
    store = AsyncDynamoDBStore(
        dynamodb_table, endpoint=faults.url, region=REGION, timeout=20.0, **KEYS
    )
    await store.replace(full(many(30)))
    table = store._table
    pages: list[object] = []
    is_taken, goes_on = threading.Event(), threading.Event()

    def take(page: object) -> None:
        pages.append(page)
        is_taken.set()
        assert goes_on.wait(20)

    def workers() -> list[threading.Thread]:
        return [one for one in threading.enumerate() if one.name.startswith("flagkeep-dynamodb_")]

    query = table.requests.query
    reading = asyncio.create_task(table.pages("get_all", query, "features", take))
    await until(is_taken.is_set)
    await until(lambda: not table._workers.turns._taken)  # the next page is here already
    await store.aclose()
    goes_on.set()
    with pytest.raises(StoreClosed):
        await reading
    assert len(pages) == 2
    await until(lambda: not workers())


def test_whoever_waits_is_told_at_once_that_the_store_was_closed(
    opened: Make, faults: DynamoDBFaults
) -> None:
    store = opened(**KEYS)
    assert store.get_many(refs("a")) == {}
    faults.hang("GetItem")
    errors: list[StoreError] = []

    def ask(**more: float) -> None:
        try:
            store.get_many(refs("a"), **more)
        except StoreError as exc:
            errors.append(exc)

    threads = [threading.Thread(target=ask), threading.Thread(target=ask, kwargs={"timeout": 20.0})]
    for thread in threads:
        thread.start()
    faults.wait_for("GetItem", 3)
    began = time.monotonic()
    store.close()
    for thread in threads:
        thread.join()
    check_within(5, since=began)
    assert [type(error) for error in errors] == [StoreClosed, StoreClosed]
    faults.pass_on()


def test_a_connection_that_the_server_has_closed_is_replaced(
    opened: Make, faults: DynamoDBFaults
) -> None:
    store = opened(**KEYS)
    for _ in range(3):
        assert not store.is_initialized()
        faults.hang_up()


# --- processes ------------------------------------------------------------------------------------


def run(program: str, *arguments: str) -> str:
    warnings = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    warnings += ["-W", "ignore:datetime.datetime.utcnow:DeprecationWarning"]  # of an old botocore
    done = subprocess.run(
        [sys.executable, *warnings, "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_store_that_nobody_uses_imports_no_driver() -> None:
    program = """
        import sys
        from flagkeep.stores import DynamoDBStore
        store = DynamoDBStore("flags", region="us-east-1")
        store.close()
        print(sorted({"boto3", "botocore", "urllib3", "ssl", "asyncio"} & set(sys.modules)))
    """
    assert run(program).strip() == "[]"


FORKING = """
    import os, sys, threading, time, traceback
    from flagkeep.model.changeset import ChangeSet
    from flagkeep.model.item import ItemRef, Kind, SerializedItem
    from flagkeep.stores import DynamoDBStore

    url, table, hanging = sys.argv[1:]
    settings = dict(region="us-east-1", access_key_id="dummy", secret_access_key="dummy")
    patient = dict(settings, endpoint=url, timeout=30.0)
    store = DynamoDBStore(table, **patient)
    item = SerializedItem(1, False, b'{"version":1}')

    def in_child(work):
        child = os.fork()
        if child == 0:
            try:
                work()
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        return child

    def wait(child):
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_makes_a_client_of_its_own(
    dynamodb_table: str, dynamodb_url: str, faults: DynamoDBFaults
) -> None:
    program = """
    store.replace(ChangeSet(full=True, flags={"a": item}))
    parents = store._table._session._client

    def work():
        assert store._table._session._client is None
        for _ in range(20):
            assert store.get_all(timeout=30).flags == {"a": item}
        assert store._table._session._client is not parents
        store.close()

    children = [in_child(work) for _ in range(3)]
    for _ in range(20):
        assert store.get_all().flags == {"a": item}
    for child in children:
        wait(child)
    assert store._table._session._client is parents
    store.close()
    """
    run(FORKING + program, faults.url, dynamodb_table, dynamodb_url)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_in_the_midst_of_calls_takes_nothing_from_the_child(
    dynamodb_table: str, faults: DynamoDBFaults
) -> None:
    faults.hang("Query")
    program = """
    store.get_many([ItemRef(Kind.FLAG, "a")])
    # One hangs in a call, one in making its first client, one imports while the process forks.
    hanging_there = threading.Thread(target=lambda: store.get_all(timeout=20), daemon=True)
    hanging_there.start()
    os.environ["AWS_CONFIG_FILE"] = hanging
    slow = DynamoDBStore(table, region="us-east-1", endpoint=url, profile="slow", timeout=30.0)

    def quietly():
        try:
            slow.is_initialized(timeout=30)
        except Exception:
            pass

    threading.Thread(target=quietly, daemon=True).start()
    time.sleep(0.5)

    def work():
        assert not store.get_many([ItemRef(Kind.FLAG, "a")], timeout=30)
        assert not slow.get_many([ItemRef(Kind.FLAG, "a")], timeout=30)
        os._exit(0)

    wait(in_child(work))
    os._exit(0)
    """
    path = Path(os.environ["AWS_CONFIG_FILE"])
    giver = path.with_name("giver")
    giver.write_text(
        """sleep 1; echo '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b"}'"""
    )
    path.write_text(f"[profile slow]\ncredential_process = sh {giver}\n")
    run(FORKING + program, faults.url, dynamodb_table, str(path))
    faults.pass_on()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_in_the_midst_of_the_import_waits_for_it(
    dynamodb_table: str, dynamodb_url: str
) -> None:
    program = """
    threading.Thread(target=store.is_initialized, daemon=True).start()
    time.sleep(0.02)

    def work():
        assert not store.is_initialized(timeout=30)
        os._exit(0)

    for _ in range(5):
        wait(in_child(work))
        time.sleep(0.03)
    os._exit(0)
    """
    run(FORKING + program, dynamodb_url, dynamodb_table, "")


HUNG = """
    import asyncio, sys, time
    from flagkeep.model.item import ItemRef, Kind
    from flagkeep.stores import AsyncDynamoDBStore, DynamoDBStore

    table, colour = sys.argv[1:]
    place = dict(region="us-east-1", endpoint="http://127.0.0.1:1", profile="slow")
    wanted = [ItemRef(Kind.FLAG, "a")]

    async def ask():
        store = AsyncDynamoDBStore(table, **place)
        try:
            async with asyncio.timeout(0.5):
                await store.get_many(wanted)
        except TimeoutError:
            print("left")
        await store.aclose()

    if colour == "asyncio":
        asyncio.run(ask())
    else:
        store = DynamoDBStore(table, **place)
        try:
            store.get_many(wanted, timeout=0.5)
        except Exception:
            print("left")
        store.close()
"""


@pytest.mark.parametrize("colour", ["threads", "asyncio"])
def test_a_process_ends_though_a_call_hangs(
    colour: str, configured: Callable[[str], None], dynamodb_table: str
) -> None:
    configured("[profile slow]\ncredential_process = sleep 60\n")
    began = time.monotonic()
    assert run(HUNG, dynamodb_table, colour) == "left\n"
    check_within(15, since=began)


def test_a_session_alone_is_enough_for_other_stores(dynamodb_url: str, dynamodb_table: str) -> None:
    settings = Settings(dynamodb_table, endpoint=dynamodb_url, region=REGION, **KEYS)
    session = DynamoDBSession(settings)
    key = {"namespace": {"S": "n"}, "key": {"S": "k"}}
    answer = session.call("get", "get_item", {"TableName": dynamodb_table, "Key": key})
    assert "Item" not in answer
    session.close()
    session.close()
    with pytest.raises(StoreClosed):
        session.call("get", "get_item", {})
    assert json.dumps(answer)
