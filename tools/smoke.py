"""Does the package work where nothing else is installed? Run by .ci/run, outside the source tree.

Usage: python smoke.py FOLDER, an empty folder to write in.
"""

from __future__ import annotations

import sys
from pathlib import Path

import flagkeep
from flagkeep import Client, Config, Context, FileSource
from flagkeep.stores import SQLiteStore

FLAGS = """{"flags": {"greeting": {
    "key": "greeting", "version": 1, "on": true, "variations": ["hello", "hi"],
    "offVariation": 0, "fallthrough": {"variation": 0},
    "rules": [{"id": "a", "variation": 1, "clauses": [
        {"attribute": "email", "op": "matches", "values": ["@example[.]com$"]}]}]
}}}"""


def main(folder: Path) -> None:
    """Flags go from a file into a SQLite store and are evaluated from there."""
    file, database = folder / "flags.json", folder / "flags.db"
    file.write_text(FLAGS, encoding="utf-8")
    with Client(Config(source=FileSource(file)), store=SQLiteStore(database)) as writer:
        assert writer.wait_until_ready(10)
    context = Context.builder("ann").set("email", "ann@example.com").build()
    with Client(Config(daemon=True), store=SQLiteStore(database)) as reader:
        assert reader.wait_until_ready(10)
        assert reader.str_variation("greeting", context, "-") == "hi"
        assert reader.str_variation("greeting", Context.create("bob"), "-") == "hello"
    light = {"asyncio", "ssl", "typer", "rich", "yaml", "watchfiles"}
    print(f"flagkeep from {Path(flagkeep.__file__).parent.name}: file -> SQLite -> value works")
    if loaded := light & sys.modules.keys():
        print(f"note: loaded on the way: {sorted(loaded)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
