"""Whatever a tar stream says, what comes of it lies below the folder it is unpacked to (F25)."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockyard.base.errors import DockyardError
from dockyard.node.engine.archive.unpack import unpack
from dockyard.node.image import tarread
from dockyard.node.image.packer import Packer
from dockyard.node.image.tarread import Entry, TarReader
from dockyard.node.image.tarwrite import END, tar_entry
from helpers import leaks

pytestmark = pytest.mark.root

NAMES = st.sampled_from([b"a", b"b", b"c", b".wh.a", b".wh..wh..opq"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(tuple)
KINDS = st.sampled_from([tarread.FILE, tarread.DIRECTORY, tarread.SYMLINK, tarread.HARDLINK,
                         tarread.FIFO])  # fmt: skip
LINKS = st.sampled_from([b"a", b"b/c", b"..", b"../..", b"../../canary", b"/canary", b"/", b".",
                         b"a/../../canary/secret", b"/canary/secret"])  # fmt: skip
ENTRIES = st.lists(st.tuples(KINDS, PATHS, LINKS), max_size=12)


def stream(entries: list[tuple[bytes, tuple[bytes, ...], bytes]]) -> bytes:
    blocks = []
    for kind, path, link in entries:
        size = 3 if kind == tarread.FILE else 0
        entry = Entry(kind, path, 0o644, 0, 0, size, 0, link, 0, 0, ())
        blocks += [*tar_entry(entry, lambda: iter([b"bad"]))]
    return b"".join([*blocks, END])


@settings(max_examples=150, deadline=None)
@given(ENTRIES, st.sampled_from([b"", b"a", b"x/y"]))
def test_nothing_leads_out(
    entries: list[tuple[bytes, tuple[bytes, ...], bytes]], at: bytes
) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        (folder / "canary").mkdir()
        (folder / "canary/secret").write_text("good")
        (folder / "target/a").mkdir(parents=True)
        (folder / "target/out").symlink_to(folder / "canary")
        before = leaks.tree_hash(folder / "canary")
        root = os.open(folder / "target", os.O_RDONLY | os.O_DIRECTORY)
        try:
            unpack(TarReader([stream(entries)], "test"), root, at)
        except (DockyardError, OSError):
            pass
        finally:
            os.close(root)
        assert leaks.tree_hash(folder / "canary") == before
        assert sorted(path.name for path in folder.iterdir()) == ["canary", "target"]
    finally:
        shutil.rmtree(folder)


PARTS = st.sampled_from(["a", "b", ".wh.c", "ä", "x" * 120])
TREES = st.dictionaries(
    st.lists(PARTS, min_size=1, max_size=3).map("/".join),
    st.one_of(st.binary(max_size=2000), st.sampled_from(["a", "/b", "../.."])),
    max_size=8,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(TREES)
def test_what_is_packed_is_unpacked_as_it_was(tree: dict[str, bytes | str]) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        source, target = folder / "source", folder / "target"
        source.mkdir()
        target.mkdir()
        for name, content in tree.items():
            path = source / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, bytes):
                    path.write_bytes(content)
                else:
                    path.symlink_to(content)
            except OSError:  # something else has the name
                continue
        opened = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (source, target)]
        try:
            blocks = b"".join([*Packer().inside(opened[0], (b".",)), END])
            unpack(TarReader([blocks], "test"), opened[1])
        finally:
            for descriptor in opened:
                os.close(descriptor)
        before = leaks.tree_hash(source)
        source.rename(folder / "aside")
        target.rename(source)
        assert leaks.tree_hash(source) == before
    finally:
        shutil.rmtree(folder)
