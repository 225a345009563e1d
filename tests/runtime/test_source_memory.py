"""What an upstream sends that goes wrong costs bounded memory, however much it is."""

import gzip
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final

import pytest

from flagkeep.testing import FakeUpstream, Scripted
from flagkeep.testing.upstream_messages import Body

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc"),
]

MB: Final = 1_000_000
LARGE: Final = 100 * MB
LIMIT: Final = 4 * MB
FLAG: Final = {
    "key": "f",
    "version": 1,
    "on": False,
    "variations": ["old"],
    "offVariation": 0,
}
PROGRAM: Final = str(Path(__file__).with_name("source_memory.py"))
PATHS: Final = {"stream": "/all", "poll": "/sdk/latest-all"}


def growth(
    path: str, colour: str, answer: Scripted, *, limit: int, failures: int
) -> tuple[int, str]:
    """Return by how much the largest resident size grew, and the kind of the last error."""
    with FakeUpstream({"flags": {"f": FLAG}}) as upstream:
        arguments = (path, colour, str(upstream.port), str(limit), str(failures))
        with subprocess.Popen(
            [sys.executable, PROGRAM, *arguments], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            upstream.always(PATHS[path], answer)
            upstream.drop_streams()
            last = process.stdout.read()
        assert process.returncode == 0
    grown, value, kind = last.split()
    assert value == "old"
    return int(grown), kind


def bomb() -> bytes:
    """Return what becomes 100 MB when it is unpacked."""
    return gzip.compress(b" " * LARGE, compresslevel=1)


def events(text: bytes) -> Callable[[], Iterator[bytes]]:
    """Return 100 MB of events."""
    return lambda: (text * 1000 for _ in range(LARGE // len(text) // 1000))


def event_stream(body: Body) -> Scripted:
    return Scripted(200, {"Content-Type": "text/event-stream"}, body)


ANSWERS: Final = {
    "stream": {
        "endless line": lambda: Scripted.large(LARGE, start=b"data: "),
        "endless name": lambda: Scripted.large(LARGE, start=b"event: "),
        "endless comment": lambda: Scripted.large(LARGE, start=b":"),
        "endless lines": lambda: Scripted.large(LARGE, start=b"event: a\n", filler=b"data: x\n"),
        "unknown events": lambda: event_stream(events(b"event: a\ndata: " + b"x" * 90 + b"\n\n")),
        "an endless page": lambda: Scripted(200, {}, Scripted.large(LARGE).body),
        "an endless refusal": lambda: Scripted(503, {}, Scripted.large(LARGE).body),
    },
    "poll": {
        "100 MB": lambda: Scripted.large(LARGE, start=b'{"flags":{"'),
        "100 MB announced": lambda: Scripted(200, {"Content-Length": str(LARGE)}, b"{"),
        "a bomb": lambda: Scripted(200, {"Content-Encoding": "gzip"}, bomb()),
        "an endless refusal": lambda: Scripted(503, {}, Scripted.large(LARGE).body),
    },
}


@pytest.mark.parametrize("colour", ["asyncio", "threads"])
@pytest.mark.parametrize(
    ("path", "name"), [(path, name) for path in ANSWERS for name in ANSWERS[path]]
)
def test_what_exceeds_the_limit_is_not_kept(path: str, name: str, colour: str) -> None:
    grown, _ = growth(path, colour, ANSWERS[path][name](), limit=LIMIT, failures=2)
    assert grown < 4 * LIMIT


@pytest.mark.parametrize("colour", ["asyncio", "threads"])
@pytest.mark.parametrize("path", PATHS)
def test_garbage_within_the_default_limit_costs_little_more_than_its_size(
    path: str, colour: str
) -> None:
    start = (
        b'event: put\ndata: {"path":"/","data":{"flags":{"' if path == "stream" else b'{"flags":{"'
    )
    size = LARGE if path == "poll" else LARGE - len(start)
    large = Scripted.large(size, start=start)
    ended = event_stream(lambda: chain(large.parts(), [b"\n\n"])) if path == "stream" else large
    grown, kind = growth(path, colour, ended, limit=0, failures=2)
    assert kind == "invalid_data"
    assert grown < 2.5 * LARGE
