"""A store in DynamoDB, in the layout that all SDKs share."""

from collections.abc import Iterable, Mapping
from typing import Any

from flagkeep._sync.stores.dynamodb_reads import DynamoDBReads
from flagkeep._sync.stores.dynamodb_table import DynamoDBTable
from flagkeep._sync.stores.dynamodb_writes import DynamoDBWrites
from flagkeep._runtime.dynamodb_settings import (
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_TIMEOUT,
    Settings,
)
from flagkeep.errors import StoreMissing, StoreUnavailable
from flagkeep.model.changeset import ChangeSet
from flagkeep.model.item import BadItem, ItemRef, SerializedItem
from flagkeep.storage.contents import StoreChanges, StoreContents, WriterRecord
from flagkeep.storage.dynamodb_layout import Names


class DynamoDBStore:
    """Flags and segments in a table of DynamoDB, shared with SDKs in every language.

    The table must be there, with the partition key `namespace` and the sort key `key`, both
    strings. boto3 is imported, credentials are looked for and connections made at first use.

    Args:
        table: its name or ARN.
        prefix: separates environments in one table; `""` for none.
        region: such as `eu-west-1`; None: boto3 looks for it.
        endpoint: a URL, such as that of DynamoDB Local; None: that of the region.
        access_key_id: of the credentials; None: boto3 looks for them.
        secret_access_key: goes with it.
        session_token: goes with both, for temporary credentials.
        profile: in AWS's configuration files, for credentials and region.
        role: ARN of a role to assume with the credentials; renewed by itself.
        connect_timeout: seconds for making a connection.
        timeout: seconds for one answer.
        max_connections: how many are kept; 64 if not given.
        session: a session of boto3 to make the client with.
        client: a client of boto3 for DynamoDB, which is never closed by the store. Its settings
            count, and none may be given here.
        options: further arguments of boto3's client. How often that tries again has no effect.

    Raises:
        ConfigError: an argument cannot work.
        MissingExtra: boto3 is not installed.
    """

    name: str = "dynamodb"
    poll_interval: float | None = None

    def __init__(
        self,
        table: str,
        *,
        prefix: str = "",
        region: str | None = None,
        endpoint: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        session_token: str | None = None,
        profile: str | None = None,
        role: str | None = None,
        connect_timeout: float = DEFAULT_CONNECT_TIMEOUT,
        timeout: float = DEFAULT_TIMEOUT,
        max_connections: int | None = None,
        session: Any = None,
        client: Any = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        names = Names(prefix)
        settings = Settings(
            table,
            region=region,
            endpoint=endpoint,
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
            session_token=session_token,
            profile=profile,
            role=role,
            connect_timeout=connect_timeout,
            timeout=timeout,
            max_connections=max_connections,
            session=session,
            client=client,
            options=options,
        )
        self._prefix = prefix
        self._table = DynamoDBTable(settings)
        self._reads = DynamoDBReads(self._table, names)
        self._writes = DynamoDBWrites(self._table, self._reads, names)
        self.label = self._table.label

    @property
    def unstored(self) -> tuple[BadItem, ...]:
        """What was written through this object and is not in the store, or only for flagkeep."""
        return self._writes.unstored.items

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label} prefix={self._prefix!r}>"

    def prepare(self) -> None:
        """Begin to import boto3, to look for credentials and to make a client; returns at once.

        Otherwise the first call does so, within its own time. What goes wrong, that call tells.
        """
        self._table.prepare()

    def get_many(
        self, wanted: Iterable[ItemRef], *, timeout: float | None = None
    ) -> dict[ItemRef, SerializedItem]:
        """Return those of `wanted` that are there, tombstones included, each as it is now.

        Args:
            wanted: what to read.
            timeout: seconds for all of it, whatever hangs.
        """
        operation = "get_many"
        self._table.check_open(operation)
        return self._reads.get_many(operation, wanted, self._table.limit(timeout))

    def get_all(self, *, timeout: float | None = None) -> StoreContents:
        """Return everything; what is being written meanwhile may be there in part."""
        operation = "get_all"
        self._table.check_open(operation)
        return self._reads.get_all(operation, self._table.limit(timeout))

    def is_initialized(self, *, timeout: float | None = None) -> bool:
        """Return whether a full set was ever written."""
        operation = "is_initialized"
        self._table.check_open(operation)
        try:
            return self._reads.is_initialized(operation, self._table.limit(timeout))
        except StoreMissing as exc:
            # A client would wait for the first write to make what is missing, and say nothing.
            # Somebody else has to make a table.
            raise StoreUnavailable(exc.store, exc.operation, exc.reason) from None

    def read_record(self) -> WriterRecord | None:
        """Return who wrote last; None if nobody said."""
        operation = "read_record"
        self._table.check_open(operation)
        return self._reads.record(operation)

    def poll_changes(self) -> StoreChanges | None:
        """Return None: there is no cheap way to ask."""
        self._table.check_open("poll_changes")
        return None

    def replace(self, changes: ChangeSet, record: WriterRecord | None = None) -> None:
        """Put a full set in the place of everything, what does not differ excepted.

        It takes many requests. They are made in an order in which a reader that looks in between
        never finds a flag without what it depends on, and the marker comes last.
        """
        self._table.check_open("replace")
        self._writes.replace(changes, record)

    def upsert(self, changes: ChangeSet) -> dict[ItemRef, SerializedItem]:
        """Write what is newer, item by item; return what is there instead of the rest."""
        self._table.check_open("upsert")
        return self._writes.upsert(changes)

    def clear(self) -> None:
        """Remove everything under the prefix but Big Segments; for tools and tests."""
        self._table.check_open("clear")
        self._writes.clear()

    def close(self) -> None:
        """Let go of everything at once; a second call does nothing."""
        self._table.close()
