"""The other side of the service: sends commands, and is what it calls back."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from tests.servers.server import LOOPBACK

Json = dict[str, Any]


class Refused(Exception):
    """The service answered with an error.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class Driver:
    """Speaks to one service.

    Args:
        url: of the service.
    """

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        self._connection = HTTPConnection(place.hostname or "", place.port, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, method: str, path: str, body: bytes = b"") -> tuple[Mapping[str, str], Any]:
        """Send a request and return the headers and the JSON of the answer.

        Raises:
            Refused: the answer is an error.
        """
        self._connection.request(method, path, body)
        answer = self._connection.getresponse()
        text = answer.read()
        if not 200 <= answer.status < 300:
            raise Refused(answer.status, text.decode())
        return dict(answer.getheaders()), msgspec.json.decode(text) if text else None

    @contextmanager
    def client(self, **configuration: Any) -> Iterator["DrivenClient"]:
        """Let the service make a client, and close it afterwards."""
        wanted = {"configuration": {"credential": "sdk-key", **configuration}, "tag": "a test"}
        headers, _ = self.send("POST", "/", msgspec.json.encode(wanted))
        client = DrivenClient(self, headers["Location"])
        try:
            yield client
        finally:
            client.close()


class DrivenClient:
    """One client of the service.

    Attributes:
        path: of the client.
    """

    def __init__(self, driver: Driver, path: str) -> None:
        self.path = path
        self._driver = driver
        self._is_open = True

    def command(self, name: str, **arguments: Any) -> Any:
        """Send a command and return its answer."""
        body: Json = {"command": name}
        if arguments:
            body[name] = arguments
        return self._driver.send("POST", self.path, msgspec.json.encode(body))[1]

    def value(self, key: str, default: Any = None, value_type: str = "any", **more: Any) -> Any:
        """Evaluate a flag for some user and return its value."""
        answer = self.command(
            "evaluate",
            flagKey=key,
            context=USER,
            valueType=value_type,
            defaultValue=default,
            **more,
        )
        return answer["value"]

    def close(self) -> None:
        """Let the service close it; a second time does nothing."""
        if self._is_open:
            self._is_open = False
            self._driver.send("DELETE", self.path)


USER: Json = {"kind": "user", "key": "user-key"}


class Callbacks:
    """A server that the service calls back; it notes each POST, and answers by its path.

    Attributes:
        calls: path and body of each, in the order of their arrival.
        url: of the server.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, bytes]] = []
        self._answers: dict[str, Callable[[bytes], bytes | int]] = {}
        self._server = ThreadingHTTPServer((LOOPBACK, 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://{LOOPBACK}:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, path: str, answer: Callable[[bytes], bytes | int]) -> str:
        """Answer there with a body, or a status without one. Returns the URL."""
        self._answers[path] = answer
        return self.url + path

    def json(self, path: str) -> list[Any]:
        """Return what was sent there."""
        return [msgspec.json.decode(body) for place, body in self.calls if place == path]

    def called(self, path: str, body: bytes) -> bytes | int:
        """Note a call and return the answer to it."""
        self.calls.append((path, body))
        answer = self._answers.get(path)
        return 204 if answer is None else answer(body)


def _handler(callbacks: Callbacks) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = callbacks.called(self.path, body)
            self.send_response(answer if isinstance(answer, int) else 200)
            text = b"" if isinstance(answer, int) else answer
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
