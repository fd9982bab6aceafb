"""Frames of the monitor's socket, and what a child says when it cannot start."""

from __future__ import annotations

import errno
import socket
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.base.errors import DockyardError
from dockyard.base.linux import seccomp
from dockyard.base.oci import runtimespec
from dockyard.base.oci.defaultspec import default_spec
from dockyard.interfaces.ociruntime import Launch, Log, Overlay
from dockyard.node.runtime import launchmessage, wire
from dockyard.node.runtime.child import failure

FRAMES = st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=300)), max_size=8)


@given(FRAMES, st.integers(1, 50))
def test_frames_survive_any_cut(frames: list[tuple[int, bytes]], size: int) -> None:
    stream = b"".join(wire.frame(kind, data) for kind, data in frames)
    decoder = wire.Decoder()
    found = []
    for start in range(0, len(stream), size):
        found += decoder.feed(stream[start : start + size])
    assert found == frames


@pytest.mark.parametrize("head", [struct.pack(">BI", 9, 1), struct.pack(">BI", 0, 2**31)])
def test_a19_frames_that_are_none(head: bytes) -> None:
    with pytest.raises(wire.Broken):
        wire.Decoder().feed(head)


def test_a_peer_that_leaves_in_the_middle() -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(wire.frame(1, b"whole") + wire.frame(1, b"part")[:-2])
    theirs.close()
    assert wire.receive(ours) == (1, b"whole")
    assert wire.receive(ours) is None
    ours.close()


@pytest.mark.parametrize(
    ("message", "code", "text"),
    [
        (struct.pack("=i", errno.ENOENT), 127, 'exec: "x": no such file or directory'),
        (struct.pack("=i", errno.EACCES), 126, 'exec: "x": permission denied'),
        (struct.pack("=i", errno.ENOEXEC), 126, 'exec: "x": exec format error'),
        (b'{"error": "mount: no", "code": 125}', 125, "mount: no"),
        (b"", 125, "container init: ended before it could say why"),
        (b"\xff\x00 garbage", 125, r"container init: said b'\xff\x00 garbage'"),
        (b"[1, 2, 3]", 125, "container init: said b'[1, 2, 3]'"),
    ],
)
def test_what_a_child_says_is_not_trusted(message: bytes, code: int, text: str) -> None:
    error = failure(message, "x")
    assert (error.exit_code, str(error)) == (code, text)


@pytest.mark.parametrize("attach", [True, False])
def test_a_launch_reaches_the_launchpad_unchanged(attach: bool) -> None:
    launch = Launch(
        id="c", spec={"linux": {"a": [1, None, "\u00e9"]}}, state_dir="/s", run_dir="/r",
        rootfs=Overlay(("/l1", "/l2"), "/u", "/w"), log=Log("/log", "cri", 10, 2),
        open_stdin=True, on_exit=("/bin/x", "y"),
    )  # fmt: skip
    assert launchmessage.unpack(launchmessage.pack(launch, attach)) == (launch, attach)
    bare = launch._replace(rootfs=None, log=None)
    assert launchmessage.unpack(launchmessage.pack(bare, attach)) == (bare, attach)


def test_a_launch_is_read_before_it_is_sent(tmp_path: Path) -> None:
    """Who gets it has the same values, the filter, and the document besides."""
    document = default_spec(args=["true"], env=[], cwd="/", root="/", cgroup="c")
    launch = Launch(id="c", spec=document, state_dir="/s", run_dir="/r")
    whole, short = launchmessage.split(launchmessage.message(launch, True, str(tmp_path)))
    order = launchmessage.order(b"", short)
    assert launchmessage.unpack(whole) == (launch, True)
    assert (order.launch, order.attach) == (launch._replace(spec={}), True)
    read = runtimespec.parse(document)
    assert read.seccomp
    assert order.spec._replace(seccomp=read.seccomp) == read
    assert order.filter == seccomp.filter_for(read.seccomp, str(tmp_path))


@pytest.mark.parametrize("document", [{"windows": {}}, {"process": 7}, {}])
def test_one_that_cannot_be_read_is_sent_as_it_is(document: dict[str, Any], tmp_path: Path) -> None:
    launch = Launch(id="c", spec=document, state_dir="/s", run_dir="/r")
    whole, short = launchmessage.split(launchmessage.message(launch, False, str(tmp_path)))
    assert launchmessage.unpack(whole) == (launch, False)
    with pytest.raises(DockyardError):
        launchmessage.order(whole, short)
