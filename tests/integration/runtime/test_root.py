"""The root of a container and what is made in it: devices, read-only and masked paths, folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.linux import firststep

from .conftest import Box, Yard, refused

pytestmark = pytest.mark.root


def made(yard: Yard, *devices: dict[str, Any], **linux: Any) -> Box:
    def change(spec: dict[str, Any]) -> None:
        spec["linux"]["devices"] = list(devices)
        spec["linux"]["resources"]["devices"] = [{"allow": True, "access": "rwm"}]
        spec["linux"].update(linux)

    return yard.box("sleep", "60", change=change)


@pytest.mark.parametrize(
    ("device", "shown"),
    [
        ({"type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 7, "gid": 8},
         "crw-r----- 7 8 1:5"),
        ({"type": "u", "major": 1, "minor": 5}, "crw-rw-rw- 0 0 1:5"),
        ({"type": "b", "major": 7, "minor": 200, "fileMode": 0o600}, "brw------- 0 0 7:c8"),
        ({"type": "p", "fileMode": 0o622}, "prw--w--w- 0 0 0:0"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/dev/mine", "/dev/deep/er/mine", "/elsewhere/mine"])
def test_devices(yard: Yard, device: dict[str, Any], shown: str, path: str) -> None:
    box = made(yard, {"path": path, **device}).start()
    assert box.exec("stat", "-c", "%A %u %g %t:%T", path).out == f"{shown}\n"


@pytest.mark.parametrize(
    ("device", "text"),
    [
        ({"type": "x", "major": 1, "minor": 5}, "one of c, u, b, p"),
        ({"type": "c", "major": -1, "minor": 5}, "major"),
        ({"type": "c", "major": 1, "minor": 2**40}, "minor"),
        ({"type": "c", "major": 1, "minor": 5, "fileMode": "rw"}, "fileMode"),
        ({"type": "c", "major": 1, "minor": 5, "path": "relative"}, "not an absolute path"),
    ],
    ids=range(5),
)
def test_a13_devices_that_are_none(yard: Yard, device: dict[str, Any], text: str) -> None:
    assert text in str(refused(made(yard, {"path": "/dev/mine", **device})))


# config-linux.md, "Default Devices"
def test_what_every_dev_has(yard: Yard) -> None:
    box = yard.box("sleep", "60").start()
    names = {"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9",
             "tty": "5:0"}  # fmt: skip
    out = box.exec("stat", "-c", "%n %t:%T", *(f"/dev/{name}" for name in names)).out
    assert out.splitlines() == [f"/dev/{name} {number}" for name, number in names.items()]
    links = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
             "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx"}  # fmt: skip
    for name, target in links.items():
        assert box.exec("readlink", f"/dev/{name}").out == f"{target}\n"


def test_a_root_that_cannot_be_written(yard: Yard) -> None:
    box = yard.sh("touch /x", change=lambda spec: spec["root"].update(readonly=True))
    assert "Read-only file system" in box.run().err
    assert list(box.upper.glob("x")) == []


def test_a_root_that_is_not_there(yard: Yard) -> None:
    box = yard.sh("true")
    box.launch = box.launch._replace(rootfs=None)
    box.launch.spec["root"]["path"] = "/no/such/root"  # type: ignore[index]
    assert "/no/such/root" in str(refused(box))
    assert box.groups() == []


def test_a_root_without_an_overlay(yard: Yard, lower: Path) -> None:
    box = yard.sh("ls / | wc -l", change=lambda spec: spec["root"].update(readonly=True))
    box.launch = box.launch._replace(rootfs=None)
    box.launch.spec["root"]["path"] = str(lower)  # type: ignore[index]
    assert int(box.run().out) == len(list(lower.iterdir()))


def test_paths_to_mask_and_to_protect(yard: Yard) -> None:
    def change(spec: dict[str, Any]) -> None:
        spec["linux"]["maskedPaths"] = [
            "/secret",
            "/hidden",
            "/not/there",
            "/hidden/f",
            "/covered",
            "/secret",
        ]
        spec["linux"]["readonlyPaths"] = ["/fixed", "/fixed-file", "/not/there"]

    box = yard.box("sleep", "60", change=change)
    (box.upper / "secret").write_text("treasure")
    for folder in ("hidden", "covered", "fixed"):
        (box.upper / folder).mkdir()
        (box.upper / folder / "f").write_text("content")
    (box.upper / "fixed-file").write_text("content")
    box.start()
    assert box.exec("cat", "/secret").out == ""
    assert box.exec("ls", "/hidden", "/covered").out.split() == ["/covered:", "/hidden:"]
    assert "Read-only" in box.exec("touch", "/hidden/new").err
    assert "Read-only" in box.exec("touch", "/covered/new").err
    assert box.exec("cat", "/fixed/f", "/fixed-file").out == "contentcontent"
    for path in ("/fixed/f", "/fixed/new", "/fixed-file"):
        assert "Read-only" in box.exec("sh", "-c", f"echo x > {path}").err


@pytest.mark.parametrize("member", ["maskedPaths", "readonlyPaths"])
def test_a13_paths_that_are_none(yard: Yard, member: str) -> None:
    box = yard.sh("true", change=lambda spec: spec["linux"].update({member: ["relative"]}))
    assert f"linux.{member}" in str(refused(box))


def test_a07_what_the_image_puts_where_the_console_goes(yard: Yard) -> None:
    """A link there must not lead the terminal's node onto another file (CVE-2025-52565)."""

    def change(spec: dict[str, Any]) -> None:
        spec["process"]["terminal"] = True
        spec["mounts"] = [m for m in spec["mounts"] if m["destination"] != "/dev"]

    box = yard.sh("sleep 60", change=change)
    (box.upper / "dev").mkdir()
    (box.upper / "victim").write_text("mine")
    (box.upper / "dev/console").symlink_to("/victim")
    assert "/dev/console: the image has a link" in str(refused(box))
    assert (box.upper / "victim").read_text() == "mine"


