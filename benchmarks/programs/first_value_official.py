"""The same with the official SDK, out of the JSON file that its file source reads."""

import sys
from importlib import import_module  # the environment that is type-checked has no official SDK

ldclient = import_module("ldclient")
integrations = import_module("ldclient.integrations")

source = integrations.Files.new_data_source(paths=[sys.argv[1]])
config = ldclient.Config("sdk-key", update_processor_class=source, send_events=False)
client = ldclient.LDClient(config, start_wait=60)
value = client.variation(sys.argv[2], ldclient.Context.create("user-0001"), None)
print(value, flush=True)
client.close()
