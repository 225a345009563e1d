"""As much of LaunchDarkly's streaming service as it takes to feed an SDK."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.interop.dataset import DataSet
from tests.interop.items import Json
from tests.servers.server import LOOPBACK


@contextmanager
def streaming(data: DataSet) -> Iterator[str]:
    """Serve one stream: everything, then the changes, then nothing more. Yields its address."""
    events = [event.encode() for event in _events(data)]
    is_over = threading.Event()

    class Stream(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            # In chunks, as the real one: readers of blocks would wait for the last one to fill up.
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for event in events:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
            is_over.wait()
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((LOOPBACK, 0), Stream) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}"
        finally:
            is_over.set()
            server.shutdown()
            thread.join()


def _events(data: DataSet) -> Iterator[str]:
    by_key = {"flags": _by_key(data.flags), "segments": _by_key(data.segments)}
    yield _event("put", {"path": "/", "data": by_key})
    for is_segment, item in data.changes:
        path = f"/{'segments' if is_segment else 'flags'}/{item['key']}"
        if item["deleted"]:
            yield _event("delete", {"path": path, "version": item["version"]})
        else:
            yield _event("patch", {"path": path, "data": item})


def _by_key(items: Sequence[Json]) -> dict[str, Json]:
    return {item["key"]: item for item in items}


def _event(name: str, data: Json) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
