"""Handlers of binfmt_misc: by what they match (admin-guide/binfmt-misc.rst), not by their names."""

from pathlib import Path

import pytest

from dockyard.base.oci.platform import Platform, host_platform
from dockyard.node.build.binfmt import runs

ARM64 = "7f454c460201010000000000000000000200b700"
MASK = "ffffffffffffff00fffffffffffffffffeffffff"
S390X = "7f454c4602020100000000000000000000020016"
S390X_MASK = "ffffffffffffff00fffffffffffffffffffeffff"
"""As Debian's qemu-user-static registers them."""


def handler(
    magic: str, mask: str, flags: str = "F", state: str = "enabled", offset: int = 0
) -> str:
    return f"{state}\ninterpreter /usr/bin/x\nflags: {flags}\noffset {offset}\nmagic {magic}\n" + (
        f"mask {mask}\n" if mask else ""
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "status").write_text("enabled\n")
    (tmp_path / "register").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "architecture", "expected"),
    [
        (handler(ARM64, MASK), "arm64", True),
        (handler(ARM64, MASK, flags="POCF"), "arm64", True),
        (handler(ARM64, MASK), "s390x", False),
        (handler(S390X, S390X_MASK), "s390x", True),
        (handler(ARM64, MASK, flags="OC"), "arm64", False),  # not to be found in a container
        (handler(ARM64, MASK, state="disabled"), "arm64", False),
        (handler(ARM64, ""), "arm64", True),
        (handler("2300", "", offset=1), "arm64", False),
        ("enabled\ninterpreter /x\nflags: F\nextension .exe\n", "arm64", False),
        ("", "arm64", False),
        (handler("zz", MASK), "arm64", False),
        (handler(ARM64, MASK), "unknown", False),
    ],
)
def test_handlers(folder: Path, text: str, architecture: str, expected: bool) -> None:
    (folder / "any-name").write_text(text)
    assert runs(Platform("linux", architecture), str(folder)) is expected


def test_nothing_runs_where_the_whole_is_off_or_absent(folder: Path, tmp_path: Path) -> None:
    (folder / "x").write_text(handler(ARM64, MASK))
    (folder / "status").write_text("disabled\n")
    assert not runs(Platform("linux", "arm64"), str(folder))
    assert not runs(Platform("linux", "arm64"), str(tmp_path / "none"))
    assert runs(host_platform(), str(tmp_path / "none"))
    assert not runs(Platform("freebsd", "arm64"), str(folder))
