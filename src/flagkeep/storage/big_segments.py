"""What is known of Big Segments: how old the data is, how keys are hashed, what counts as stale."""

import msgspec


class BigSegmentMetadata(msgspec.Struct, frozen=True):
    """What a Big Segment store says of itself.

    Attributes:
        last_up_to_date_ms: when it was last known to be complete, in milliseconds since the epoch;
            None: never.
    """

    last_up_to_date_ms: int | None
