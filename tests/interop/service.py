"""As much of LaunchDarkly's streaming service as it takes to feed an SDK."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from flagkeep.testing import FakeUpstream, Scripted
from tests.interop.dataset import DataSet
from tests.interop.items import Json
from tests.interop.place import Place
from tests.interop.waiting import until


@contextmanager
def streaming(data: DataSet, place: Place) -> Iterator[str]:
    """Serve one stream: everything, then the changes, then nothing more. Yields its address.

    The changes come when everything is in the database: an SDK for Node does not hold them back
    while it writes the rest.
    """
    with FakeUpstream() as upstream:
        upstream.always("/all", Scripted.stream(lambda: _parts(data, place)))
        yield upstream.uri


def _parts(data: DataSet, place: Place) -> Iterator[bytes]:
    by_key = {"flags": _by_key(data.flags), "segments": _by_key(data.segments)}
    yield _event("put", {"path": "/", "data": by_key}).encode()
    if data.changes:
        until(lambda: place.holds(data.flags, data.segments))
    yield "".join(_changes(data)).encode()


def _changes(data: DataSet) -> Iterator[str]:
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
