"""What importing the stores costs."""

import subprocess
import sys

import pytest

from flagkeep import stores


def test_the_sync_stores_need_no_event_loop() -> None:
    program = (
        "import sys; from flagkeep.stores import SQLiteStore, MemoryStore;"
        "print(sorted({'asyncio', 'ssl', 'http', 'urllib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


def test_the_shelf_has_both_colours_and_nothing_else() -> None:
    for name in stores.__all__:
        assert getattr(stores, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'MongoStore'"):
        _ = stores.MongoStore
