"""What a server answered, the same in both colours."""

from collections.abc import Mapping

import msgspec


class HttpResponse(msgspec.Struct, frozen=True):
    """An answer that has been read to its end.

    Attributes:
        status: such as 200.
        headers: names are in lower case; the values of one that came twice are joined by a comma.
        body: as the server meant it, so no longer compressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
