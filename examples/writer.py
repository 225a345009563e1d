"""The first process of the story (`python writer.py FLAGS.json`).

Follows the file and fills the store, until its standard input ends.
"""

import json
import logging
import signal
import sys

from given import given_store

from flagkeep import Client, Config, FileSource

POLL = 0.05  # only where the operating system does not say that a file has changed


def main(file: str) -> None:
    """Write until nobody listens any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the story ends us
    logging.basicConfig(format="%(message)s")
    config = Config(source=FileSource(file, poll_interval=POLL))
    with Client(config, store=given_store()) as client:
        client.wait_until_ready()
        print(json.dumps({"event": "ready"}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
