#!/usr/bin/env bash
# Makes the virtual environment $1 from requirements.lock and installs Debian packages that are missing.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
: "${PYTHON:=python3}"

missing=()
while read -r probe package; do
  case "$probe" in
    ''|'#'*) ;;
    /*) [ -e "${probe/x86_64-linux-gnu/$(uname -m)-linux-gnu}" ] || missing+=("$package") ;;
    *) PATH="$PATH:/usr/sbin:/sbin" command -v "$probe" >/dev/null || missing+=("$package") ;;
  esac
done < tools/system-packages.txt
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "setup: please install: ${missing[*]}" >&2
    exit 1
  fi
  echo "setup: installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # Packages of servers must not start them.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
  fi
  log=$(mktemp)
  { apt-get update -q && apt-get install -yq --no-install-recommends "${missing[@]}"; } > "$log" 2>&1 \
    || { tail -n 40 "$log" >&2; exit 1; }
  rm -f "$log"
fi

[ -x "$venv/bin/python" ] || "$PYTHON" -m venv "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
"$venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps -e .
# Nothing here needs it, and its hook costs every start of a command half a millisecond.
"$venv/bin/python" -m pip uninstall -q -y --disable-pip-version-check setuptools 2>/dev/null || true
if [ "$(uname -m)" = x86_64 ] && [ ! -x "$venv/bin/kubectl" ]; then
  "$venv/bin/python" tools/kubectl.py "$venv/bin/kubectl"
fi
# The kernel of the virtual machine that `make test-long` boots; fetched again there if this fails.
if [ "$(uname -m)" = x86_64 ] && command -v apt-get >/dev/null && [ ! -e "$venv/guest/vmlinuz" ]; then
  "$venv/bin/python" tools/guest_kernel.py "$venv/guest" 2>/dev/null \
    || echo "setup: no kernel for the guest of make test-long" >&2
fi
# Start-up time is a feature: never compile at the user's first command.
env -u PYTHONDONTWRITEBYTECODE "$venv/bin/python" -m compileall -q src "$venv/lib" >/dev/null || true
