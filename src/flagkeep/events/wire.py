"""How payloads travel: headers, compression, and the clock of the service."""

import re
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

SCHEMA: Final = "4"

_JSON: Final = {"Content-Type": "application/json"}
_GZIP_FORMAT: Final = 16 + zlib.MAX_WBITS
_FAST: Final = 1  # in asyncio the event loop waits for it
_DATE: Final = re.compile(
    r"(?:[A-Za-z]{3}, )?(\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT"
)
_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip


def analytics_headers(payload_id: str) -> dict[str, str]:
    """Return the headers of a payload, beside those that say who sends it."""
    return {
        **_JSON,
        "X-LaunchDarkly-Event-Schema": SCHEMA,
        "X-LaunchDarkly-Payload-ID": payload_id,
    }


def diagnostic_headers() -> dict[str, str]:
    """Return the headers of a diagnostic event, beside those that say who sends it."""
    return dict(_JSON)


def compressed(body: bytes) -> bytes:
    """Return the body in gzip's format, for `Content-Encoding: gzip`."""
    packer = zlib.compressobj(_FAST, zlib.DEFLATED, _GZIP_FORMAT)
    return packer.compress(body) + packer.flush()


def server_time_ms(headers: Mapping[str, str]) -> int | None:
    """Return what time it is for the service, in ms since the epoch, if it says so.

    Args:
        headers: of an answer, names in lower case.
    """
    match = _DATE.fullmatch(headers.get("date", "").strip())
    if match is None or match[2] not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(match[place]) for place in (1, 3, 4, 5, 6))
    month = _MONTHS.index(match[2]) + 1
    try:
        time = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:  # no such day, or a leap second
        return None
    return int(time.timestamp()) * 1000
