"""Put a JSON environment into a store: `fill.py JSON FILE|URL`, of SQLite or of Redis."""

import json
import sys
from pathlib import Path
from typing import Any

from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import SerializedItem
from flagkeep.stores import RedisStore, SQLiteStore

Items = dict[str, SerializedItem]


def items(documents: dict[str, dict[str, Any]]) -> Items:
    """Return flags or segments as they are stored."""
    return {
        key: SerializedItem(
            version=one["version"],
            deleted=False,
            data=json.dumps(one, separators=(",", ":")).encode(),
        )
        for key, one in documents.items()
    }


source, target = sys.argv[1:]
document = json.loads(Path(source).read_text(encoding="utf-8"))
store: RedisStore | SQLiteStore = RedisStore(target) if "://" in target else SQLiteStore(target)
store.replace(
    ChangeSet(full=True, flags=items(document["flags"]), segments=items(document["segments"]))
)
store.close()
