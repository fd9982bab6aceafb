"""`dockyard cp`: the table in docker's manual page of cp, and streams that lie (abuse F25)."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import leaks
from helpers.program import PROGRAM, Shell

pytestmark = pytest.mark.root


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder of this machine with things to copy."""
    folder = tmp_path / "here"
    (folder / "dir/sub").mkdir(parents=True)
    (folder / "f").write_text("hi\n")
    (folder / "dir/a").write_text("1\n")
    (folder / "dir/l").symlink_to("a")
    (folder / "abs").symlink_to("/etc")
    return folder


class Copies:
    """The program in that folder, with a container that runs, or that has stopped."""

    def __init__(self, shell: Shell, folder: Path) -> None:
        self.shell, self.folder = shell, folder

    def __call__(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*PROGRAM, "cp", *words], cwd=self.folder, input=stdin,
                              capture_output=True, env=self.shell.env, timeout=60)  # fmt: skip

    def ok(self, *words: str) -> None:
        done = self(*words)
        assert (done.returncode, done.stderr) == (0, b""), done

    def refused(self, *words: str) -> str:
        done = self(*words)
        assert done.returncode == 1
        return done.stderr.decode()

    def names(self, path: str) -> list[str]:
        """What a folder of the container has, as its tar stream says."""
        done = self(f"web:{path}/.", "-")
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
            return sorted(tar.getnames())


@pytest.fixture(params=["running", "stopped"])
def copies(request: pytest.FixtureRequest, shell: Shell, here: Path) -> Iterator[Copies]:
    shell.run("-d", "--name", "web", "-v", "vol:/vol", "-v", "vol:/ro:ro", "sh", "-c",
              "mkdir -p /srv; exec sleep 1000")  # fmt: skip
    shell("exec", "web", "sh", "-c", "until [ -d /srv ]; do :; done")
    if request.param == "stopped":
        shell("stop", "-t", "0", "web")
    yield Copies(shell, here)
    if request.param == "stopped":
        shell("start", "web")
        shell("stop", "-t", "0", "web")


def test_a_file_into_a_container(copies: Copies) -> None:
    copies.ok("f", "web:/tmp")
    copies.ok("f", "web:/tmp/g")
    copies.ok("f", "web:/tmp/g")
    copies.ok("f", "web:tmp/relative")
    assert copies.names("/tmp") == [".", "./f", "./g", "./relative"]
    assert copies.refused("f", "web:/tmp/none/") == "dockyard: no such directory\n"
    assert copies.refused("f", "web:/none/x") == (
        "dockyard: Could not find the file /none in container web\n"
    )
    assert copies.refused("f", "web:") == "dockyard: no such directory\n"
    assert "no such file or directory" in copies.refused("missing", "web:/tmp")


def test_a_folder_into_a_container(copies: Copies) -> None:
    copies.ok("dir", "web:/tmp")
    copies.ok("dir", "web:/tmp/new")
    copies.ok("dir/.", "web:/tmp/content")
    copies.ok("dir/.", "web:/tmp/new")
    copies.ok("dir", "web:/tmp/new")
    inside = [".", "./a", "./l", "./sub"]
    assert copies.names("/tmp/dir") == inside
    assert copies.names("/tmp/content") == inside
    assert copies.names("/tmp/new") == [
        ".", "./a", "./dir", "./dir/a", "./dir/l", "./dir/sub", "./l", "./sub"
    ]  # fmt: skip
    copies.ok("f", "web:/tmp/f")
    assert copies.refused("dir", "web:/tmp/f") == "dockyard: cannot copy directory\n"


def test_a_file_out_of_a_container(copies: Copies) -> None:
    copies.ok("f", "web:/tmp")
    here = copies.folder
    (here / "f").write_text("other\n")
    copies.ok("web:/tmp/f", ".")
    copies.ok("web:/tmp/f", "out")
    copies.ok("web:/tmp/f", "dir")
    assert [(here / name).read_text() for name in ("f", "out", "dir/f")] == ["hi\n"] * 3
    assert copies.refused("web:/tmp/f", "none/") == "dockyard: no such directory\n"
    assert "none" in copies.refused("web:/tmp/f", "none/x")
    assert copies.refused("web:/none", ".") == (
        "dockyard: Could not find the file /none in container web\n"
    )
    assert "not a directory" in copies.refused("web:/tmp/f/", "x")


def test_a_folder_out_of_a_container(copies: Copies) -> None:
    copies.ok("dir", "web:/tmp")
    here = copies.folder
    copies.ok("web:/tmp/dir", "new")
    copies.ok("web:/tmp/dir/.", "content")
    copies.ok("web:/tmp/dir/", "slash")
    copies.ok("web:/tmp/dir/.", "content")
    copies.ok("web:/tmp/dir", "content")
    for name in ("new", "content", "slash", "content/dir"):
        assert (here / name / "a").read_text() == "1\n"
        assert (here / name / "l").readlink() == Path("a")
    assert sorted(path.name for path in (here / "new").iterdir()) == ["a", "l", "sub"]
    assert copies.refused("web:/tmp/dir", "f") == "dockyard: cannot copy directory\n"


