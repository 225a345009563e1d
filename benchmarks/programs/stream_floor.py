"""What nobody can beat: the same bytes through a bare httpx2 and msgspec; prints JSON.

`stream_floor.py URL`. Every flag and segment is decoded into plain dictionaries, and no more.
"""

import json
import sys
import time

import httpx2
import msgspec

from benchmarks.programs.resident import resident_mb

url = f"{sys.argv[1]}/all"
started = time.perf_counter()
chunks = []
with httpx2.Client(trust_env=False, verify=False) as client, client.stream("GET", url) as answer:
    for chunk in answer.iter_raw():
        chunks.append(chunk)
        if chunk.endswith(b"\n\n"):
            break
    received = time.perf_counter() - started
    whole = b"".join(chunks)
    put = msgspec.json.decode(whole[whole.index(b"data: ") + len(b"data: ") :])
taken = time.perf_counter() - started
if not put["data"]["flags"]:
    sys.exit("there are no flags")
found = {"ms": taken * 1_000, "received": received * 1_000, "resident": resident_mb()}
json.dump(found, sys.stdout)
