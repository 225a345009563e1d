"""A Consul with proxies in front of it, or three in a cluster, and what can happen to them."""

import base64
import json
import uuid
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any, Final, Self
from urllib.parse import urlsplit

from tests.outages.environment import document, generation_of
from tests.outages.fault import DAEMON, FED, Back, Fault
from tests.outages.place import Place
from tests.servers import consul
from tests.servers.consul import ConsulCluster, ConsulMember, ConsulServer
from tests.servers.consul_faults import ConsulFaults
from tests.servers.http_faults import Request
from tests.servers.proxy import FaultProxy
from tests.servers.server import LOOPBACK

TIMEOUT: Final = 1.0  # of silence: a busy machine stops for half a second now and then
PATIENCE: Final = 20.0  # seconds in which a store gives up what is throttled, and some more
LITTLE: Final = 2000  # bytes; an item takes some 500, in base64
EVERYTHING: Final = 'key_prefix "" { policy = "write" }'


class ConsulPlace(Place):
    """An environment in a Consul; clients come through a proxy for bytes and one for requests.

    Args:
        url: of a server that others use, too.

    Attributes:
        requests: the proxy that knows what is asked.
        wire: the one in front of it.
    """

    kind = "consul"
    pushes = False
    requests: ConsulFaults
    wire: FaultProxy

    def __init__(self, url: str) -> None:
        self._url = url
        self._stack = ExitStack()
        self._copy: dict[str, bytes] = {}
        self.prefix = f"outages-{uuid.uuid4().hex}"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._begin(stack)
            self.requests = stack.enter_context(ConsulFaults(self._url))
            port = urlsplit(self.requests.url).port or 0
            self.wire = stack.enter_context(FaultProxy(port))
            self._stack = stack.pop_all()
        url = f"http://{LOOPBACK}:{self.wire.port}"
        self.settings = {"url": url, "prefix": self.prefix, "timeout": TIMEOUT}
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _begin(self, stack: ExitStack) -> None:
        """Start what is needed, and leave nothing behind."""
        stack.callback(self._remove)

    def _remove(self) -> None:
        consul.remove(self._url, f"{self.prefix}/")
        consul.remove_records(self._url, self.prefix)

    def _call(self, method: str, path: str, body: object = None) -> consul.Answer:
        """Send a request, around the proxies."""
        return consul.call(self._url, method, path, body)

    def write(self, generation: int) -> None:
        """Put a generation in the place of everything."""
        items = document(generation)
        pairs = {
            f"{self.prefix}/{namespace}/{key}": json.dumps(item).encode()
            for kind, namespace in (("flags", "features"), ("segments", "segments"))
            for key, item in items[kind].items()
        }
        self._put({**pairs, f"{self.prefix}/$inited": b""})

    def generation(self) -> int | None:
        """Return which one is there."""
        found: dict[str, dict[str, bytes]] = {"features": {}, "segments": {}, "$inited": {}}
        for path, value in self._content().items():
            namespace, _, key = path.removeprefix(f"{self.prefix}/").partition("/")
            found[namespace][key] = value
        if not found["$inited"]:
            return None
        return generation_of(found["features"], found["segments"])

    def keep_a_copy(self) -> None:
        """Remember what is there now, for `restore`."""
        self._copy = self._content()

    def restore(self) -> None:
        """Let it hold what it held when it was copied, and nothing else."""
        self._remove()
        self._put(self._copy)

    def _content(self) -> dict[str, bytes]:
        answer = self._call("GET", f"/v1/kv/{self.prefix}/?recurse&consistent")
        if answer.status != HTTPStatus.OK:  # nothing is there, or nobody leads
            return {}
        return {one["Key"]: base64.b64decode(one["Value"] or "") for one in answer.json()}

    def _put(self, pairs: dict[str, bytes]) -> None:
        """Write keys, all at once."""
        operations = [
            {"KV": {"Verb": "set", "Key": key, "Value": base64.b64encode(value).decode()}}
            for key, value in pairs.items()
        ]
        answer = self._call("PUT", "/v1/txn", operations)
        assert answer.status == HTTPStatus.OK, answer


