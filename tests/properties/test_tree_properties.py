"""Roots without overlayfs against the kernel's own: whatever layers and changes there are, a copy
shows what overlayfs shows, and what is committed of it makes the same tree again."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dockyard.base.linux import treecopy, whiteouts
from dockyard.base.linux.overlay import open_overlay
from dockyard.base.linux.treechanges import Change, changes
from dockyard.node.image.extract import extract
from dockyard.node.image.pack import pack
from dockyard.node.image.tarread import TarReader

pytestmark = pytest.mark.root

NAMES = ("a", "b", "c", "a/a", "a/b", "b/a", "a/a/c", "c/b")
STEP = st.tuples(
    st.sampled_from(("file", "folder", "link", "hard", "gone", "mode", "anew")),
    st.sampled_from(NAMES), st.sampled_from(NAMES), st.binary(max_size=6),
)  # fmt: skip
STEPS = st.lists(STEP, min_size=3, max_size=12)
BELOW = st.lists(STEP.filter(lambda step: step[0] != "hard"), max_size=8)
"""overlayfs breaks a hard link of a layer when one of its names is written to, a copy does not."""
Step = tuple[str, str, str, bytes]
BEGIN: list[Step] = [
    *(("folder", name, "", b"") for name in ("a", "b", "a/a")),
    *(("file", name, "", name.encode()) for name in ("c", "a/b", "a/a/c")),
    ("link", "b/a", "c", b""),
]
"""Something that can be changed and removed."""


def do(root: str, step: Step) -> None:
    """One change, as a program makes it; what is not possible changes nothing."""
    kind, name, other, data = step
    path, second = Path(root, name), Path(root, other)
    with contextlib.suppress(OSError, ValueError, shutil.SameFileError):
        if kind == "file":
            path.write_bytes(data)
        elif kind == "folder":
            path.mkdir(mode=0o750)
        elif kind == "link":
            path.symlink_to(other)
        elif kind == "hard":
            path.hardlink_to(second)
        elif kind == "mode":
            if not path.is_symlink():
                path.chmod(0o700 if data else 0o555)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
            if kind == "anew":
                path.mkdir()
        else:
            path.unlink()


def shown(root: str) -> dict[str, tuple[object, ...]]:
    """What each path is, apart from folders' times: removing something in one changes them."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(Path(root).rglob("*")):
        of = path.lstat()
        what: object = path.readlink() if path.is_symlink() else ""
        what = path.read_bytes() if stat.S_ISREG(of.st_mode) else what
        found[str(path.relative_to(root))] = (of.st_mode, of.st_uid, of.st_gid, what)
    return found


@contextlib.contextmanager
def merged(lower: list[str], upper: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory(dir=Path(upper).parent) as place:
        work, at = f"{place}/work", f"{place}/at"
        Path(work).mkdir()
        Path(at).mkdir()
        root = open_overlay(lower, upper, work, at)
        try:
            yield f"/proc/self/fd/{root}/."
        finally:
            os.close(root)


def layers_of(place: str, steps: list[list[Step]]) -> list[str]:
    """Topmost first: each as overlayfs left it, and through an archive and back."""
    found: list[str] = []
    for number, each in enumerate(steps):
        upper, layer = f"{place}/upper{number}", f"{place}/layer{number}"
        for path in (upper, layer):
            Path(path).mkdir()
        if not found:
            for step in each:
                do(upper, step)
        else:
            with merged(found, upper) as root:
                for step in each:
                    do(root, step)
        extract(TarReader(pack(upper), "layer"), layer, "layer")
        found.insert(0, layer)
    return found


@settings(deadline=None, max_examples=60)
@given(st.lists(BELOW, max_size=2), STEPS, st.booleans())
@example([], [("anew", "a", "", b""), ("folder", "a/a", "", b"")], False)  # within an opaque one
def test_a_copied_root_is_as_overlayfs_has_it(
    below: list[list[Step]], steps: list[Step], files: bool
) -> None:
    """``files``: the layers' marks have the form that a file system without whiteouts has."""
    with tempfile.TemporaryDirectory() as place:
        layers = layers_of(place, [BEGIN, *below])
        copied, upper, out = (f"{place}/{name}" for name in ("copied", "upper", "out"))
        for path in (copied, upper, out):
            Path(path).mkdir()
        readable = [as_files(each) for each in layers] if files else layers
        treecopy.copy(readable, copied)
        with merged(layers, upper) as root:
            assert shown(copied) == shown(root)
            assert changes(copied, readable, whole=True) == []
            for step in steps:
                do(root, step)
                do(copied, step)
            after = shown(root)
            assert shown(copied) == after
        ours = changes(copied, readable, whole=True)
        theirs = changes(upper, layers)
        for kind in "AD":
            assert _of(kind, ours) == _of(kind, theirs)
        treecopy.copy_changes(copied, ours, out)
        with merged(layers, out) as root:
            assert shown(root) == after


def _of(kind: str, found: list[Change]) -> set[str]:
    return {each.path for each in found if each.kind == kind}


def as_files(layer: str) -> str:
    """A copy of a layer whose marks are files."""
    found = f"{layer}.files"
    shutil.copytree(layer, found, symlinks=True, copy_function=_link)
    for folder, folders, names in os.walk(layer):
        inside = found + folder.removeprefix(layer)
        with contextlib.suppress(OSError):
            if os.getxattr(folder, whiteouts.OPAQUE) == b"y":
                os.removexattr(inside, whiteouts.OPAQUE)
                Path(inside, whiteouts.OPAQUE_FILE).touch()
        for name in (*folders, *names):
            if whiteouts.is_device(os.lstat(f"{folder}/{name}")):
                Path(inside, name).unlink()
                Path(inside, f"{whiteouts.PREFIX}{name}").touch()
    return found


def _link(source: str, target: str) -> str:
    os.link(source, target, follow_symlinks=False)
    return target
