"""A process of the story that is connected (`python connected.py CONTEXTS.json FLAG…`).

Takes the flags from the upstream whose address is in UPSTREAM, fills the store, and reports what it
evaluates. Is asked in the same way as `reader.py`.
"""

import logging
import os
import signal
import sys

from given import given_store
from reader import people_in, serve, tell, tell_first

from flagkeep import Client, Config, EventSettings, SourceStatus, Streaming

RECONNECT = 0.1  # seconds; one is the default, and too long for a story


def main(contexts_file: str, *flags: str) -> None:
    """Evaluate until nobody listens any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the story ends us
    logging.basicConfig(format="%(message)s")
    upstream = os.environ["UPSTREAM"]
    config = Config(
        sdk_key="sdk-key-of-the-story",
        source=Streaming(base_uri=upstream, initial_reconnect_delay=RECONNECT),
        events=EventSettings(base_uri=upstream),
    )

    def on_source(status: SourceStatus) -> None:
        tell("source", state=status.state)

    client = Client(config, store=given_store())
    client.on_source_status(on_source)
    contexts = people_in(contexts_file)
    tell_first(client, contexts, flags)
    serve(client, contexts, flags)


if __name__ == "__main__":
    main(*sys.argv[1:])
