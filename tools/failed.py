"""Say which tests failed in the last run; for CI, which runs a few of them once more.

`python tools/failed.py CACHE` reads the folder where pytest keeps that. It succeeds if there are
some, and few enough to be run again (docs/decisions/0024).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

MOST = 3


def failed(cache: Path) -> list[str]:
    """Return the names of the tests that failed; nothing if pytest has kept none.

    Args:
        cache: the folder of pytest's cache.
    """
    file = cache / "v" / "cache" / "lastfailed"
    return sorted(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else []


def main(cache: str) -> int:
    """Print the names; return 0 if these tests are to be run again."""
    names = failed(Path(cache))
    print(f"\n==== failed: {len(names)}; up to {MOST} are run once more, alone", flush=True)
    for name in names:
        print(f"     {name}", flush=True)
    return 0 if 0 < len(names) <= MOST else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
