"""`dockyard commit`: what docker 28's does, shown by what it made."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import leaks
from helpers.program import Shell

pytestmark = pytest.mark.root


@pytest.fixture
def web(shell: Shell, tmp_path: Path) -> Iterator[Shell]:
    """A container of an image, that has changed its root and runs."""
    (tmp_path / "busybox").write_bytes(Path(shell.tree, "bin/busybox").read_bytes())
    (tmp_path / "busybox").chmod(0o755)
    (tmp_path / "Dockerfile").write_text(
        "FROM scratch\nCOPY busybox /bin/busybox\nCOPY busybox /old/gone\nCOPY busybox /whole/a\n"
        'RUN ["/bin/busybox", "--install", "/bin"]\nLABEL made=here\nEXPOSE 80\n'
    )
    shell("build", "-t", "demo", str(tmp_path))
    text = ("echo x > /f; rm /old/gone; rm -r /whole; mkdir /whole; echo b > /whole/b; "
            "chown 1000:1000 /f; echo ready; exec sleep 1000")  # fmt: skip
    shell("run", "-d", "--name", "web", "--network", "none", "-e", "A=1", "-w", "/srv", "demo",
          "sh", "-c", text)  # fmt: skip
    while "ready" not in shell("logs", "web"):
        pass
    yield shell
    shell("rm", "-f", "web")


def test_an_image_of_it(web: Shell) -> None:
    made = web("commit", "-a", "me", "-m", "why", "web", "copy:1").strip()
    assert made.startswith("sha256:")
    assert len(made) == 71
    assert web("inspect", "-f", "{{.State.Status}}", "web") == "running\n"
    found = json.loads(web("inspect", "copy:1"))[0]
    assert (found["Id"], found["Author"]) == (made, "me")
    assert found["Config"]["Env"][-1:] == ["A=1"] or "A=1" in found["Config"]["Env"]
    assert found["Config"]["WorkingDir"] == "/srv"
    assert found["Config"]["Cmd"][:2] == ["sh", "-c"]
    assert found["Config"]["Labels"] == {"made": "here"}
    words = ("run", "--rm", "--network", "none", "copy:1")
    text = "cat /f; ls /old /whole; stat -c %u:%g /f; pwd; echo $A"
    assert web(*words, "sh", "-c", text) == "x\n/old:\n\n/whole:\nb\n1000:1000\n/srv\n1\n"
    assert web("diff", "web") != ""


def test_it_has_nothing_that_the_runtime_has_made(web: Shell) -> None:
    web("commit", "web", "copy:1")
    web("create", "--name", "fresh", "--network", "none", "copy:1")
    with tarfile.open(fileobj=io.BytesIO(web.full("export", "fresh").stdout)) as tar:
        names = tar.getnames()
    assert {"f", "whole/b", "bin/busybox"} <= set(names)
    assert {"etc", "etc/hosts", "etc/resolv.conf", "dev", "proc", "sys"} & set(names) == set()


def test_f25_links_of_the_container_lead_nowhere(shell: Shell, web: Shell, tmp_path: Path) -> None:
    """What it lets look like the runtime's own is on this machine."""
    canary = tmp_path / "canary"
    (canary / "pts").mkdir(parents=True)
    for name in ("hosts", "hostname", "resolv.conf", "console"):
        (canary / name).touch()
    before = leaks.tree_hash(canary)
    shell("create", "--name", "bad", "--network", "none", "demo", "true")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name in ("etc", "dev", "sbin"):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, str(canary)
            tar.addfile(member)
    shell("cp", "-", "bad:/", stdin=stream.getvalue())
    shell("commit", "bad", "copy:1")
    assert leaks.tree_hash(canary) == before


def test_changes(web: Shell) -> None:
    web("commit", "-c", 'CMD ["x", "y"]', "-c", "ENV B=2 A=3", "-c", "WORKDIR sub", "-c",
        "LABEL k=v", "-c", "USER app", "-c", "EXPOSE 90/udp", "-c", "HEALTHCHECK NONE", "web",
        "copy:2")  # fmt: skip
    config = json.loads(web("inspect", "copy:2"))[0]["Config"]
    assert config["Cmd"] == ["x", "y"]
    assert {"A=3", "B=2"} <= set(config["Env"])
    assert (config["WorkingDir"], config["User"]) == ("/srv/sub", "app")
    assert config["Labels"] == {"made": "here", "k": "v"}
    assert set(config["ExposedPorts"]) == {"80/tcp", "90/udp"}


def test_refusals(web: Shell) -> None:
    for words, message in (
        (("nope",), "No such container: nope"),
        (("-c", "RUN x", "web"), "run is not a valid change command"),
        (("-c", "FROB x", "web"), "frob is not a valid change command"),
        (("web", "UPPER"), "UPPER"),
    ):
        done = web.full("commit", *words)
        assert (done.returncode, message in done.stderr.decode()) == (1, True), done.stderr
    assert len(web("images", "-q").split()) == 1


def test_one_that_was_made_from_a_directory(web: Shell) -> None:
    """Its root is the image's only layer: the directory's files, and what has changed of them."""
    before = leaks.tree_hash(Path(web.tree))
    web("run", "--name", "plain", "--network", "none", "-e", "A=1", "-w", "/srv", "--rootfs",
        web.tree, "sh", "-c", "echo new >/made; rm /etc/group; ln -s made /link")  # fmt: skip
    found = web("commit", "-m", "as it was", "-a", "me", "-c", 'CMD ["cat", "/made"]', "-c",
                "LABEL k=v", "plain", "whole:1").strip()  # fmt: skip
    assert found.startswith("sha256:")
    said = json.loads(web("inspect", "whole:1"))[0]
    assert (said["Author"], len(said["RootFS"]["Layers"])) == ("me", 1)
    assert said["Config"]["Labels"] == {"k": "v"}
    assert "as it was" in web("history", "whole:1")
    words = ("run", "--rm", "--network", "none", "whole:1")
    assert web(*words) == "new\n"
    script = "readlink /link; pwd; echo $A; test -e /etc/group || echo gone; id -u"
    assert web(*words, "sh", "-c", script) == "made\n/srv\n1\ngone\n0\n"
    assert leaks.tree_hash(Path(web.tree)) == before
    web("rmi", "whole:1")
    web("rm", "plain")
    done = web.full("commit", "plain", "UPPER")
    assert done.returncode == 1
