"""How payloads travel: headers, compression, the clock of the service."""

import gzip
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagkeep.events import wire


def test_a_payload_names_its_schema_and_itself() -> None:
    assert wire.analytics_headers("one") == {
        "Content-Type": "application/json",
        "X-LaunchDarkly-Event-Schema": "4",
        "X-LaunchDarkly-Payload-ID": "one",
    }


def test_a_diagnostic_event_is_plain_json() -> None:
    assert wire.diagnostic_headers() == {"Content-Type": "application/json"}


def test_anybody_can_unpack_a_compressed_body() -> None:
    body = b'[{"kind":"custom"}]' * 1000
    packed = wire.compressed(body)
    assert gzip.decompress(packed) == body
    assert len(packed) < len(body) / 10


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001  Hypothesis wants the limits without a zone
def test_the_date_of_an_answer_is_the_clock_of_the_service(time: datetime) -> None:
    time = time.replace(microsecond=0)
    headers = {"date": format_datetime(time, usegmt=True)}
    assert wire.server_time_ms(headers) == time.timestamp() * 1000


@pytest.mark.parametrize(
    "date",
    [
        "",
        "now",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 +0100",
        "Sun, 06 Nix 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:60 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
    ],
)
def test_a_date_that_says_nothing_is_none(date: str) -> None:
    assert wire.server_time_ms({"date": date}) is None


def test_an_answer_without_a_date_is_none() -> None:
    assert wire.server_time_ms({}) is None
