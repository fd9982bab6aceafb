"""What a container has written of its end: its file, and its log where that is empty."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dockyard.cluster.kubelet.lastwords import file_of, message_of, prepare
from helpers.kubelets import Place, on_a_node, with_kubelet
from helpers.observations import ran

FALLBACK = {"terminationMessagePolicy": "FallbackToLogsOnError"}


def spec(**more: Any) -> dict[str, Any]:
    return {"name": "c", "terminationMessagePath": "/dev/termination-log", **more}


def said(folder: Path, log: str = "", **more: Any) -> str:
    return message_of(folder, spec(**more), replace(ran("c", 0, 1), log_path=log))


def test_the_file_is_the_containers_to_write(tmp_path: Path) -> None:
    mount = prepare(tmp_path, spec(), 0)
    assert mount is not None
    assert (mount.container_path, mount.readonly) == ("/dev/termination-log", False)
    path = Path(mount.host_path)
    assert path.stat().st_mode & 0o777 == 0o666
    assert said(tmp_path) == ""
    path.write_text("out of cheese")
    assert said(tmp_path) == "out of cheese"
    other = prepare(tmp_path, spec(terminationMessagePath="/tmp/x/../end"), 1)
    assert other is not None
    assert other.container_path == "/tmp/end"
    assert other.host_path != mount.host_path  # each attempt has its own


def test_a_mount_of_the_pods_own_there_wins(tmp_path: Path) -> None:
    own = [{"name": "v", "mountPath": "/dev/termination-log/"}]
    assert prepare(tmp_path, spec(volumeMounts=own), 0) is None


def test_of_much_the_beginning_counts(tmp_path: Path) -> None:
    """F24: 4096 bytes, whatever they are."""
    prepare(tmp_path, spec(), 0)
    file_of(tmp_path, "c", 0).write_bytes(b"\xff\x00" + b"x" * 100_000)
    found = said(tmp_path)
    assert len(found) == 4096
    assert found.startswith("\ufffd\x00x")


def test_nothing_but_a_plain_file_is_read(tmp_path: Path) -> None:
    """F24: neither a link nor a pipe that never ends."""
    secret = tmp_path / "secret"
    secret.write_text("s3cr3t")
    path = file_of(tmp_path, "c", 0)
    path.parent.mkdir()
    path.symlink_to(secret)
    assert said(tmp_path) == ""
    path.unlink()
    os.mkfifo(path)
    assert said(tmp_path) == ""
    path.unlink()
    path.mkdir()
    assert said(tmp_path) == ""


def lines(count: int) -> bytes:
    return b"".join(b"2026-01-01T00:00:00.0Z stderr F line %d\n" % n for n in range(count))


def test_the_end_of_the_log_where_the_file_is_empty(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    log.write_bytes(lines(3))
    assert said(tmp_path, log=str(log), **FALLBACK) == "line 0\nline 1\nline 2\n"
    assert said(tmp_path, log=str(log)) == ""  # the policy is File
    prepare(tmp_path, spec(), 0)
    file_of(tmp_path, "c", 0).write_text("mine")
    assert said(tmp_path, log=str(log), **FALLBACK) == "mine"


def test_eighty_lines_or_two_kilobytes(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    log.write_bytes(lines(1000))
    found = said(tmp_path, log=str(log), **FALLBACK)
    assert found.count("\n") == 80
    assert found.endswith("line 999\n")
    log.write_bytes(b"2026-01-01T00:00:00.0Z stdout F " + b"y" * 50_000 + b"\n")
    assert len(said(tmp_path, log=str(log), **FALLBACK)) <= 2048


def write(path: str, words: str) -> None:
    """As the program in the container does."""
    Path(path).write_text(words)


@pytest.mark.parametrize("again", [False, True])
def test_the_status_tells_it(tmp_path: Path, again: bool) -> None:
    """Also where another kubelet looks at it first."""

    async def look(place: Place) -> None:
        ended = (await place.state())["terminated"]
        assert (ended["reason"], ended["message"]) == ("Error", "no such order: 42")

    async def test(place: Place) -> None:
        async with place.kubelet():
            await place.create(restartPolicy="Never")
            mount = place.cri.configs[place.cri.newest("c").id].mounts[-1]
            assert mount.container_path == "/dev/termination-log"
            write(mount.host_path, "no such order: 42")
            if not again:
                place.cri.exit("c", 1)
                await place.clock.settle()
                await look(place)
        if again:
            place.cri.exit("c", 1)
            async with place.kubelet():
                await look(place)

    on_a_node(tmp_path, test)


def test_what_the_runtime_says_stays(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        await place.create(restartPolicy="Never")
        mount = place.cri.configs[place.cri.newest("c").id].mounts[-1]
        write(mount.host_path, "from the file")
        place.cri.exit("c", 1, message="from the runtime")
        await place.clock.settle()
        assert (await place.state())["terminated"]["message"] == "from the runtime"

    with_kubelet(tmp_path, test)
