"""The official SDK, out of a Redis: `first_value_official_redis.py URL FLAG`."""

import sys

from benchmarks.programs import official

client = official.reader(official.store(sys.argv[1], seconds=15))
value = client.variation(sys.argv[2], official.context("user-0001"), None)
print(value, flush=True)
client.close()
