"""The program's first word: every verb is there, helps, and refuses without a traceback."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dockyard.cli import completion, main
from dockyard.cli.completion import OF_CONTAINERS, OF_IMAGES

HERE = [verb for verb in main.VERBS
        if importlib.util.find_spec(f"dockyard.cli.{main.VERBS[verb][0]}")]  # fmt: skip


def dockyard(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dockyard.cli.main", *words],
        capture_output=True, text=True, env={**os.environ, **env},
    )  # fmt: skip


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> object:
    """The program in this process: (exit code, what it printed, what it complained)."""
    monkeypatch.setenv("DOCKYARD_ROOT", str(tmp_path / "data"))

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dockyard", *words])
        try:
            code = main.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_every_verb_has_a_place_in_the_help(run: object) -> None:
    grouped = [verb for _, verbs in main.GROUPS for verb in verbs]
    assert sorted(grouped) == sorted(main.VERBS)
    code, out, _ = run("--help")  # type: ignore[operator]
    assert code == 0
    assert all(f"  {verb} " in out for verb in main.VERBS)
    assert run()[1] == run("help")[1] == out  # type: ignore[operator]


@pytest.mark.parametrize("verb", HERE)
def test_every_verb_helps(run: object, verb: str) -> None:
    code, out, err = run(verb, "--help")  # type: ignore[operator]
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: dockyard {verb}")
    assert run("help", verb)[1] == out  # type: ignore[operator]


@pytest.mark.parametrize(
    "words",
    [
        ["frob"], ["--frob"], ["--data-dir"], ["ps", "--frob"], ["run"], ["exec", "x"], ["rm"],
        ["volume", "frob"], ["run", "--cpus", "x", "y"], ["ps", "--filter", "x"], ["logs"],
    ],
)  # fmt: skip
def test_a_users_mistake_is_answered_in_words(run: object, words: list[str]) -> None:
    code, out, err = run(*words)  # type: ignore[operator]
    assert code != 0
    assert out == ""
    assert err.startswith("dockyard")
    assert "Traceback" not in err


@pytest.mark.parametrize(("word", "meant"), [("stpo", "stop"), ("pss", "ps"), ("imgaes", "images")])
def test_an_unknown_verb_gets_a_suggestion(run: object, word: str, meant: str) -> None:
    code, _, err = run(word)  # type: ignore[operator]
    assert code == 1  # docker 28's for a command that it does not know
    assert f"Did you mean '{meant}'?" in err


def test_the_version(run: object) -> None:
    assert run("--version")[1].startswith("Dockyard version ")  # type: ignore[operator]


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    done = subprocess.run(
        f"'{sys.executable}' -m dockyard.cli.main ps -a --help | true", shell=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_verb(shell: str) -> None:
    text = completion.script(shell)
    assert all(verb in text for verb in main.VERBS)
    assert "@" not in text.replace("$@", "")
    assert set(OF_CONTAINERS) | set(OF_IMAGES) <= set(main.VERBS)


def test_completion_completes_in_bash() -> None:
    script = completion.script("bash") + (
        'COMP_WORDS=(dockyard sta); COMP_CWORD=1; _dockyard; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run([shutil.which("bash") or "bash", "-c", script],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.split() == ["start", "stats", "status"]
