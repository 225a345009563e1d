"""The service: clients over HTTP, as the contract harness speaks it. On loopback only.

python -m tests.contract.service --colour sync|async [--port N]
"""

import argparse
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, Final

import msgspec

from flagkeep.errors import ConfigError
from flagkeep.version import VERSION
from tests.contract.colours import COLOURS, Colour
from tests.contract.commands import UnknownCommand, carry_out, read_command
from tests.contract.messages import NewClient
from tests.contract.settings import Unsupported
from tests.contract.target import NotReady, Target

log = logging.getLogger("contract")

LOOPBACK: Final = "127.0.0.1"
CLIENTS: Final = "/clients/"

CAPABILITIES: Final = (
    "server-side",
    "server-side-polling",
    "all-flags-client-side-only",
    "all-flags-details-only-for-tracked-flags",
    "all-flags-with-reasons",
    "anonymous-redaction",
    "big-segments",
    "client-prereq-events",
    "context-comparison",
    "context-type",
    "evaluation-hooks",
    "event-gzip",
    "event-sampling",
    "filtering",
    "filtering-strict",
    "hook-environment-id",
    "http-proxy",
    "inline-context",
    "inline-context-all",
    "instance-id",
    "migrations",
    "omit-anonymous-contexts",
    "optional-event-gzip",
    "persistent-data-store-consul",
    "persistent-data-store-dynamodb",
    "persistent-data-store-redis",
    "polling-gzip",
    "retry-conformance-fdv1-polling",
    "retry-conformance-fdv1-streaming",
    "secure-mode-hash",
    "service-endpoints",
    "strongly-typed",
    "tags",
    "tls:custom-ca",
    "tls:skip-verify-peer",
    "tls:verify-peer",
    "track-hooks",
    "user-type",
    "wrapper",
)


class Answer(msgspec.Struct, frozen=True):
    """What is sent back."""

    status: int
    body: Any = None
    location: str | None = None


class Service:
    """All clients of one colour, by their paths. May be called from any thread."""

    def __init__(self, colour: Colour) -> None:
        self.colour = colour
        self._targets: dict[str, Target] = {}
        self._numbers = count(1)

    def describe(self) -> Answer:
        """Say what this is and can do."""
        name = f"flagkeep-{self.colour.name}"
        about = {"name": name, "clientVersion": VERSION, "capabilities": CAPABILITIES}
        return Answer(200, about)

    def create(self, body: bytes) -> Answer:
        """Make a client."""
        wanted = msgspec.json.decode(body, type=NewClient)
        path = f"{CLIENTS}{next(self._numbers)}"
        log.info("%s: for %s", path, wanted.tag)
        self._targets[path] = Target(wanted.configuration, self.colour)
        return Answer(201, location=path)

    def command(self, path: str, body: bytes) -> Answer:
        """Do something with a client."""
        target = self._targets.get(path)
        if target is None:
            return Answer(404, f"there is no client {path}")
        command = read_command(body)
        log.debug("%s: %s", path, command.command)
        return Answer(200, carry_out(target, command))

    def delete(self, path: str) -> Answer:
        """Close a client."""
        target = self._targets.pop(path, None)
        if target is None:
            return Answer(404, f"there is no client {path}")
        target.close()
        log.info("%s: closed", path)
        return Answer(204)

    def end(self) -> None:
        """Close what is still open."""
        for path in list(self._targets):
            self.delete(path)
        self.colour.end()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # the harness keeps its connections

    def __init__(self, service: Service, port: int) -> None:
        super().__init__((LOOPBACK, port), _Handler)
        self.service = service


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer is one packet
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer(self._outcome(b""))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(self._outcome(body))

    def do_DELETE(self) -> None:
        self.do_POST()
        if self.path == "/":
            self.close_connection = True
            threading.Thread(target=self.server.shutdown).start()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _outcome(self, body: bytes) -> Answer:
        try:
            return self._routed(body)
        except (msgspec.MsgspecError, UnknownCommand, ConfigError, Unsupported) as exc:
            return Answer(400, str(exc))
        except NotReady as exc:
            return Answer(500, str(exc))
        except Exception as exc:
            log.exception("%s %s", self.command, self.path)
            return Answer(500, f"{type(exc).__name__}: {exc}")

    def _routed(self, body: bytes) -> Answer:
        service = self.server.service
        match self.command, self.path:
            case "GET", "/":
                return service.describe()
            case "DELETE", "/":
                return Answer(204)
            case "POST", "/":
                return service.create(body)
            case "POST", path:
                return service.command(path, body)
            case "DELETE", path:
                return service.delete(path)
        return Answer(405, f"{self.command} {self.path} means nothing here")

    def _answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        body = b""
        if isinstance(answer.body, str):
            body = answer.body.encode()
            self.send_header("Content-Type", "text/plain; charset=utf-8")
        elif answer.body is not None:
            body = msgspec.json.encode(answer.body)
            self.send_header("Content-Type", "application/json")
        if answer.location is not None:
            self.send_header("Location", answer.location)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()  # before anything may end the program


@contextmanager
def running(colour: str) -> Iterator[str]:
    """Run the service in this process. Yields its address."""
    service = Service(COLOURS[colour]())
    with _Server(service, 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            service.end()


def main() -> None:
    """Serve until somebody asks for the end."""
    parser = argparse.ArgumentParser(description="clients of flagkeep for the contract harness")
    parser.add_argument("--colour", choices=sorted(COLOURS), required=True)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--log", default="warning", help="level of what is logged")
    arguments = parser.parse_args()
    logging.basicConfig(
        level=arguments.log.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    service = Service(COLOURS[arguments.colour]())
    with _Server(service, arguments.port) as server:
        server.serve_forever(0.05)
    service.end()


if __name__ == "__main__":
    main()