class OwnConsulPlace(ConsulPlace):
    """An environment in a Consul that nobody else uses, and which forgets it when it ends."""

    def __init__(self, *_: object) -> None:
        self.server = self._new_server()
        super().__init__(self.server.url)

    def _new_server(self) -> ConsulServer:
        return ConsulServer()

    def _begin(self, stack: ExitStack) -> None:
        stack.enter_context(self.server)

    def _call(self, method: str, path: str, body: object = None) -> consul.Answer:
        return self.server.call(method, path, body)


class KeptConsulPlace(OwnConsulPlace):
    """One that keeps what it has when it ends."""

    def _new_server(self) -> ConsulServer:
        return ConsulServer(on_disk=True)


class LockedConsulPlace(OwnConsulPlace):
    """One that asks for a token; clients have one that may do everything with keys."""

    def _new_server(self) -> ConsulServer:
        return ConsulServer(acl=True)

    def __enter__(self) -> Self:
        super().__enter__()
        self.settings |= {"token": self.server.new_token(EVERYTHING)}
        (policy,) = (one for one in self._policies() if one["Name"].startswith("policy-"))
        self._policy = policy["ID"]
        return self

    def allow(self, rules: str) -> None:
        """Let the clients' token do something else from now on."""
        (policy,) = (one for one in self._policies() if one["ID"] == self._policy)
        changed = {"ID": self._policy, "Name": policy["Name"], "Rules": rules}
        answer = self._call("PUT", f"/v1/acl/policy/{self._policy}", changed)
        assert answer.status == HTTPStatus.OK, answer

    def _policies(self) -> list[Any]:
        found: list[Any] = self._call("GET", "/v1/acl/policies").json()
        return found


class ConsulClusterPlace(ConsulPlace):
    """An environment in a cluster of three; clients ask one that does not lead."""

    def __init__(self, *_: object) -> None:
        super().__init__("")
        self.cluster = ConsulCluster()
        self.killed: list[ConsulMember] = []

    def _begin(self, stack: ExitStack) -> None:
        stack.enter_context(self.cluster)
        self._url = self.cluster.followers()[0].url


# --- faults: begin and end -----------------------------------------------------------------------


def pass_on(place: ConsulPlace) -> None:
    place.requests.pass_on()
    place.wire.pass_on()


def refuse(place: ConsulPlace) -> None:
    """Nobody listens on the port."""
    place.wire.refuse()


def pause(place: OwnConsulPlace) -> None:
    """Connections are taken and nothing is answered."""
    place.server.pause()


def resume(place: OwnConsulPlace) -> None:
    place.server.resume()


def kill(place: OwnConsulPlace) -> None:
    """The process is gone; only one of those that keep something has it when it is back."""
    place.server.kill()


def start(place: OwnConsulPlace) -> None:
    place.server.start()


def restore(place: ConsulPlace) -> None:
    """It is back as it was when it was copied."""
    place.restore()
    place.wire.pass_on()


def hang(place: ConsulPlace) -> None:
    """Requests are taken and nothing is answered; in the end they are hung up on."""
    place.requests.hang(None)


def cut_every_reply(place: ConsulPlace) -> None:
    """Every connection is reset in the middle of its first reply."""
    place.wire.cut_after(2)


def cut_long_replies(place: ConsulPlace) -> None:
    """Short answers come through, longer ones end in the middle with a reset."""
    place.requests.cut(None, after_bytes=400)


def answer_late(place: ConsulPlace) -> None:
    """Every reply comes 3 s late."""
    place.requests.delay(None, 3.0)


def throttle(place: ConsulPlace) -> None:
    """The agent is asked for more than it allows."""
    place.requests.throttle(None)


