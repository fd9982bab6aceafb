"""Sparse files, as GNU tar packs and unpacks them: its own archives, and what it makes of them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from dockyard.node.engine.archive.unpack import unpack
from dockyard.node.image.extract import extract
from dockyard.node.image.tarread import TarReader
from helpers.program import Shell

pytestmark = pytest.mark.root

FORMS = {
    "gnu": ("--format=gnu",),
    "0.0": ("--format=posix", "--sparse-version=0.0"),
    "0.1": ("--format=posix", "--sparse-version=0.1"),
    "1.0": ("--format=posix", "--sparse-version=1.0"),
}
MIB = 1 << 20


def with_holes(path: Path, size: int, *bits: tuple[int, bytes]) -> None:
    with path.open("wb") as file:
        for offset, data in bits:
            file.seek(offset)
            file.write(data)
        file.truncate(size)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Files with holes at every end, with more regions than one header holds, and without."""
    folder = tmp_path / "source"
    (folder / "d").mkdir(parents=True)
    with_holes(folder / "begin", 4 * MIB, (0, b"at the beginning"))
    with_holes(folder / "end", 4 * MIB, (4 * MIB - 3, b"end"))
    with_holes(folder / "nothing", 8 * MIB)
    with_holes(folder / "d/odd", 5 * MIB + 77, (MIB + 5, b"x" * 5000), (5 * MIB + 70, b"seven77"))
    many = [(number * 64 * 1024, b"%d" % number) for number in range(150)]
    with_holes(folder / "many", 150 * 64 * 1024, *many)
    (folder / "full").write_bytes(b"no hole" * 1000)
    os.link(folder / "begin", folder / "linked")
    return folder


def archive(source: Path, form: str) -> bytes:
    words = ["tar", "--sparse", *FORMS[form], "-cf", "-", "-C", str(source), "."]
    return subprocess.run(words, capture_output=True, check=True).stdout


def shown(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Bytes, mode and modification time of every file."""
    return {
        str(path.relative_to(folder)): (
            path.read_bytes(), path.stat().st_mode, int(path.stat().st_mtime),
        )
        for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip


def blocks(folder: Path) -> int:
    return sum(path.stat().st_blocks for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("form", FORMS)
def test_what_tar_packs_is_unpacked_as_tar_does(source: Path, form: str, tmp_path: Path) -> None:
    data = archive(source, form)
    assert len(data) < 4 * MIB
    theirs, ours, copied = tmp_path / "theirs", tmp_path / "ours", tmp_path / "copied"
    for folder in (theirs, ours, copied):
        folder.mkdir()
    subprocess.run(["tar", "-xpf", "-", "-C", str(theirs)], input=data, check=True)
    chunks = [data[at : at + 1000] for at in range(0, len(data), 1000)]
    extract(TarReader(chunks, "layer"), str(ours), "layer")
    root = os.open(copied, os.O_RDONLY | os.O_DIRECTORY)
    try:
        unpack(TarReader(chunks, "cp"), root)
    finally:
        os.close(root)
    assert shown(theirs) == shown(source)
    assert shown(ours) == shown(source)
    assert shown(copied) == shown(source)
    assert blocks(ours) <= blocks(source) * 2
    assert blocks(copied) <= blocks(source) * 2
    assert (ours / "begin").samefile(ours / "linked")


@pytest.mark.parametrize("form", FORMS)
def test_a_reader_that_knows_no_holes_sees_zeros(source: Path, form: str) -> None:
    reader = TarReader([archive(source, form)], "layer")
    found = {entry.name: b"".join(map(bytes, reader.data())) for entry in reader}
    [link] = [name for name in ("begin", "linked") if not found[name]]
    for name in {"begin", "linked", "end", "nothing", "d/odd", "many", "full"} - {link}:
        assert found[name] == (source / name).read_bytes(), name


def test_an_image_is_made_of_one(source: Path, tmp_path: Path) -> None:
    (tmp_path / "root.tar").write_bytes(archive(source, "1.0"))
    shell = Shell(tmp_path / "data", source)
    shell("image", "import", str(tmp_path / "root.tar"), "holes")
    assert shell("image", "verify", "holes") == "holes:latest: ok\n"
    [layer] = (tmp_path / "data/images/layers").iterdir()
    assert shown(layer / "fs") == shown(source)
    assert blocks(layer / "fs") <= blocks(source) * 2
