"""A process that wants one flag out of a SQLite file: `first_value_flagkeep.py FILE FLAG`."""

import sys

from flagkeep import Client, Config, Context
from flagkeep.stores import SQLiteStore

client = Client(Config(daemon=True), store=SQLiteStore(sys.argv[1]))
value = client.variation(sys.argv[2], Context.create("user-0001"), None)
print(value, flush=True)
client.close()
