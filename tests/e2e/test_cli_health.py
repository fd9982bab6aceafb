"""Health checks: what docker 28 says of the same ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.program import Shell, eventually

pytestmark = pytest.mark.root


def health(shell: Shell) -> dict[str, object]:
    found: dict[str, object] = json.loads(shell("inspect", "-f", "{{json .State.Health}}", "web"))
    return found


def test_a_check(shell: Shell) -> None:
    shell.run("-d", "--name", "web", "--health-cmd", "echo some; test -f /tmp/ok",
              "--health-interval", "200ms", "--health-retries", "2", "sleep", "1000")  # fmt: skip
    eventually(lambda: health(shell)["Status"] == "unhealthy")
    found = health(shell)
    assert found["FailingStreak"] >= 2  # type: ignore[operator]
    last = found["Log"][-1]  # type: ignore[index]
    assert (last["ExitCode"], last["Output"]) == (1, "some\n")
    assert last["Start"] < last["End"]
    assert "(unhealthy)" in shell("ps")
    assert json.loads(shell("inspect", "-f", "{{json .Config.Healthcheck}}", "web")) == {
        "Test": ["CMD-SHELL", "echo some; test -f /tmp/ok"],
        "Interval": 200_000_000,
        "Retries": 2,
    }
    shell("exec", "web", "touch", "/tmp/ok")
    eventually(lambda: health(shell)["Status"] == "healthy")
    assert health(shell)["FailingStreak"] == 0
    assert "(healthy)" in shell("ps")
    assert shell("ps", "-q", "--filter", "health=healthy") != ""
    assert shell("ps", "-q", "--filter", "health=none") == ""
    eventually(lambda: len(health(shell)["Log"]) == 5)  # type: ignore[arg-type]
    shell("stop", "-t", "0", "web")
    assert health(shell)["Status"] == "unhealthy"
    words = ("events", "--since", "1h", "--until", "0s", "--filter", "event=health_status")
    assert shell(*words, "--format", "{{.Action}}").splitlines() == [
        "health_status: unhealthy", "health_status: healthy"
    ]  # fmt: skip


def test_one_that_hangs_is_ended(shell: Shell) -> None:
    shell.run("-d", "--name", "web", "--health-cmd", "exec sleep 1000", "--health-interval",
              "100ms", "--health-timeout", "100ms", "--health-retries", "1", "sleep",
              "2000")  # fmt: skip
    eventually(lambda: health(shell)["Status"] == "unhealthy")
    last = health(shell)["Log"][-1]  # type: ignore[index]
    assert last["ExitCode"] == -1
    assert last["Output"].startswith("Health check exceeded timeout")
    eventually(lambda: len(health(shell)["Log"]) >= 4)  # type: ignore[arg-type]
    assert shell("top", "web").count("sleep 1000") <= 1, "those before have been killed"


def test_failures_in_the_start_period_do_not_count(shell: Shell) -> None:
    shell.run("-d", "--name", "web", "--health-cmd", "false", "--health-interval", "1h",
              "--health-start-period", "1h", "--health-start-interval", "50ms",
              "--health-retries", "1", "sleep", "1000")  # fmt: skip
    assert "(health: starting)" in shell("ps")
    eventually(lambda: len(health(shell)["Log"]) >= 3)  # type: ignore[arg-type]
    assert (health(shell)["Status"], health(shell)["FailingStreak"]) == ("starting", 0)


def test_a_paused_container_is_not_asked(shell: Shell) -> None:
    shell.run("-d", "--name", "web", "--health-cmd", "true", "--health-interval", "50ms", "sleep",
              "1000")  # fmt: skip
    eventually(lambda: health(shell)["Status"] == "healthy")
    shell("pause", "web")
    shell("unpause", "web")
    assert health(shell)["Status"] == "healthy"


def test_the_image_has_one(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "busybox").write_bytes(Path(shell.tree, "bin/busybox").read_bytes())
    (tmp_path / "busybox").chmod(0o755)
    (tmp_path / "Dockerfile").write_text(
        "FROM scratch\nCOPY busybox /bin/busybox\n"
        'HEALTHCHECK --interval=100ms CMD ["/bin/busybox", "true"]\n'
        'CMD ["/bin/busybox", "sleep", "1000"]\n'
    )
    shell("build", "-t", "demo", str(tmp_path))
    shell("run", "-d", "--name", "web", "--network", "none", "demo")
    eventually(lambda: health(shell)["Status"] == "healthy")
    shell("rm", "-f", "web")
    shell("run", "-d", "--name", "web", "--network", "none", "--no-healthcheck", "demo")
    assert json.loads(shell("inspect", "web"))[0]["State"].get("Health") is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--no-healthcheck", "--health-cmd", "x"],
            "--no-healthcheck conflicts with --health-* options",
        ),
        (["--health-cmd", "x", "--health-retries", "-1"], "--health-retries cannot be negative"),
        (["--health-cmd", "x", "--health-interval", "soon"], "--health-interval"),
        (["--health-cmd", "x", "--health-timeout", "1us"], "cannot be less than 1ms"),
    ],
)
def test_checks_that_are_none(shell: Shell, words: list[str], message: str) -> None:
    done = shell.run(*words, "true")
    assert (done.returncode, message in done.stderr.decode()) == (125, True)
