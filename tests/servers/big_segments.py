"""Big Segments written by hand, command by command, as LaunchDarkly's relay writes them.

In SQLite, which the relay does not know, the statements are those of the layout's description.
"""

import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Protocol

from tests.servers import dynamodb
from tests.servers.redis import connect

LONGEST_NUMBER: Final = 38  # digits that a number has in DynamoDB


class Writer(Protocol):
    """Fills one environment of one database."""

    def put(self, context_hash: str, included: Collection[str], excluded: Collection[str]) -> None:
        """Put these references in the place of those of one context, in one step."""

    def synchronized(self, text: str | None) -> None:
        """Say when all was complete, in whatever words; None: say nothing."""


class RedisWriter:
    """Writes to the database of a `redis://` URL; `prefix` is never empty here."""

    def __init__(self, url: str, prefix: str) -> None:
        self._url = url
        self._prefix = prefix

    def put(self, context_hash: str, included: Collection[str], excluded: Collection[str]) -> None:
        with connect(self._url) as connection:
            connection.command("MULTI")
            for name, references in (("include", included), ("exclude", excluded)):
                key = f"{self._prefix}:big_segment_{name}:{context_hash}"
                connection.command("DEL", key)
                if references:
                    connection.command("SADD", key, *references)
            assert connection.command("EXEC") is not None

    def synchronized(self, text: str | None) -> None:
        key = f"{self._prefix}:big_segments_synchronized_on"
        with connect(self._url) as connection:
            if text is None:
                connection.command("DEL", key)
            else:
                connection.command("SET", key, text)


class SQLiteWriter:
    """Writes to a file, and makes it where there is none."""

    def __init__(self, path: Path, prefix: str) -> None:
        self._path = path
        self._prefix = prefix
        with closing(self._connect()) as connection:
            connection.executescript(
                """
                PRAGMA journal_mode = WAL;
                CREATE TABLE IF NOT EXISTS items (namespace TEXT, key TEXT, version INTEGER,
                    item TEXT, PRIMARY KEY (namespace, key)) WITHOUT ROWID;
                CREATE TABLE IF NOT EXISTS meta (prefix TEXT, key TEXT, value TEXT,
                    PRIMARY KEY (prefix, key)) WITHOUT ROWID;
                CREATE TABLE IF NOT EXISTS big_segments (prefix TEXT, context_hash TEXT, ref TEXT,
                    included INTEGER, PRIMARY KEY (prefix, context_hash, ref, included))
                    WITHOUT ROWID;
                PRAGMA user_version = 1;
                """
            )

    def put(self, context_hash: str, included: Collection[str], excluded: Collection[str]) -> None:
        rows = [(self._prefix, context_hash, name, 1) for name in included]
        rows += [(self._prefix, context_hash, name, 0) for name in excluded]
        with closing(self._connect()) as connection, connection:
            connection.execute(
                "DELETE FROM big_segments WHERE prefix = ? AND context_hash = ?",
                (self._prefix, context_hash),
            )
            connection.executemany("INSERT INTO big_segments VALUES (?, ?, ?, ?)", rows)

    def synchronized(self, text: str | None) -> None:
        with closing(self._connect()) as connection, connection:
            name = (self._prefix, "big_segments_synchronized_on")
            connection.execute("DELETE FROM meta WHERE prefix = ? AND key = ?", name)
            if text is not None:
                connection.execute("INSERT INTO meta VALUES (?, ?, ?)", (*name, text))

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path)


class DynamoDBWriter:
    """Writes to a table that is there."""

    def __init__(self, url: str, table: str, prefix: str) -> None:
        self._url = url
        self._table = table
        self._start = f"{prefix}:" if prefix else ""

    def put(self, context_hash: str, included: Collection[str], excluded: Collection[str]) -> None:
        row: dict[str, Any] = {
            "namespace": {"S": f"{self._start}big_segments_user"},
            "key": {"S": context_hash},
        }
        for name, references in (("included", included), ("excluded", excluded)):
            if references:  # there are no empty sets
                row[name] = {"SS": sorted(set(references))}
        dynamodb.call(self._url, "PutItem", TableName=self._table, Item=row)

    def synchronized(self, text: str | None) -> None:
        name = {"S": f"{self._start}big_segments_metadata"}
        row: dict[str, Any] = {"namespace": name, "key": name, "lastVersion": {"S": "5"}}
        if text is not None:
            is_number = text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER
            row["synchronizedOn"] = {"N" if is_number else "S": text}
        dynamodb.call(self._url, "PutItem", TableName=self._table, Item=row)
