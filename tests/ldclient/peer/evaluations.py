"""Every flag of some files for every context, and all flags at once with every option.

Arguments: a file with contexts by name, then files with flags.
"""

# mypy: ignore-errors
# The names are those of the official SDK, which the environment of the type checker does not have.
# ruff: noqa: B023  what uses a variable of a loop is called at once

import itertools
import json
import sys
from pathlib import Path

from ldclient import Config, Context, LDClient
from ldclient.integrations import Files
from recording import detail, finish, record

contexts = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
files = sys.argv[2:]
flags = [key for file in files for key in json.loads(Path(file).read_text("utf-8"))["flags"]]
options = ("client_side_only", "with_reasons", "details_only_for_tracked_flags")

source = Files.new_data_source(paths=files)
client = LDClient(Config("sdk-key", update_processor_class=source, send_events=False))
record("initialized", client.is_initialized)
for name, data in contexts.items():
    context = Context.from_dict(data)
    for key in [*flags, "no-such-flag"]:
        record(f"{key} for {name}", lambda: detail(client.variation_detail(key, context, "none")))
        record(f"{key} for {name}, value", lambda: client.variation(key, context, "none"))
    for chosen in itertools.product([False, True], repeat=len(options)):
        asked = dict(zip(options, chosen, strict=True))
        shown = " ".join(option for option, is_on in asked.items() if is_on)
        state = json.loads(client.all_flags_state(context, **asked).to_json_string())
        record(f"valid for {name}, all {shown}", lambda: state["$valid"])
        for key in flags:
            found = [state[key], state["$flagsState"][key]] if key in state else "not there"
            record(f"{key} for {name}, all {shown}", lambda: found)
client.close()
finish()