def test_links(copies: Copies) -> None:
    copies.ok("abs", "web:/tmp/abs")
    copies.ok("dir", "web:/tmp")
    copies.ok("-L", "dir/l", "web:/tmp/followed")
    here = copies.folder
    copies.ok("web:/tmp/abs", "abs2")
    assert (here / "abs2").readlink() == Path("/etc")
    copies.ok("web:/tmp/followed", "followed")
    assert (here / "followed").read_text() == "1\n"
    copies.ok("-L", "web:/tmp/dir/l", ".")
    assert (here / "l").read_text() == "1\n"
    assert not (here / "l").is_symlink()


def test_volumes(copies: Copies) -> None:
    copies.ok("f", "web:/vol/f")
    copies.ok("web:/vol/f", "back")
    assert (copies.folder / "back").read_text() == "hi\n"
    assert "read-only" in copies.refused("f", "web:/ro/g").lower()
    assert copies.names("/vol") == [".", "./f"]


def test_owners(copies: Copies) -> None:
    import os

    os.chown(copies.folder / "f", 1234, 1235)
    copies.ok("f", "web:/tmp/f")
    done = copies("web:/tmp/f", "-")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        [member] = tar.getmembers()
    assert (member.uid, member.gid) == (1234, 1235)
    copies.ok("web:/tmp/f", "back")
    found = (copies.folder / "back").stat()
    assert (found.st_uid, found.st_gid) == (os.geteuid(), os.getegid())


def test_streams(copies: Copies) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.add(copies.folder / "dir", "dir")
    assert copies("-", "web:/srv", stdin=stream.getvalue()).returncode == 0
    assert copies.names("/srv/dir") == [".", "./a", "./l", "./sub"]
    done = copies("-", "web:/nowhere", stdin=stream.getvalue())
    assert (done.returncode, done.stderr) == (
        1, b'dockyard: destination "web:/nowhere" must be a directory\n'
    )  # fmt: skip
    done = copies("-", "web:/srv", stdin=b"no tar at all" * 100)
    assert (done.returncode, done.stderr[:10]) == (1, b"dockyard: ")


def test_words(copies: Copies) -> None:
    assert copies.refused("f", "g") == "dockyard: must specify at least one container source\n"
    assert copies.refused("web:/tmp", "web:/srv") == (
        "dockyard: copying between containers is not supported\n"
    )
    assert copies.refused("f", "nope:/tmp") == "dockyard: No such container: nope\n"
    assert copies.refused("nope:/tmp", ".") == "dockyard: No such container: nope\n"


def hostile(*members: tuple[str, str, str]) -> bytes:
    """A stream of (name, kind, link or content)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, kind, rest in members:
            member = tarfile.TarInfo(name)
            if kind == "file":
                member.size = len(rest)
                tar.addfile(member, io.BytesIO(rest.encode()))
                continue
            member.type = {"link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE,
                           "dir": tarfile.DIRTYPE}[kind]  # fmt: skip
            member.linkname = rest
            tar.addfile(member)
    return stream.getvalue()


@pytest.mark.parametrize(
    "members",
    [
        [("../../../../CANARY/x", "file", "bad")],
        [("CANARY/x", "file", "bad")],
        [("link", "link", "CANARY"), ("link/x", "file", "bad")],
        [("link", "link", "../../../../../../../CANARY"), ("link/x", "file", "bad")],
        [("hard", "hard", "CANARY/secret"), ("hard", "file", "bad")],
        [("link", "link", "CANARY/secret"), ("link", "file", "bad")],
        [("link", "link", "CANARY"), ("hard", "hard", "link/secret"), ("hard", "file", "bad")],
        [("link", "link", "CANARY"), ("link", "dir", ""), ("link/x", "file", "bad")],
    ],
)
def test_f25_a_stream_that_lies_leads_nowhere(
    copies: Copies, tmp_path: Path, members: list[tuple[str, str, str]]
) -> None:
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "secret").write_text("good")
    before = leaks.tree_hash(canary)
    filled = [(name.replace("CANARY", str(canary)), kind, rest.replace("CANARY", str(canary)))
              for name, kind, rest in members]  # fmt: skip
    copies("-", "web:/srv", stdin=hostile(*filled))
    assert leaks.tree_hash(canary) == before


def test_f25_links_of_the_container_lead_nowhere_on_this_machine(
    copies: Copies, tmp_path: Path
) -> None:
    """Neither those it has on the way to what is read, nor those that are copied out."""
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "secret").write_text("good")
    before = leaks.tree_hash(canary)
    stream = hostile(
        ("out", "link", str(canary)), ("up", "link", "/".join([".."] * 9) + str(canary))
    )
    assert copies("-", "web:/srv", stdin=stream).returncode == 0
    for name in ("out", "up"):
        assert "Could not find the file" in copies.refused(f"web:/srv/{name}/secret", "x")
        copies("f", f"web:/srv/{name}/f")
    copies.ok("web:/srv/.", "taken")
    copies.ok("f", "web:/tmp/f")
    assert (copies.folder / "taken/out").readlink() == canary
    assert leaks.tree_hash(canary) == before
