"""What a log says of deliveries: a change of state once, a sort of loss once, repeats at debug."""

import logging
from typing import Final, NamedTuple, assert_never, final

from flagkeep.events.delivery import Outcome
from flagkeep.events.losses import Loss

_TROUBLE: Final = "events cannot be delivered now: %s; they wait, and are sent again"
_REFUSED: Final = (
    "events are refused: %s; check the SDK key. They wait, the newest are kept, and are sent again"
    " in 5 minutes, later every hour"
)
_REJECTED: Final = "dropped %d event(s): %s; check EventSettings.base_uri"
_TOO_LARGE: Final = "an event of %d bytes is dropped: %s"
_SPLIT: Final = "%d events are too large together: they are sent in two halves"
_GAVE_WAY: Final = (
    "dropped %d event(s), as newer ones wait: over %d bytes cannot be delivered;"
    " EventSettings.max_bytes is twice that"
)


class Line(NamedTuple):
    """One line of a log: its level, the message, and what is put into it."""

    level: int
    message: str
    arguments: tuple[object, ...] = ()


@final
class DeliveryNews:
    """Knows what has been said already. For one user at a time: who holds the turn to send."""

    __slots__ = ("_losses", "_trouble")

    def __init__(self) -> None:
        self._trouble: Outcome | None = None
        self._losses: set[Loss] = set()

    def answered(self, outcome: Outcome, *, events: int, size: int, problem: str) -> Line | None:
        """Return what is to be said of an answer.

        Args:
            events: in the payload.
            size: bytes of them.
            problem: what happened, in words; names no secret.
        """
        match outcome:
            case Outcome.DELIVERED:
                return self._delivered()
            case Outcome.TROUBLE:
                return self._in_trouble(outcome, Line(logging.WARNING, _TROUBLE, (problem,)))
            case Outcome.REFUSED:
                return self._in_trouble(outcome, Line(logging.ERROR, _REFUSED, (problem,)))
            case Outcome.REJECTED:
                return self._lost(Loss.REJECTED, _REJECTED, events, problem)
            case Outcome.TOO_LARGE if events > 1:
                return Line(logging.DEBUG, _SPLIT, (events,))
            case Outcome.TOO_LARGE:
                return self._lost(Loss.TOO_LARGE, _TOO_LARGE, size, problem)
        assert_never(outcome)

    def gave_way(self, events: int, *, max_bytes: int) -> Line:
        """Return what is to be said of events that were dropped for newer ones."""
        return self._lost(Loss.BYTES, _GAVE_WAY, events, max_bytes)

    def _delivered(self) -> Line | None:
        self._losses.discard(Loss.BYTES)  # of one outage
        was_in_trouble, self._trouble = self._trouble is not None, None
        return Line(logging.INFO, "events are delivered again") if was_in_trouble else None

    def _in_trouble(self, outcome: Outcome, line: Line) -> Line:
        is_news, self._trouble = outcome is not self._trouble, outcome
        return line if is_news else line._replace(level=logging.DEBUG)

    def _lost(self, reason: Loss, message: str, *arguments: object) -> Line:
        is_news = reason not in self._losses
        self._losses.add(reason)
        return Line(logging.WARNING if is_news else logging.DEBUG, message, arguments)
