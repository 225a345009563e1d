"""An answer over HTTP."""

from collections.abc import Mapping

import msgspec


class HttpResponse(msgspec.Struct, frozen=True):
    """A whole answer; names of headers are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
