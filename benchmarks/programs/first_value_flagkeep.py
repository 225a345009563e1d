"""A process that wants one flag out of SQLite or Redis: `first_value_flagkeep.py FILE|URL FLAG`."""

import sys

from flagkeep import Client, Config, Context, stores

place = sys.argv[1]
store = stores.RedisStore(place) if "://" in place else stores.SQLiteStore(place)
client = Client(Config(daemon=True), store=store)
value = client.variation(sys.argv[2], Context.create("user-0001"), None)
print(value, flush=True)
client.close()
