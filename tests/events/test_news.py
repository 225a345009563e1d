"""What a log says of deliveries, and how often."""

import logging

from flagkeep.events.delivery import Outcome
from flagkeep.events.news import DeliveryNews

WARNING, ERROR, INFO, DEBUG = logging.WARNING, logging.ERROR, logging.INFO, logging.DEBUG


def said(news: DeliveryNews, *outcomes: Outcome, events: int = 2) -> list[tuple[int, str]]:
    """Return levels and texts of what is said of some answers."""
    lines = [news.answered(one, events=events, size=30, problem="it broke") for one in outcomes]
    return [(line.level, line.message % line.arguments) for line in lines if line is not None]


def test_deliveries_are_not_worth_a_word() -> None:
    assert said(DeliveryNews(), Outcome.DELIVERED, Outcome.DELIVERED) == []


def test_trouble_is_said_once_and_so_is_its_end() -> None:
    news = DeliveryNews()
    lines = said(news, Outcome.TROUBLE, Outcome.TROUBLE, Outcome.DELIVERED, Outcome.DELIVERED)
    assert [level for level, _ in lines] == [WARNING, DEBUG, INFO]
    assert "cannot be delivered now: it broke" in lines[0][1]
    assert lines[2][1] == "events are delivered again"
    assert said(news, Outcome.TROUBLE)[0][0] == WARNING


def test_a_refusal_is_one_error_that_says_what_to_do() -> None:
    lines = said(DeliveryNews(), Outcome.REFUSED, Outcome.REFUSED, Outcome.DELIVERED)
    assert [level for level, _ in lines] == [ERROR, DEBUG, INFO]
    assert "check the SDK key" in lines[0][1]


def test_each_sort_of_loss_is_said_once() -> None:
    news = DeliveryNews()
    lines = said(news, Outcome.REJECTED, Outcome.DELIVERED, Outcome.REJECTED)
    assert lines[0] == (WARNING, "dropped 2 event(s): it broke; check EventSettings.base_uri")
    assert [level for level, _ in lines] == [WARNING, DEBUG]
    lines = said(news, Outcome.TOO_LARGE, Outcome.TOO_LARGE, events=1)
    assert lines[0] == (WARNING, "an event of 30 bytes is dropped: it broke")
    assert [level for level, _ in lines] == [WARNING, DEBUG]


def test_what_is_split_is_no_loss() -> None:
    ((level, text),) = said(DeliveryNews(), Outcome.TOO_LARGE)
    assert level == DEBUG
    assert "two halves" in text


def test_what_gives_way_is_said_once_in_an_outage() -> None:
    news = DeliveryNews()
    levels = [news.gave_way(3, max_bytes=100).level for _ in range(3)]
    assert levels == [WARNING, DEBUG, DEBUG]
    said(news, Outcome.DELIVERED)
    line = news.gave_way(3, max_bytes=100)
    assert line.level == WARNING
    assert "max_bytes" in line.message % line.arguments
