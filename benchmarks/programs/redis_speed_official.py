"""Time the official SDK on a Redis, with the same flags: `redis_speed_official.py URL ROUNDS`."""

import json
import logging
import sys
from importlib import import_module

from benchmarks import flags
from benchmarks.programs import official
from benchmarks.programs.timing import Least

READS = 200
LOOKS = 10

url, rounds = sys.argv[1], int(sys.argv[2])
logging.disable(logging.CRITICAL)
kinds = import_module("ldclient.versioned_data_kind")
key = flags.stored_key()
context = official.context("user-0001")
least = Least()

store = official.store(url, seconds=0)
items = {one: json.loads(data) for one, data in flags.kilobyte_flags().items()}
for _ in range(rounds):
    least.time("replace", lambda: store.init({kinds.FEATURES: items, kinds.SEGMENTS: {}}))

client = official.reader(store)
least.time("all_flags, first", lambda: client.all_flags_state(context))
if client.variation(key, context, None) is not True:
    raise SystemExit(f"the client does not have {key!r}")
for _ in range(rounds * LOOKS):
    least.time("variation", lambda: client.variation(key, context, None), times=READS)
for _ in range(rounds):
    least.time("all_flags", lambda: client.all_flags_state(context))
client.close()
json.dump(least.ms, sys.stdout)