def take_nothing(place: ConsulPlace) -> None:
    """Whatever is to be written is too large."""
    place.requests.refuse_size("PUT kv")
    place.requests.refuse_size("PUT txn", where=_writes)


def _writes(request: Request) -> bool:
    return b'"set"' in request.body or b'"cas"' in request.body


def take_little(place: ConsulPlace) -> None:
    """It takes no more than some items at a time."""
    place.requests.refuse_size(None, where=lambda request: len(request.body) > LITTLE)


def garble(place: ConsulPlace) -> None:
    """Something else answers, with a page."""
    place.requests.garble(None)


def lose_leader(place: ConsulPlace) -> None:
    """Nobody leads."""
    place.requests.lose_leader(None)


def lose_the_majority(place: ConsulClusterPlace) -> None:
    """The leader is gone, and so is one of those who could follow it."""
    leader = place.cluster.leader()
    others = [one for one in place.cluster.members if one.url != place._url and one is not leader]
    place.killed = [leader, *others]
    for one in place.killed:
        one.kill()


def bring_the_majority_back(place: ConsulClusterPlace) -> None:
    for one in place.killed:
        one.start()


def deny(place: LockedConsulPlace) -> None:
    """The token is good for nothing any more."""
    place.allow("")


def deny_writes(place: LockedConsulPlace) -> None:
    """The token is good for reading only."""
    place.allow('key_prefix "" { policy = "read" }')


def allow(place: LockedConsulPlace) -> None:
    place.allow(EVERYTHING)


FAULTS: Final = (
    Fault("consul-refused", ConsulPlace, refuse, pass_on, (DAEMON, "off"), cold=True),
    Fault("consul-stopped", OwnConsulPlace, pause, resume, (DAEMON, "ttl"), cold=True),
    Fault("consul-killed", KeptConsulPlace, kill, start, (FED, "forever")),
    Fault("consul-hangs", ConsulPlace, hang, pass_on, (FED, "ttl")),
    Fault("consul-cut", ConsulPlace, cut_every_reply, pass_on, (DAEMON, "off")),
    Fault(
        "consul-cut-when-long",
        ConsulPlace,
        cut_long_replies,
        pass_on,
        (DAEMON, "ttl"),
        only=frozenset({(DAEMON, "off"), (DAEMON, "ttl")}),
    ),
    Fault(
        "consul-throttled",
        ConsulPlace,
        throttle,
        pass_on,
        (DAEMON, "off"),
        noticed_within=PATIENCE,
    ),
    Fault(
        "consul-takes-nothing",
        ConsulPlace,
        take_nothing,
        pass_on,
        (FED, "ttl"),
        stops_reads=False,
    ),
    Fault(
        "consul-takes-little",
        ConsulPlace,
        take_little,
        pass_on,
        (FED, "off"),
        stops_reads=False,
        stops_writes=False,
    ),
    Fault("consul-something-else", ConsulPlace, garble, pass_on, (DAEMON, "ttl")),
    Fault("consul-leaderless", ConsulPlace, lose_leader, pass_on, (FED, "off")),
    Fault(
        "consul-majority-lost",
        ConsulClusterPlace,
        lose_the_majority,
        bring_the_majority_back,
        (DAEMON, "ttl"),
    ),
    Fault("consul-denied", LockedConsulPlace, deny, allow, (DAEMON, "off")),
    Fault(
        "consul-writes-denied",
        LockedConsulPlace,
        deny_writes,
        allow,
        (FED, "off"),
        stops_reads=False,
    ),
    Fault("consul-back-empty", OwnConsulPlace, kill, start, (DAEMON, "ttl"), back=Back.EMPTY),
    Fault("consul-back-old", ConsulPlace, refuse, restore, (DAEMON, "off"), back=Back.OLD),
    Fault(
        "consul-late",
        ConsulPlace,
        answer_late,
        pass_on,
        (DAEMON, "off"),
        deadline=1.0,
        settings={"timeout": 2.0},
    ),
)
