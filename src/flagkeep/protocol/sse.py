r"""Server-sent events: bytes into events, and events into bytes (HTML standard, section 9.2).

    event: patch          the name; `message` without this line
    data: {"path": ...    lines of data are joined by LF
    id: 7                 what `Last-Event-ID` says when a stream is opened again
    : anything            a comment, such as a heartbeat
                          an empty line ends the event

Lines end in LF, CR or CRLF, and bytes arrive cut anywhere. What is held is the data of one event,
which goes as it comes into the one buffer that it is handed on in, and the start of one line. So a
line of 11 MB in many pieces is read once and copied once, and memory stays near what it holds.
"""

from io import BytesIO
from typing import Final

import msgspec

from flagkeep.errors import InvalidData

MAX_FIELD: Final = 64 * 1024

_BOM: Final = b"\xef\xbb\xbf"
_DATA: Final = b"data:"
_SPACE: Final = 0x20
_KNOWN_FROM: Final = len(_DATA) + 1  # with so many bytes it is clear where the data begins
_LINE_ENDS: Final = b"\r\n"


class Event(msgspec.Struct, frozen=True):
    """One event.

    Attributes:
        name: `message` if the event has none.
        data: as received; whether it is UTF-8 is for its reader to find out.
        id: the one in this event; None without, then the last one of the stream still counts.
    """

    name: str
    data: bytes
    id: str | None = None


class EventStreamParser:
    """Turns the bytes of one stream into events. After an error it is of no use any more.

    Attributes:
        last_event_id: of the last event that ended, `""` before one that has an id. It may be set
            to that of the stream before.

    Args:
        max_bytes: the most data that one event may have; any other line ends after 64 KiB.
    """

    def __init__(self, max_bytes: int) -> None:
        self.last_event_id = ""
        self._max_bytes = max_bytes
        self._max_field = min(max_bytes, MAX_FIELD)
        self._is_first_line = True
        self._skips_lf = False  # the last byte was a CR, a LF right after it belongs to that
        self._line = b""  # the start of a line, if it is not known to be data
        self._is_in_data = False  # the line under way is data
        self._has_data = False
        self._data = BytesIO()
        self._name = ""
        self._id: str | None = None

    @property
    def is_between_events(self) -> bool:
        """Whether nothing of a next event has come; a comment that has ended is nothing."""
        return not (self._line or self._is_in_data or self._has_data or self._name)

    def feed(self, chunk: bytes) -> list[Event]:
        """Take in the next bytes, however they are cut; returns the events that end in them.

        Raises:
            InvalidData: an event or a line is longer than it may be.
        """
        if not chunk:
            return []
        skips_lf, self._skips_lf = self._skips_lf, chunk.endswith(b"\r")
        if skips_lf and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        if b"\n" not in chunk and b"\r" not in chunk:  # ten times faster than splitting
            self._take(chunk)
            return []
        events = []
        for piece in chunk.splitlines(keepends=True):
            line = piece.rstrip(_LINE_ENDS)
            self._take(line)
            if len(line) < len(piece):
                event = self._end_line()
                if event is not None:
                    events.append(event)
        return events

    def _take(self, piece: bytes) -> None:
        """Take the next piece of a line, without the line's end."""
        if self._is_in_data:
            self._grow(piece)
            return
        line = self._line + piece if self._line else piece
        if self._is_first_line and len(line) >= len(_BOM):
            self._is_first_line = False
            line = line.removeprefix(_BOM)
        if len(line) >= _KNOWN_FROM and line.startswith(_DATA):
            self._is_in_data, self._line = True, b""
            self._begin_data()
            self._grow(line[_KNOWN_FROM if line[len(_DATA)] == _SPACE else len(_DATA) :])
            return
        if len(line) > self._max_field:
            raise InvalidData(f"a line of the stream exceeds {self._max_field:,} bytes")
        self._line = line

    def _begin_data(self) -> None:
        if self._has_data:
            self._grow(b"\n")
        self._has_data = True

    def _grow(self, piece: bytes) -> None:
        self._data.write(piece)
        if self._data.tell() > self._max_bytes:
            raise InvalidData(f"an event of the stream exceeds {self._max_bytes:,} bytes")

    def _end_line(self) -> Event | None:
        """Take the end of a line; returns the event if it ends, too."""
        self._is_first_line = False
        if self._is_in_data:
            self._is_in_data = False
            return None
        line, self._line = self._line, b""
        if not line:
            return self._end_event()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":  # without a value, or it would have been seen earlier
            self._begin_data()
        elif name == b"event":
            self._name = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode(errors="replace")
        return None

    def _end_event(self) -> Event | None:
        name, self._name = self._name, ""
        identity, self._id = self._id, None
        if identity is not None:
            self.last_event_id = identity
        if not self._has_data:
            return None
        data, self._data = self._data.getvalue(), BytesIO()
        self._has_data = False
        return Event(name or "message", data, identity)


def encode(event: Event) -> bytes:
    r"""Return an event as it goes over a stream.

    Line ends within the data arrive as LF, whatever they were: the format has no other.

    Raises:
        ValueError: the name is empty, or name or id have a line's end or NUL in them.
    """
    parts = []
    for field, text in (("event", event.name), ("id", event.id)):
        if text is None:
            continue
        if any(mark in text for mark in "\r\n\0") or (field == "event" and not text):
            raise ValueError(f"{text!r} cannot be the {field} of a server-sent event")
        parts.append(f"{field}: {text}\n".encode())
    is_one_line = b"\n" not in event.data and b"\r" not in event.data
    lines = [event.data] if is_one_line else _lines(event.data)
    for line in lines:
        parts += (b"data: ", line, b"\n")
    parts.append(b"\n")
    return b"".join(parts)


def _lines(data: bytes) -> list[bytes]:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
