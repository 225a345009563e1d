"""A Redis with a proxy in front of it, and what can happen to both."""

import json
from typing import Any, Final, Self
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests.outages.environment import document, generation_of
from tests.outages.fault import DAEMON, FED, Back, Fault
from tests.outages.place import Place
from tests.servers.proxy import FaultProxy
from tests.servers.redis import RedisServer, connect, empty, given_url
from tests.servers.server import LOOPBACK

PREFIX: Final = "launchdarkly"
PASSWORD: Final = "sesame"
TIMEOUT: Final = 1.0  # of the driver: a busy machine stops for half a second now and then


class RedisPlace(Place):
    """A Redis of its own, or a given one; clients come through the proxy."""

    kind = "redis"
    pushes = False

    def __init__(self) -> None:
        self._given = given_url()
        self._server = None if self._given else RedisServer()
        url = urlsplit(self._given or f"redis://app:{PASSWORD}@{LOOPBACK}:{self.server.port}/0")
        self.proxy = FaultProxy(url.port or 6379, url.hostname or LOOPBACK)
        login = url.netloc.rpartition("@")[0]
        door = f"{login}{'@' if login else ''}{LOOPBACK}:{self.proxy.port}"
        settings = {"url": urlunsplit(url._replace(netloc=door)), "timeout": TIMEOUT}
        self.settings: dict[str, Any] = settings

    @property
    def server(self) -> RedisServer:
        """The server, where it is ours."""
        if self._server is None:
            pytest.skip("FLAGKEEP_TEST_REDIS_URL is given, and this takes a Redis of its own")
        return self._server

    def __enter__(self) -> Self:
        if self._given is not None:
            empty(self._given)
        else:
            self.server.__enter__()
            self.allow(PASSWORD)
        self.proxy.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.proxy.__exit__()
        if self._server is not None:
            self._server.__exit__()

    def cli(self, *arguments: object) -> Any:
        """Send one command, around the proxy."""
        if self._given is None:
            return self.server.cli(*arguments)
        with connect(self._given) as connection:
            return connection.command(*arguments)

    def write(self, generation: int) -> None:
        """Put a generation in the place of everything."""
        items = document(generation)
        for kind in ("features", "segments"):
            source = items["flags" if kind == "features" else kind]
            pairs = [word for key, item in source.items() for word in (key, json.dumps(item))]
            script = "redis.call('DEL', KEYS[1]); redis.call('HSET', KEYS[1], unpack(ARGV))"
            self.cli("EVAL", script, 1, f"{PREFIX}:{kind}", *pairs)
        self.cli("SET", f"{PREFIX}:$inited", "")

    def generation(self) -> int | None:
        """Return which one is there."""
        if not self.cli("EXISTS", f"{PREFIX}:$inited"):
            return None
        return generation_of(self._hash("features"), self._hash("segments"))

    def keep_a_copy(self) -> None:
        """Let the next start begin with what is there now."""
        if self._given is None:
            self.server.cli("SAVE")

    def allow(self, password: str) -> None:
        """Let clients in with this password only, and put those out who are in."""
        rights = ["~*", "&*", "+@all"]
        self.server.cli("ACL", "SETUSER", "app", "on", "resetpass", f">{password}", *rights)
        self.server.cli("CLIENT", "KILL", "USER", "app")

    def start(self) -> None:
        """Start it again after a `kill`, with what was kept."""
        self.server.start()
        self.allow(PASSWORD)

    def _hash(self, kind: str) -> dict[str, bytes]:
        words = self.cli("HGETALL", f"{PREFIX}:{kind}")
        return {key.decode(): item for key, item in zip(words[::2], words[1::2], strict=True)}


# --- faults: begin and end -----------------------------------------------------------------------


def refuse(place: RedisPlace) -> None:
    """Nobody listens on the port."""
    place.proxy.refuse()


def pause(place: RedisPlace) -> None:
    """Connections are taken and nothing is answered."""
    place.server.pause()


def resume(place: RedisPlace) -> None:
    place.server.resume()


def kill(place: RedisPlace) -> None:
    """The process is gone, and leaves behind what is there now."""
    place.keep_a_copy()
    place.server.kill()


def start(place: RedisPlace) -> None:
    place.start()


def kill_without_a_copy(place: RedisPlace) -> None:
    """The process is gone; it comes back with what was kept before, or with nothing."""
    place.server.kill()


def start_empty(place: RedisPlace) -> None:
    place.server.forget_saved()
    place.start()


def cut_every_reply(place: RedisPlace) -> None:
    """Every connection is reset in the middle of its first reply."""
    place.proxy.cut_after(2)


def cut_long_replies(place: RedisPlace) -> None:
    """Short replies come through, longer ones end in the middle with a reset."""
    place.proxy.cut_after(400)


def pass_on(place: RedisPlace) -> None:
    place.proxy.pass_on()


def become_a_replica(place: RedisPlace) -> None:
    """It serves what it has, and takes no writes; its master cannot be reached."""
    place.server.cli("REPLICAOF", LOOPBACK, 1)


def become_a_master(place: RedisPlace) -> None:
    place.server.cli("REPLICAOF", "NO", "ONE")


def run_out_of_memory(place: RedisPlace) -> None:
    """No writes, until something is deleted."""
    place.server.cli("CONFIG", "SET", "maxmemory", 1)


def have_memory_again(place: RedisPlace) -> None:
    place.server.cli("CONFIG", "SET", "maxmemory", 0)


def change_the_password(place: RedisPlace) -> None:
    """Ours is wrong, and connections that were logged in are gone."""
    place.allow("something else")


def take_the_password_back(place: RedisPlace) -> None:
    place.allow(PASSWORD)


def answer_late(place: RedisPlace) -> None:
    """Every reply comes 3 s late."""
    place.proxy.delay(3.0)


FAULTS: Final = (
    Fault("redis-refused", RedisPlace, refuse, pass_on, (DAEMON, "off"), cold=True),
    Fault("redis-stopped", RedisPlace, pause, resume, (DAEMON, "ttl"), cold=True),
    Fault("redis-killed", RedisPlace, kill, start, (FED, "forever")),
    Fault("redis-cut", RedisPlace, cut_every_reply, pass_on, (DAEMON, "off")),
    Fault(
        "redis-cut-when-long",
        RedisPlace,
        cut_long_replies,
        pass_on,
        (DAEMON, "ttl"),
        only=frozenset({(DAEMON, "off"), (DAEMON, "ttl")}),
    ),
    Fault(
        "redis-back-empty",
        RedisPlace,
        kill_without_a_copy,
        start_empty,
        (DAEMON, "ttl"),
        back=Back.EMPTY,
    ),
    Fault(
        "redis-back-old",
        RedisPlace,
        kill_without_a_copy,
        start,
        (DAEMON, "off"),
        back=Back.OLD,
    ),
    Fault(
        "redis-read-only",
        RedisPlace,
        become_a_replica,
        become_a_master,
        (FED, "ttl"),
        stops_reads=False,
    ),
    Fault(
        "redis-out-of-memory",
        RedisPlace,
        run_out_of_memory,
        have_memory_again,
        (FED, "off"),
        stops_reads=False,
    ),
    Fault(
        "redis-wrong-password",
        RedisPlace,
        change_the_password,
        take_the_password_back,
        (DAEMON, "off"),
    ),
    Fault(
        "redis-late",
        RedisPlace,
        answer_late,
        pass_on,
        (DAEMON, "off"),
        cold=True,
        deadline=1.0,
        settings={"timeout": 2.0},
    ),
)
