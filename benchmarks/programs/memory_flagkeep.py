"""How much memory flags take: `memory_flagkeep.py sqlite|redis|file PLACE FLAGS…` (JSON)."""

import json
import sys
import time

from benchmarks.programs.resident import peak_mb, resident_mb
from flagkeep import Client, Config, Context, FileSource
from flagkeep.stores import SQLiteStore

how, path, listed = sys.argv[1:]
keys = listed.split(",")
if how == "redis":
    import redis  # noqa: F401  a driver is no flag data

    from flagkeep.stores import RedisStore
before = resident_mb()
if how == "sqlite":
    client = Client(Config(daemon=True), store=SQLiteStore(path))
elif how == "redis":
    client = Client(Config(daemon=True), store=RedisStore(path))
else:
    client = Client(Config(source=FileSource(path)))
if not client.wait_until_ready(60):
    raise SystemExit("the client did not become ready")
# A daemon-mode reader fetches everything in the background after its first reads: let it.
context = Context.create("user-0001")
client.variation(keys[0], context, None)
settled, last = 0, resident_mb()
while settled < 10:
    time.sleep(0.1)
    now = resident_mb()
    settled = settled + 1 if abs(now - last) < 0.05 else 0
    last = now
loaded = resident_mb()
peak = peak_mb()
for key in keys:
    client.variation(key, context, None)
evaluated = resident_mb()
if len(client.all_flags(context)) <= len(keys):
    raise SystemExit("the client does not have the whole environment")
everything = resident_mb()
client.close()
json.dump(
    {
        "before": before,
        "loaded": loaded - before,
        "peak": peak - before,
        "1,000 evaluated": evaluated - before,
        "all evaluated": everything - before,
    },
    sys.stdout,
)
