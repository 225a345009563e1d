"""A Redis with a proxy in front of it, and what can happen to both."""

import json
from typing import Any, Final, Self

from tests.outages.environment import document, generation_of
from tests.outages.place import Place
from tests.servers.proxy import FaultProxy
from tests.servers.redis import RedisServer
from tests.servers.server import LOOPBACK

PREFIX: Final = "launchdarkly"
PASSWORD: Final = "sesame"  # noqa: S105  of a server that lives for one test
TIMEOUT: Final = 0.5  # of the driver


class RedisPlace(Place):
    """A Redis of its own; clients come through the proxy, as the user `app`."""

    pushes = False

    def __init__(self) -> None:
        self.server = RedisServer()
        self.proxy = FaultProxy(self.server.port)
        url = f"redis://app:{PASSWORD}@{LOOPBACK}:{self.proxy.port}/0"
        self.settings: dict[str, Any] = {"url": url, "timeout": TIMEOUT}

    def __enter__(self) -> Self:
        self.server.__enter__()
        self.proxy.__enter__()
        self.allow(PASSWORD)
        return self

    def __exit__(self, *_: object) -> None:
        self.proxy.__exit__()
        self.server.__exit__()

    def write(self, generation: int) -> None:
        """Put a generation in the place of everything."""
        items = document(generation)
        for kind in ("features", "segments"):
            source = items["flags" if kind == "features" else kind]
            pairs = [word for key, item in source.items() for word in (key, json.dumps(item))]
            script = "redis.call('DEL', KEYS[1]); redis.call('HSET', KEYS[1], unpack(ARGV))"
            self.server.cli("EVAL", script, 1, f"{PREFIX}:{kind}", *pairs)
        self.server.cli("SET", f"{PREFIX}:$inited", "")

    def generation(self) -> int | None:
        """Return which one is there."""
        if not self.server.cli("EXISTS", f"{PREFIX}:$inited"):
            return None
        return generation_of(self._hash("features"), self._hash("segments"))

    def keep_a_copy(self) -> None:
        """Let the next start begin with what is there now."""
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
        words = self.server.cli("HGETALL", f"{PREFIX}:{kind}")
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