def test_a07_a_dangling_link_where_a_device_goes(yard: Yard, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    box = made(yard, {"path": "/way/out/null", "type": "c", "major": 1, "minor": 3})
    (box.upper / "way").symlink_to(outside)
    try:
        box.start()
    except Exception as error:
        assert "way" in str(error) or "device" in str(error)
    assert list(outside.iterdir()) == []


# seccomp(2): the other ways into the kernel of an x86-64 machine
I386_KEYCTL = "b820010000bbffff0000cd80"  # mov eax, 288; mov ebx, 0xffff; int 0x80
X32_KEYCTL = "b8fa000040bfffff00000f05"  # mov eax, 0x40000000 + 250; mov edi, 0xffff; syscall
LEAVE_WITH_ERRNO = "f7d889c7b8e70000000f05"  # neg eax; mov edi, eax; mov eax, 231; syscall


@pytest.mark.parametrize("code", [I386_KEYCTL, X32_KEYCTL], ids=["i386", "x32"])
def test_a15_calls_of_another_architecture_are_filtered(yard: Yard, code: str) -> None:
    if os.uname().machine != "x86_64":
        return
    program = firststep.elf({"x86_64": code + LEAVE_WITH_ERRNO}, "x86_64")

    def unfiltered(spec: dict[str, Any]) -> None:
        del spec["linux"]["seccomp"]

    codes = []
    for change in (None, unfiltered):
        box = yard.box("/program", change=change)
        (box.upper / "program").write_bytes(program)
        (box.upper / "program").chmod(0o755)
        codes.append(box.run().code)
    assert codes[0] == 1, "EPERM: the profile refuses keyctl"
    # keyctl(2): EOPNOTSUPP for an unknown operation; ENOSYS where the kernel has no such way
    assert codes[1] in (95, 38, 139)
