"""Which events are sent: sampling and debugging (events spec, sections 6 and 7)."""

from collections.abc import Callable


def is_sampled(ratio: object, draw: Callable[[], float]) -> bool:
    """Whether this one of `ratio` is chosen; a ratio that is no positive integer chooses none.

    Args:
        draw: returns a random number in [0, 1); not called where there is nothing to choose.
    """
    if ratio == 1 and type(ratio) is int:
        return True
    if type(ratio) is not int or ratio <= 0:
        return False
    return draw() < 1 / ratio


def is_debug_due(until_ms: float | None, now_ms: float, server_ms: float) -> bool:
    """Whether an evaluation makes a debug event: by our clock, and by the server's.

    Args:
        until_ms: until when the flag is debugged, None if it is not.
        server_ms: of the events service as it answered last, 0 if unknown. Debugging ends by it
            even where our clock is slow.
    """
    return until_ms is not None and until_ms > now_ms and until_ms > server_ms
