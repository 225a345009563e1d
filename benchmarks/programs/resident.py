"""How much memory this process has, now and at its worst, in MB."""

import os
import subprocess
import sys
from pathlib import Path

KILO = 1024


def resident_mb() -> float:
    """Return the resident set in MB (of 1,000,000 bytes)."""
    status = Path("/proc/self/status")
    if status.exists():
        return _of_linux(status, "VmRSS")
    listed = subprocess.check_output(["ps", "-o", "rss=", "-p", str(os.getpid())])  # noqa: S607
    return int(listed) * KILO / 1e6


def peak_mb() -> float:
    """Return the largest resident set so far."""
    status = Path("/proc/self/status")
    if status.exists():
        return _of_linux(status, "VmHWM")
    import resource  # noqa: PLC0415  (not on Windows)

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * KILO / 1e6


def _of_linux(status: Path, name: str) -> float:
    line = next(one for one in status.read_text().splitlines() if one.startswith(name + ":"))
    return int(line.split()[1]) * KILO / 1e6
