"""Which analytics events are made, and where they go."""

from collections.abc import Collection
from typing import Final

import msgspec

from flagkeep.config.checks import as_tuple, check_count, check_seconds, check_switches, check_uri
from flagkeep.errors import ConfigError

EVENTS_URI: Final = "https://events.launchdarkly.com"
MIN_DIAGNOSTIC_INTERVAL: Final = 60.0


class EventSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which analytics events are made, how they are kept, and where they go.

    Attributes:
        base_uri: of the events service.
        capacity: events that may wait for the next flush; summaries do not count.
        max_bytes: of events and of payloads that could not be delivered yet, together.
        flush_interval: seconds between deliveries.
        all_attributes_private: send nothing of a context but kind, key and anonymous.
        private_attributes: attribute references that are never sent.
        context_keys_capacity: contexts that are remembered, so as not to be described again.
        context_keys_flush_interval: seconds after which they are forgotten.
        compress: whether payloads are sent gzipped.
        omit_anonymous_contexts: describe no anonymous context.
        diagnostics: whether statistics of the client itself are sent, too.
        diagnostic_interval: seconds between them; at least 60.
    """

    base_uri: str = EVENTS_URI
    capacity: int = 10_000
    max_bytes: int = 16 * 1024 * 1024
    flush_interval: float = 5.0
    all_attributes_private: bool = False
    private_attributes: Collection[str] = ()
    context_keys_capacity: int = 1000
    context_keys_flush_interval: float = 300.0
    compress: bool = False
    omit_anonymous_contexts: bool = False
    diagnostics: bool = True
    diagnostic_interval: float = 900.0

    def __post_init__(self) -> None:
        check_uri(self, "base_uri")
        for name in ("capacity", "max_bytes", "context_keys_capacity"):
            check_count(name, getattr(self, name))
        for name in ("flush_interval", "context_keys_flush_interval", "diagnostic_interval"):
            check_seconds(name, getattr(self, name))
        check_switches(
            self, "all_attributes_private", "compress", "omit_anonymous_contexts", "diagnostics"
        )
        references = as_tuple("private_attributes", self.private_attributes)
        if not all(isinstance(one, str) for one in references):
            raise ConfigError("private_attributes must be names or references, each a string")
        msgspec.structs.force_setattr(self, "private_attributes", references)
        interval = max(MIN_DIAGNOSTIC_INTERVAL, self.diagnostic_interval)
        msgspec.structs.force_setattr(self, "diagnostic_interval", interval)
