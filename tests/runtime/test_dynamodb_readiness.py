"""When a store in DynamoDB makes ready: as soon as a client has it, and for nobody else."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("boto3")

from flagkeep import AsyncClient, Client, Config
from flagkeep.ldclient import LDClient
from flagkeep.ldclient.config import BigSegmentsConfig
from flagkeep.ldclient.config import Config as OfficialConfig
from flagkeep.ldclient.integrations import DynamoDB
from flagkeep.stores import (
    AsyncDynamoDBBigSegmentStore,
    AsyncDynamoDBStore,
    DynamoDBBigSegmentStore,
    DynamoDBStore,
    MemoryStore,
)
from tests.limits import check_within
from tests.servers.dynamodb import REGION

READER = Config(daemon=True)
NOWHERE: dict[str, Any] = {"endpoint": "http://127.0.0.1:1", "region": REGION}
OPTIONS = {"endpoint_url": NOWHERE["endpoint"], "region_name": REGION}


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], int]:
    """Counts how often the program was run that hands out credentials."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    log = tmp_path / "log"
    giver = tmp_path / "giver"
    giver.write_text(
        f"echo x >> {log}; sleep 0.2\n"
        """echo '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b"}'\n"""
    )
    (tmp_path / "config").write_text(f"[default]\ncredential_process = sh {giver}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return lambda: len(log.read_text().split()) if log.exists() else 0


def is_run(runs: Callable[[], int], times: int) -> bool:
    """Return whether the program has been run so often, and is not run again."""
    deadline = time.monotonic() + 20
    while runs() < times and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    return runs() == times


def test_a_client_lets_its_stores_make_ready_before_anything_is_evaluated(
    runs: Callable[[], int],
) -> None:
    store = DynamoDBStore("flags", **NOWHERE)
    segments = DynamoDBBigSegmentStore("flags", **NOWHERE)
    assert runs() == 0
    began = time.monotonic()
    client = Client(READER, store=store, big_segment_store=segments)
    check_within(1, since=began)
    assert is_run(runs, 2)
    client.close()
    assert is_run(runs, 2)


async def test_so_does_a_client_for_asyncio(runs: Callable[[], int]) -> None:
    store = AsyncDynamoDBStore("flags", **NOWHERE)
    segments = AsyncDynamoDBBigSegmentStore("flags", **NOWHERE)
    assert runs() == 0
    client = AsyncClient(READER, store=store, big_segment_store=segments)
    assert await asyncio.to_thread(is_run, runs, 2)
    await client.aclose()
    assert await asyncio.to_thread(is_run, runs, 2)


class Counting(MemoryStore):
    """Counts how often it is told to make ready."""

    prepared = 0

    def prepare(self) -> None:
        self.prepared += 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_makes_nothing_ready_that_it_may_not_need() -> None:
    store = Counting()
    client = Client(READER, store=store)
    assert store.prepared == 1
    child = os.fork()
    if child == 0:
        time.sleep(0.2)
        os._exit(store.prepared)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    client.close()


def test_closing_what_a_factory_has_made_asks_nobody_for_credentials(
    runs: Callable[[], int],
) -> None:
    for _ in range(2):
        store = DynamoDB.new_feature_store("flags", dynamodb_opts=OPTIONS)
        store.close()
        segments = DynamoDB.new_big_segment_store("flags", dynamodb_opts=OPTIONS)
        segments.stop()
        segments.stop()
    assert is_run(runs, 0)


def test_a_store_of_a_factory_makes_ready_for_its_client(runs: Callable[[], int]) -> None:
    config = OfficialConfig(
        "",
        use_ldd=True,
        feature_store=DynamoDB.new_feature_store("flags", dynamodb_opts=OPTIONS),
        big_segments=BigSegmentsConfig(
            DynamoDB.new_big_segment_store("flags", dynamodb_opts=OPTIONS)
        ),
    )
    assert is_run(runs, 0)
    client = LDClient(config)
    assert is_run(runs, 2)
    client.close()
    assert is_run(runs, 2)


class Unready(MemoryStore):
    """A store with a method of that name that does something else."""

    def prepare(self) -> None:
        raise ZeroDivisionError


def test_a_store_that_cannot_make_ready_is_used_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Unready()
    client = Client(READER, store=store)
    (record,) = [one for one in caplog.records if "make ready" in one.getMessage()]
    assert record.exc_info is not None
    client.close()


def test_where_no_thread_runs_nothing_is_made_ready(
    runs: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flagkeep._runtime.threads.needs_pumping", lambda: True)
    client = Client(READER, store=DynamoDBStore("flags", **NOWHERE))
    assert runs() == 0
    client.close()
