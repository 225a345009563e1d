#!/bin/sh
# Build dist/flagkeep-*.whl, the only wheel there afterwards.
set -eu
cd "$(dirname "$0")/.."
rm -rf dist
if command -v uv >/dev/null 2>&1; then
    uv build --quiet --wheel --out-dir dist --python .venv/bin/python . && exit
fi
.venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
.venv/bin/python -m pip wheel --quiet --no-deps --wheel-dir dist .
