"""Databases of the user's in which the story may keep its flags, under a prefix of its own."""

import os
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from door import LOOPBACK, Door
from given import LOOK_EVERY, store_at
from telling import say

from flagkeep.errors import StoreError

if TYPE_CHECKING:
    from given import AnyStore

TAKEN = (
    "Not the server, which may be others' too: the reader's way to it. Its connections",
    "were cut and new ones refused. It says so once:",
)


class ServerPlace:
    """A prefix of its own in a database of the user's, who may have other things there.

    Args:
        kind: what the database is called.
        url: of it, without a prefix.
        below: what the prefix begins with; "" for nothing.
        server: host and port, if the way there is one that can be cut; None if it is not.
        plain: how such a way is written.
    """

    must_push = False
    stays = ""
    taken: tuple[str, ...] = TAKEN

    def __init__(
        self, kind: str, url: str, *, below: str, server: tuple[str, int] | None, plain: str
    ) -> None:
        self.kind = kind
        self.news: tuple[str, ...] = (
            "nobody tells the reader anything.",
            f"It looks at {kind} again when its cache's time is up, here every {LOOK_EVERY} s.",
            f"(15 s is the default; that {kind} tells of changes by itself is yet to come.)",
        )
        self._url = url
        self._prefix = f"{below}flagkeep-story-{secrets.token_hex(4)}"
        self._door = None if server is None else Door(*server)
        self.why_not = "" if server else f"only a way by plain {plain} can be cut here"
        self.where = f"{kind}, under the prefix {self._prefix}"

    def surroundings(self, *, of_reader: bool) -> dict[str, str]:
        given = {"STORE": self._url, "STORE_PREFIX": self._prefix}
        if of_reader and self._door is not None:
            given["STORE"] = self.through(self._door)
            given |= not_by_proxy()
        return given

    def through(self, door: Door) -> str:
        """Return a URL that leads to the same database through a door."""
        parts = urlsplit(self._url)
        credentials, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{credentials}{at}{LOOPBACK}:{door.port}").geturl()

    def open(self) -> "AnyStore":
        return store_at(self._url, self._prefix)

    def is_filled(self, store: "AnyStore") -> bool:
        return store.is_initialized()

    def take_away(self) -> None:
        if self._door is not None:
            self._door.shut()

    def put_back(self) -> None:
        if self._door is not None:
            self._door.open()

    def clean_up(self) -> None:
        """Remove exactly what the story has written."""
        if self._door is not None:
            self._door.shut()
        store = self.open()
        try:
            store.clear()
        except StoreError as exc:
            say(f"   The prefix {self._prefix} could not be cleared: {exc.reason}", style="bad")
            say("   When it works again, flagkeep store clear does it, with this prefix.")
        finally:
            store.close()


class RedisPlace(ServerPlace):
    """A Redis."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        server = None
        if parts.scheme.lower() == "redis" and parts.hostname:
            server = parts.hostname, parts.port or 6379
        super().__init__("Redis", url, below="", server=server, plain="TCP (redis://)")


class DynamoDBPlace(ServerPlace):
    """A table of DynamoDB; its server has a name of its own if it is not AWS's."""

    def __init__(self, url: str) -> None:
        self._table, _, query = url.partition("?")
        self._options = dict(parse_qsl(query))
        below = self._options.pop("prefix", "")
        self._endpoint = urlsplit(self._options.get("endpoint", ""))
        server = None
        if self._endpoint.scheme == "http" and self._endpoint.hostname:
            server = self._endpoint.hostname, self._endpoint.port or 80
        super().__init__(
            "DynamoDB",
            self._with(self._options),
            below=f"{below}:" if below else "",
            server=server,
            plain="HTTP (endpoint=http://…)",
        )

    def through(self, door: Door) -> str:
        endpoint = self._endpoint._replace(netloc=f"{LOOPBACK}:{door.port}").geturl()
        return self._with(self._options | {"endpoint": endpoint})

    def _with(self, options: Mapping[str, str]) -> str:
        return f"{self._table}?{urlencode(options)}"


class ConsulPlace(ServerPlace):
    """A Consul."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        server = None
        if parts.scheme.lower() == "consul" and parts.hostname:
            server = parts.hostname, parts.port or 8500
        below = parts.path.strip("/")
        super().__init__(
            "Consul",
            parts._replace(path="").geturl(),
            below=f"{below}/" if below else "",
            server=server,
            plain="HTTP (consul://)",
        )


PLACES = {
    "redis": RedisPlace,
    "rediss": RedisPlace,
    "unix": RedisPlace,
    "dynamodb": DynamoDBPlace,
    "consul": ConsulPlace,
    "consul+https": ConsulPlace,
}


def not_by_proxy() -> dict[str, str]:
    """Return environment variables that say that this machine is reached without a proxy."""
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return {"no_proxy": ",".join(filter(None, (known, LOOPBACK)))}
