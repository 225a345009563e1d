"""Big Segments in a table of DynamoDB, in the layout that LaunchDarkly's relay writes."""

from collections.abc import Mapping
from typing import Any

from flagkeep._async.stores.dynamodb_table import AsyncDynamoDBTable
from flagkeep._runtime.dynamodb_settings import DEFAULT_CONNECT_TIMEOUT, DEFAULT_TIMEOUT, Settings
from flagkeep.storage import big_segment_layout as layout
from flagkeep.storage.big_segments import BigSegmentMetadata
from flagkeep.storage.dynamodb_layout import Place, can_be_stored, check_prefix


class AsyncDynamoDBBigSegmentStore:
    """Who is in which Big Segments, in a table of DynamoDB that another program fills.

    Nothing is connected before the first use, and nothing is ever written: the only permission that
    is needed is `dynamodb:GetItem`. The arguments are those of `AsyncDynamoDBStore`.

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
    takes_timeout: bool = True

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
        check_prefix(prefix)
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
        self._names = layout.DynamoDBNames(prefix)
        self._table = AsyncDynamoDBTable(settings)
        self.label = self._table.label

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label} prefix={self._prefix!r}>"

    def prepare(self) -> None:
        """Begin to import boto3, to look for credentials and to make a client; returns at once.

        Otherwise the first call does so, within its own time. What goes wrong, that call tells.
        """
        self._table.prepare()

    async def get_metadata(self, *, timeout: float | None = None) -> BigSegmentMetadata:
        """Return how old the data is; `timeout` as for `get_membership`."""
        place = Place(*self._names.metadata)
        return layout.metadata_of_item(await self._row("get_metadata", place, timeout))

    async def get_membership(
        self, context_hash: str, *, timeout: float | None = None
    ) -> Mapping[str, bool]:
        """Return the segments of one context, by a strongly consistent read.

        Args:
            context_hash: base64 of SHA-256 of the context key.
            timeout: seconds for all of it, connecting and finding credentials included.
        """
        operation = "get_membership"
        self._table.check_open(operation)
        if not can_be_stored(context_hash):
            return {}
        place = Place(self._names.members, context_hash)
        return layout.membership_of_item(await self._row(operation, place, timeout))

    async def aclose(self) -> None:
        """Close the connections that the store made; a second call does nothing."""
        await self._table.aclose()

    async def _row(
        self, operation: str, place: Place, timeout: float | None
    ) -> Mapping[str, Any] | None:
        self._table.check_open(operation)
        return await self._table.get(operation, place, self._table.limit(timeout))
