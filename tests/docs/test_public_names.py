"""What `flagkeep` offers at its top, and what importing it does not bring along."""

import subprocess
import sys

import pytest

import flagkeep
import flagkeep.config
import flagkeep.hooks


@pytest.mark.parametrize("name", flagkeep.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(flagkeep, name).__name__ == name


def test_public_names_are_sorted() -> None:
    assert flagkeep.__all__ == sorted(flagkeep.__all__)


def test_there_is_no_other_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Clinet'"):
        _ = flagkeep.Clinet


def test_all_settings_of_a_client_are_public() -> None:
    of_config = {"Application", "BigSegmentSettings", "CachePolicy", "EventSettings", "FileSource"}
    of_config |= {"HttpSettings", "Polling", "StorePolicy", "Streaming", "Wrapper"}
    assert of_config <= set(flagkeep.__all__)
    assert of_config <= set(flagkeep.config.__all__)


def test_importing_brings_neither_asyncio_nor_what_only_connected_clients_use() -> None:
    unwanted = ["asyncio", "ssl", "http", "httpx2", "httpcore2", "sqlite3", "redis"]
    unwanted += ["flagkeep._sync.migrations", "flagkeep._sync.streaming", "flagkeep._sync.upstream"]
    unwanted += ["flagkeep._sync.event_processor", "flagkeep._sync.big_segments"]
    unwanted += ["flagkeep._async.client", "flagkeep.testing", "flagkeep.ldclient"]
    code = f"import sys, flagkeep; print(sorted(set({unwanted!r}) & set(sys.modules)))"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert shown.stdout.strip() == "[]"
