"""The official SDK on a store that fails: `outage_official.py URL SECONDS`, of the cache."""

import logging
import sys

from benchmarks.programs import official, outage

logging.disable(logging.CRITICAL)
url, seconds = sys.argv[1:]
client = official.reader(official.store(url, seconds=min(float(seconds), 86_400.0)))
user = official.context("user-0001")
outage.run(outage.keys_from_stdin(), lambda key: client.variation(key, user, None))
client.close()
