"""Command lines that are wrong: the words and exit codes of docker 28."""

from __future__ import annotations

import pytest

from helpers.program import Shell

pytestmark = pytest.mark.root

COUNTS = {
    "run": "requires at least 1 argument", "create": "requires at least 1 argument",
    "exec": "requires at least 2 arguments", "exec web": "requires at least 2 arguments",
    "stop": "requires at least 1 argument", "cp f": "requires 2 arguments",
    "top": "requires at least 1 argument", "update": "requires at least 1 argument",
    "port": "requires at least 1 and at most 2 arguments", "wait": "requires at least 1 argument",
    "rm": "requires at least 1 argument", "rename a": "requires 2 arguments",
    "logs": "requires 1 argument", "logs a b": "requires 1 argument",
    "attach": "requires 1 argument", "export": "requires 1 argument", "diff": "requires 1 argument",
    "events x": "accepts no arguments", "inspect": "requires at least 1 argument",
    "ps x": "accepts no arguments", "restart": "requires at least 1 argument",
    "pause": "requires at least 1 argument", "kill": "requires at least 1 argument",
}  # fmt: skip


@pytest.mark.parametrize("line", COUNTS)
def test_a_wrong_number_of_words(shell: Shell, line: str) -> None:
    done = shell.full(*line.split())
    verb = line.split()[0]
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.decode() == (
        f"dockyard: 'dockyard {verb}' {COUNTS[line]}\nSee 'dockyard {verb} --help'.\n"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("run --bogus", "unknown flag: --bogus"),
        ("run --bogus=1 alpine", "unknown flag: --bogus"),
        ("stats --bogus", "unknown flag: --bogus"),
        ("ps -y", "unknown shorthand flag: 'y' in -y"),
        ("stop -t x web", 'parsing "x": invalid syntax'),
        ("run --restart", "flag needs an argument: --restart"),
    ],
)
def test_a_flag_that_is_not_understood(shell: Shell, line: str, message: str) -> None:
    done = shell.full(*line.split())
    assert done.returncode == 125
    assert message in done.stderr.decode()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("stop nope", 1), ("kill nope", 1), ("rm nope", 1), ("rm -f nope", 0), ("wait nope", 1),
        ("pause nope", 1), ("start nope", 1), ("exec nope true", 1), ("logs nope", 1),
        ("attach nope", 1), ("port nope", 1), ("top nope", 1), ("diff nope", 1), ("export nope", 1),
        ("rename nope other", 1), ("update -m 64m nope", 1), ("restart nope", 1),
        ("stats --no-stream nope", 1), ("cp nope:/x .", 1),
    ],
)  # fmt: skip
def test_a_container_that_is_not_there(shell: Shell, line: str, code: int) -> None:
    done = shell.full(*line.split())
    assert done.returncode == code
    assert b"No such container: nope" in done.stderr


@pytest.mark.parametrize("number", [9, 15, 10])
def test_128_and_the_signal(shell: Shell, number: int) -> None:
    done = shell.run("--rm", "sh", "-c", f"sh -c 'kill -{number} $$'; exit $?")
    assert done.returncode == 128 + number


@pytest.mark.parametrize(
    "verb", ["logs", "rm", "wait", "inspect", "volume rm", "network rm", "image rm"]
)
def test_a_name_that_is_no_text_is_nobodys(shell: Shell, verb: str) -> None:
    done = shell.full(*verb.split(), "a\udcff")
    assert done.returncode == 1
    assert done.stderr
    assert b"Traceback" not in done.stderr
