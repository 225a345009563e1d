"""Server-sent events: what ends a line and an event, how bytes are cut never matters, bounds."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.errors import InvalidData
from flagkeep.protocol.sse import MAX_FIELD, Event, EventStreamParser, encode
from tests.strategies import event_stream_lines, server_sent_events, split

ROOM = 1_000_000
X = [Event("message", b"x")]


def parsed(*chunks: bytes, max_bytes: int = ROOM) -> list[Event]:
    parser = EventStreamParser(max_bytes)
    return [event for chunk in chunks for event in parser.feed(chunk)]


def three_ways(wire: bytes) -> list[Event]:
    """Parse whole, byte by byte, and with an unfinished event behind; all must agree."""
    whole = parsed(wire)
    assert parsed(*(wire[at : at + 1] for at in range(len(wire)))) == whole
    assert parsed(wire, b"data: unfinished\n") == whole
    return whole


# --- lines and fields --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "events"),
    [
        (b"data: x\n\n", X),
        (b"event: put\ndata: {}\n\n", [Event("put", b"{}")]),
        (b"event:put\ndata:{}\n\n", [Event("put", b"{}")]),
        (b"event:  put\ndata:  x \n\n", [Event(" put", b" x ")]),  # one space only
        (b"data: x\r\rdata: x\r\n\r\ndata: x\n\n", X * 3),
        (b"data: a\ndata: b\n\n", [Event("message", b"a\nb")]),
        (b"data:\ndata:\n\n", [Event("message", b"\n")]),
        (b"data\n\n", [Event("message", b"")]),
        (b"data:\n\n", [Event("message", b"")]),
        (b"data: \n\n", [Event("message", b"")]),
        (b"data\ndata: x\ndata\n\n", [Event("message", b"\nx\n")]),
        (b"data: a: b\n\n", [Event("message", b"a: b")]),
        (b": comment\n:\n\n\n", []),
        (b"event: put\n\ndata: x\n\n", X),  # without data there is no event
        (b"event: a\nevent: b\ndata: x\n\n", [Event("b", b"x")]),
        (b"event: a\nevent\ndata: x\n\n", X),
        (b"retry: 7\nother: 1\ndataset: 1\n data: 1\ndata: x\n\n", X),
        (b"id: 7\ndata: x\n\ndata: y\n\n", [Event("message", b"x", "7"), Event("message", b"y")]),
        (b"id: a\0b\ndata: x\n\n", X),
        (b"id\ndata: x\n\n", [Event("message", b"x", "")]),
        ("event: é\ndata: ü\n\n".encode(), [Event("é", "ü".encode())]),
        (b"event: \xff\ndata: \xff\n\n", [Event("\N{REPLACEMENT CHARACTER}", b"\xff")]),
        (b"\xef\xbb\xbfdata: x\n\n", X),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\n", []),  # the second one is part of a name
        (b"\n\xef\xbb\xbfdata: x\n\n", []),  # only the first line may begin so
        (b"\xef\xbb\n\ndata: x\n\n", X),
        (b"\xef\xbb\xbf\ndata: x\n\n", X),
        (b"d\n\nda\n\ndata: x\n\n", X),
        (b"data: half an event", []),
        (b"data: half an event\n", []),
        (b"", []),
    ],
)  # fmt: skip
def test_fields_of_an_event(wire: bytes, events: list[Event]) -> None:
    assert three_ways(wire) == events


def test_a_character_cut_in_two_is_whole_again() -> None:
    wire = 'data: {"name":"Zoë 😀"}\n\n'.encode()
    for at in range(len(wire)):
        assert parsed(wire[:at], wire[at:]) == [Event("message", '{"name":"Zoë 😀"}'.encode())]


def test_an_event_is_there_with_its_last_byte_even_if_a_line_feed_may_follow() -> None:
    parser = EventStreamParser(ROOM)
    assert parser.feed(b"data: x\r\n\r") == X
    assert parser.feed(b"") == []
    assert parser.feed(b"\n") == []
    assert parser.feed(b"data: y\r\n\r\n") == [Event("message", b"y")]


def test_a_line_feed_right_after_a_carriage_return_belongs_to_it_once() -> None:
    assert parsed(b"data: x\r", b"\n", b"\n") == X


# --- the last id ---------------------------------------------------------------------------------


def test_the_last_id_is_that_of_the_last_event_that_ended() -> None:
    parser = EventStreamParser(ROOM)
    assert parser.last_event_id == ""
    parser.feed(b"id: 1\ndata: x\n\nid: 2\ndata: y\n")
    assert parser.last_event_id == "1"
    parser.feed(b"\ndata: z\n\n")
    assert parser.last_event_id == "2"


def test_an_id_counts_without_data_and_an_empty_one_takes_it_back() -> None:
    parser = EventStreamParser(ROOM)
    parser.feed(b"id: 1\n\n")
    assert parser.last_event_id == "1"
    parser.feed(b"id:\n\n")
    assert parser.last_event_id == ""


# --- cuts ----------------------------------------------------------------------------------------


@given(st.lists(server_sent_events(), max_size=5), st.lists(st.integers(0, 400)))
def test_cuts_do_not_change_the_events(sent: list[Event], cuts: list[int]) -> None:
    wire = b"".join(encode(event) for event in sent)
    assert parsed(*split(wire, cuts)) == sent


@given(event_stream_lines(), st.lists(st.integers(0, 400)))
def test_cuts_do_not_change_what_is_made_of_any_bytes(wire: bytes, cuts: list[int]) -> None:
    whole, pieces = EventStreamParser(ROOM), EventStreamParser(ROOM)
    expected = whole.feed(wire)
    assert [event for part in split(wire, cuts) for event in pieces.feed(part)] == expected
    assert pieces.last_event_id == whole.last_event_id


@given(event_stream_lines(), st.sampled_from([b"\r", b"\n", b"\r\n"]))
def test_line_ends_do_not_change_the_events(wire: bytes, end: bytes) -> None:
    lines = wire.replace(b"\r", b"").split(b"\n")
    assert parsed(end.join(lines)) == parsed(b"\n".join(lines))


# --- bounds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "wire"),
    [
        (1_000, b"data: " + b"x" * 1_001),
        (1_000, b"data: " + b"x" * 1_001 + b"\n\n"),
        (1_000, b"data: x\n" * 501),
        (1_000, b"event: " + b"x" * 1_001),
        (1_000, b":" + b"x" * 1_001 + b"\n"),
        (1_000, b"x" * 1_001),
        (ROOM, b"id: " + b"x" * MAX_FIELD),
    ],
)
def test_an_endless_line_or_event_is_refused(limit: int, wire: bytes) -> None:
    for size in (7, 100_000):
        pieces = [wire[at : at + size] for at in range(0, len(wire), size)]
        with pytest.raises(InvalidData, match="of the stream exceeds"):
            parsed(*pieces, max_bytes=limit)


def test_events_that_just_fit_may_come_one_after_the_other() -> None:
    assert len(parsed(*[b"data: " + b"x" * 1_000 + b"\n\n"] * 5, max_bytes=1_000)) == 5


def test_heartbeats_do_not_add_up() -> None:
    assert parsed(*[b":heartbeat\n"] * 500, max_bytes=100) == []


def test_a_large_event_takes_little_more_memory_than_its_size() -> None:
    size, piece = 8_000_000, 64 * 1024
    wire = b"event: put\ndata: " + b"x" * size + b"\n\n"
    tracemalloc.start()
    try:
        parser = EventStreamParser(2 * size)
        events = [
            e for at in range(0, len(wire), piece) for e in parser.feed(wire[at : at + piece])
        ]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(events[0].data) == size
    assert peak < 1.5 * size


# --- writing -------------------------------------------------------------------------------------


def test_what_is_written() -> None:
    assert encode(Event("put", b"{}")) == b"event: put\ndata: {}\n\n"
    assert encode(Event("put", b"a\nb", "7")) == b"event: put\nid: 7\ndata: a\ndata: b\n\n"


@pytest.mark.parametrize("data", [b"a\rb", b"a\r\nb"])
def test_line_ends_within_data_arrive_as_line_feeds(data: bytes) -> None:
    assert parsed(encode(Event("put", data))) == [Event("put", b"a\nb")]


@pytest.mark.parametrize(
    "event", [Event("", b""), Event("a\nb", b""), Event("a", b"", "\r"), Event("a", b"", "\0")]
)
def test_what_has_no_written_form_is_refused(event: Event) -> None:
    with pytest.raises(ValueError, match="cannot be the"):
        encode(event)


# --- between events ------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [b":c", b"e", b"event: put\n", b"data", b"data:", b"data: x\n"])
def test_a_parser_knows_whether_an_event_is_under_way(cut: bytes) -> None:
    parser = EventStreamParser(1000)
    assert parser.is_between_events
    parser.feed(b"event: put\ndata: 1\n\n:comment\n\n" + cut)
    assert not parser.is_between_events
    parser.feed(b"\n\n")
    assert parser.is_between_events


def test_the_last_event_id_of_the_stream_before_counts_until_there_is_another() -> None:
    parser = EventStreamParser(1000)
    parser.last_event_id = "7"
    parser.feed(b"data: 1\n\n")
    assert parser.last_event_id == "7"
    parser.feed(b"id: 8\ndata: 1\n\n")
    assert parser.last_event_id == "8"
    parser.feed(b"id\ndata: 1\n\n")
    assert parser.last_event_id == ""
