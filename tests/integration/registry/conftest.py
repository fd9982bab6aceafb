"""Users and rules that several tests of access share."""

import json
import subprocess
from pathlib import Path

import pytest

RULES = {"rules": [
    {"users": ["alice"], "repositories": ["team/*"], "actions": ["*"]},
    {"users": ["bob"], "repositories": ["team/*"], "actions": ["pull"]},
    {"users": ["anonymous"], "repositories": ["public/*"], "actions": ["pull"]},
]}  # fmt: skip


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Apache's htpasswd makes the hashes."""
    path = tmp_path_factory.mktemp("users") / "htpasswd"
    lines = [
        subprocess.run(["htpasswd", "-nbB", "-C", "5", name, f"secret of {name}"],
                       capture_output=True, text=True, check=True).stdout.strip()
        for name in ("alice", "bob")
    ]  # fmt: skip
    path.write_text("# the users\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rules") / "rules.json"
    path.write_text(json.dumps(RULES))
    return path
