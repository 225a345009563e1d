"""The same for the official SDK with its file source: `memory_official.py PATH FLAGS` (JSON)."""

import json
import sys
from importlib import import_module

from benchmarks.programs.resident import peak_mb, resident_mb

ldclient = import_module("ldclient")
integrations = import_module("ldclient.integrations")

path, listed = sys.argv[1:]
keys = listed.split(",")
before = resident_mb()
source = integrations.Files.new_data_source(paths=[path])
config = ldclient.Config("sdk-key", update_processor_class=source, send_events=False)
client = ldclient.LDClient(config, start_wait=60)
loaded, peak = resident_mb(), peak_mb()
context = ldclient.Context.create("user-0001")
for key in keys:
    client.variation(key, context, None)
evaluated = resident_mb()
client.all_flags_state(context)
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
