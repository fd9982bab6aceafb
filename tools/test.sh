#!/usr/bin/env bash
# Runs the suite: what can share the machine in parallel, then what counts its processes and mounts alone.
set -uo pipefail
bin=$1
cd "$(dirname "$0")/.."
env -u PYTHONDONTWRITEBYTECODE "$bin/python" -m compileall -q src >/dev/null
exec "$bin/python" -m pytest -q -m "not long" tests
