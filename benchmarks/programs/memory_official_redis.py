"""The official SDK with all flags of a Redis cached: `memory_official_redis.py URL` (JSON)."""

import json
import sys
from importlib import import_module

from benchmarks.programs import official
from benchmarks.programs.resident import peak_mb, resident_mb

import_module("ldclient")
import_module("redis")
before = resident_mb()
client = official.reader(official.store(sys.argv[1], seconds=86_400))
client.all_flags_state(official.context("user-0001"))
json.dump({"all evaluated": resident_mb() - before, "peak": peak_mb() - before}, sys.stdout)
client.close()
