"""A table in DynamoDB Local with proxies in front of it, and what can happen to all of them."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final, Self
from urllib.parse import urlsplit

from tests.outages.environment import document, generation_of
from tests.outages.fault import DAEMON, FED, Back, Fault
from tests.outages.place import Place
from tests.servers import dynamodb
from tests.servers.dynamodb import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, DynamoDBServer
from tests.servers.dynamodb_faults import DynamoDBFaults
from tests.servers.proxy import FaultProxy
from tests.servers.server import LOOPBACK

TIMEOUT: Final = 1.0  # of the driver: a busy machine stops for half a second now and then
JUST_STARTED: Final = 10.0  # the same for a server that does everything for the first time
BATCH: Final = 25
ROWS_TAKEN: Final = 4  # of a batch, while the table has little capacity
# Seconds in which a store gives up what is throttled, and some more.
A_READERS_PATIENCE: Final = 20.0
A_WRITERS_PATIENCE: Final = 45.0


class DynamoDBPlace(Place):
    """A table of its own; clients come through a proxy for bytes and one for requests.

    Args:
        url: of a server that others use, too.
        server: returns that server, where it is ours.
    """

    kind = "dynamodb"
    pushes = False

    def __init__(self, url: str, server: Callable[[], DynamoDBServer]) -> None:
        self._url = url
        self._server = server
        self._stack = ExitStack()
        self._copy: list[Any] = []
        self.table = f"outages-{uuid.uuid4().hex}"
        self.requests = DynamoDBFaults(url)
        self.wire = FaultProxy(urlsplit(self.requests.url).port or 0)
        self.settings: dict[str, Any] = {
            "table": self.table,
            "endpoint": f"http://{LOOPBACK}:{self.wire.port}",
            "region": REGION,
            "access_key_id": ACCESS_KEY_ID,
            "secret_access_key": SECRET_ACCESS_KEY,
            "timeout": TIMEOUT,
        }

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.requests)
            stack.enter_context(self.wire)
            self.create_table()
            stack.callback(self.drop_table)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def server(self) -> DynamoDBServer:
        """The server, where it is ours."""
        return self._server()

    def create_table(self) -> None:
        dynamodb.create_table(self._url, self.table)

    def drop_table(self) -> None:
        dynamodb.drop_table(self._url, self.table)

    def write(self, generation: int) -> None:
        """Put a generation in the place of everything."""
        items = document(generation)
        rows = [
            {
                "namespace": {"S": namespace},
                "key": {"S": key},
                "version": {"N": str(item["version"])},
                "item": {"S": json.dumps(item)},
            }
            for kind, namespace in (("flags", "features"), ("segments", "segments"))
            for key, item in items[kind].items()
        ]
        self._put([*rows, {"namespace": {"S": "$inited"}, "key": {"S": "$inited"}}])

    def generation(self) -> int | None:
        """Return which one is there."""
        try:
            rows = list(dynamodb.rows(self._url, self.table))
        except dynamodb.DynamoDBError:  # there is no table
            return None
        found: dict[str, dict[str, bytes]] = {}
        for row in rows:
            items = found.setdefault(row["namespace"]["S"], {})
            items[row["key"]["S"]] = row.get("item", {}).get("S", "").encode()
        if "$inited" not in found:
            return None
        return generation_of(found.get("features", {}), found.get("segments", {}))

    def keep_a_copy(self) -> None:
        """Remember what is there now, for `restore`."""
        self._copy = list(dynamodb.rows(self._url, self.table))

    def restore(self) -> None:
        """Let the table hold what it held when it was copied, and nothing else."""
        self.drop_table()
        self.create_table()
        self._put(self._copy)

    def _put(self, rows: list[Any]) -> None:
        for batch in _batches([{"PutRequest": {"Item": row}} for row in rows]):
            answer = dynamodb.call(self._url, "BatchWriteItem", RequestItems={self.table: batch})
            assert not answer["UnprocessedItems"]


class OwnDynamoDBPlace(DynamoDBPlace):
    """A table on a server that nobody else uses, and which keeps it when it ends."""

    def __init__(self, *_: object) -> None:
        self._own = DynamoDBServer(on_disk=True)
        super().__init__(self._own.url, lambda: self._own)
        self.settings["timeout"] = JUST_STARTED

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._own)
            super().__enter__()
            self._stack.push(stack.pop_all())
        return self

    def drop_table(self) -> None:
        if self._own.pid is not None:
            super().drop_table()


def _batches(all_of_them: list[Any]) -> Iterator[list[Any]]:
    for at in range(0, len(all_of_them), BATCH):
        yield all_of_them[at : at + BATCH]


# --- faults: begin and end -----------------------------------------------------------------------


def pass_on(place: DynamoDBPlace) -> None:
    place.requests.pass_on()
    place.wire.pass_on()


def refuse(place: DynamoDBPlace) -> None:
    """Nobody listens on the port."""
    place.wire.refuse()


def pause(place: DynamoDBPlace) -> None:
    """Connections are taken and nothing is answered."""
    place.server.pause()


def resume(place: DynamoDBPlace) -> None:
    place.server.resume()


def kill(place: DynamoDBPlace) -> None:
    """The process is gone."""
    place.server.kill()


def start(place: DynamoDBPlace) -> None:
    place.server.start()


def hang(place: DynamoDBPlace) -> None:
    """Requests are taken and nothing is answered; in the end they are hung up on."""
    place.requests.hang(None)


def cut_every_reply(place: DynamoDBPlace) -> None:
    """Every connection is reset in the middle of its first reply."""
    place.wire.cut_after(2)


def cut_long_replies(place: DynamoDBPlace) -> None:
    """Short answers come through, those with many rows end in the middle with a reset."""
    place.requests.cut("Query", after_bytes=400)


def answer_late(place: DynamoDBPlace) -> None:
    """Every reply comes 3 s late."""
    place.requests.delay(None, 3.0)


def throttle(place: DynamoDBPlace) -> None:
    """The table is asked for more than it has capacity for."""
    place.requests.throttle(None)


def throttle_writes(place: DynamoDBPlace) -> None:
    """There is capacity for reading, and none for writing."""
    for operation in ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"):
        place.requests.throttle(operation)
    place.requests.error("TransactWriteItems", "ThrottlingException")


def take_few(place: DynamoDBPlace) -> None:
    """Of a batch only some rows are written, the others are left unprocessed."""
    place.requests.take_few("BatchWriteItem", ROWS_TAKEN)


def break_down(place: DynamoDBPlace) -> None:
    """Something is wrong inside of the service."""
    place.requests.fail(None)


def deny(place: DynamoDBPlace) -> None:
    """The credentials are good for nothing any more."""
    place.requests.deny(None)


def deny_writes(place: DynamoDBPlace) -> None:
    """The credentials are good for reading only."""
    for operation in ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"):
        place.requests.deny(operation)
    place.requests.error("TransactWriteItems", "AccessDeniedException")


def expire(place: DynamoDBPlace) -> None:
    """The session token of the credentials has expired."""
    place.requests.error(None, "ExpiredTokenException", message="The security token is expired")


def delete_table(place: DynamoDBPlace) -> None:
    """There is no table."""
    place.drop_table()


def create_table(place: DynamoDBPlace) -> None:
    place.create_table()


def restore(place: DynamoDBPlace) -> None:
    """It is back as it was when it was copied."""
    place.restore()
    place.wire.pass_on()


FAULTS: Final = (
    Fault("dynamodb-refused", DynamoDBPlace, refuse, pass_on, (DAEMON, "off"), cold=True),
    Fault("dynamodb-stopped", DynamoDBPlace, pause, resume, (DAEMON, "ttl")),
    Fault("dynamodb-killed", OwnDynamoDBPlace, kill, start, (FED, "forever")),
    Fault("dynamodb-hangs", DynamoDBPlace, hang, pass_on, (FED, "ttl")),
    Fault("dynamodb-cut", DynamoDBPlace, cut_every_reply, pass_on, (DAEMON, "off")),
    Fault(
        "dynamodb-cut-when-long",
        DynamoDBPlace,
        cut_long_replies,
        pass_on,
        (DAEMON, "ttl"),
        only=frozenset({(DAEMON, "ttl")}),
    ),
    Fault(
        "dynamodb-throttled",
        DynamoDBPlace,
        throttle,
        pass_on,
        (DAEMON, "off"),
        stops_writes=None,
        cold=True,
        noticed_within=A_READERS_PATIENCE,
    ),
    Fault(
        "dynamodb-takes-few-rows",
        DynamoDBPlace,
        take_few,
        pass_on,
        (FED, "ttl"),
        stops_reads=False,
        stops_writes=False,
    ),
    Fault(
        "dynamodb-writes-throttled",
        DynamoDBPlace,
        throttle_writes,
        pass_on,
        (DAEMON, "off"),
        stops_reads=False,
        noticed_within=A_WRITERS_PATIENCE,
    ),
    Fault(
        "dynamodb-broken",
        DynamoDBPlace,
        break_down,
        pass_on,
        (DAEMON, "ttl"),
        noticed_within=A_WRITERS_PATIENCE,
    ),
    Fault("dynamodb-denied", DynamoDBPlace, deny, pass_on, (FED, "off")),
    Fault(
        "dynamodb-writes-denied",
        DynamoDBPlace,
        deny_writes,
        pass_on,
        (FED, "ttl"),
        stops_reads=False,
    ),
    Fault("dynamodb-credentials-expired", DynamoDBPlace, expire, pass_on, (DAEMON, "off")),
    Fault(
        "dynamodb-back-empty",
        DynamoDBPlace,
        delete_table,
        create_table,
        (DAEMON, "ttl"),
        back=Back.EMPTY,
    ),
    Fault("dynamodb-back-old", DynamoDBPlace, refuse, restore, (DAEMON, "off"), back=Back.OLD),
    Fault(
        "dynamodb-late",
        DynamoDBPlace,
        answer_late,
        pass_on,
        (DAEMON, "off"),
        deadline=1.0,
        settings={"timeout": 2.0},
    ),
)
