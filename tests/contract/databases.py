"""The databases that the harness tests stores with: ours, empty, at the places where it looks.

It knows no other places, and it empties what it finds there.
"""

import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, NoReturn

from tests.servers import prepare
from tests.servers.consul import ConsulServer
from tests.servers.dynamodb import DynamoDBServer
from tests.servers.redis import RedisServer
from tests.servers.server import LOOPBACK, Server

REDIS_PORT: Final = 6379
DYNAMODB_PORT: Final = 8000
CONSUL_PORT: Final = 8500
PORTS: Final = (REDIS_PORT, DYNAMODB_PORT, CONSUL_PORT)


class HarnessRedis(RedisServer):
    """A Redis where the harness looks for one."""

    def __init__(self) -> None:
        super().__init__()
        self.port = REDIS_PORT
        self._listen = ["--port", str(self.port)]


class HarnessDynamoDB(DynamoDBServer):
    """A DynamoDB Local where the harness looks for one."""

    def __init__(self) -> None:
        super().__init__()
        self.port = DYNAMODB_PORT
        self.url = f"http://{LOOPBACK}:{self.port}"


class HarnessConsul(ConsulServer):
    """A Consul where the harness looks for one."""

    def __init__(self) -> None:
        super().__init__()
        self.port = self._ports["http"] = CONSUL_PORT
        self.url = f"http://{LOOPBACK}:{self.port}"


SERVERS: Final[tuple[type[Server], ...]] = (HarnessRedis, HarnessDynamoDB, HarnessConsul)


@contextmanager
def databases_for_the_harness() -> Iterator[None]:
    """Run all of them, or end the program and say why that cannot be."""
    for port in PORTS:
        refuse_if_answered(port)
    failures = [_missing_program(kind) for kind in (HarnessRedis, HarnessDynamoDB)]
    failures += prepare.prepare(list(prepare.PLACES)).values()
    for problem in filter(None, failures):
        refuse(problem)
    with ExitStack() as stack:
        for kind in SERVERS:
            stack.enter_context(kind())
        yield


def refuse_if_answered(port: int) -> None:
    """End the program if something answers there already: it is somebody's."""
    for address in sorted({LOOPBACK, "::1", *_addresses_of("localhost")}):
        if _answers(address, port):
            refuse(
                f"something answers on {address} port {port}, and the harness would empty it:"
                " stop it, or run this where that port is free, such as in a container"
            )


def refuse(problem: str) -> NoReturn:
    """End the program: nothing can be run."""
    print(f"contract: {problem}", file=sys.stderr)
    sys.exit(2)


def _missing_program(kind: type[Server]) -> str | None:
    """Return what to install for a server that is not built by us; None if it is there."""
    if any(map(shutil.which, kind.programs)):
        return None
    return f"{kind.programs[0]} is not here: {kind.install}"


def _addresses_of(host: str) -> set[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return {str(address[0]) for *_, address in found}


def _answers(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.settimeout(2)
            return probe.connect_ex((address, port)) == 0
    except OSError:  # no such addresses on this machine
        return False
