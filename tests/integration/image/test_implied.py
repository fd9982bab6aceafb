"""Directories that an archive implies look like those below: image-spec, layer.md, "applied on top
of" the layers below, so what is there already keeps its owner and mode."""

import os
import stat
from pathlib import Path

import pytest

from dockyard.base.linux import whiteouts
from dockyard.node.image.inherit import inherit

pytestmark = pytest.mark.root
DEEP = ((b"a",), (b"a", b"b"), (b"a", b"b", b"c"))


def layer(tmp_path: Path, name: str, *folders: str, mode: int = 0o755, owner: int = 0) -> Path:
    root = tmp_path / name
    root.mkdir()
    for folder in folders:
        for each in (*reversed(Path(folder).parents), Path(folder)):
            if each.parts and not (root / each).exists():
                (root / each).mkdir()
                os.chown(root / each, owner, owner)
                (root / each).chmod(mode)
    return root


def inherit_from(top: Path, implied: tuple[tuple[bytes, ...], ...], below: list[Path]) -> None:
    inherit(str(top), implied, [str(each) for each in below])


def seen(root: Path, path: str) -> tuple[int, int]:
    found = (root / path).stat()
    return stat.S_IMODE(found.st_mode), found.st_uid


def test_the_topmost_layer_that_has_it_counts(tmp_path: Path) -> None:
    top = layer(tmp_path, "top", "a/b/c")
    first = layer(tmp_path, "first", "a", mode=0o711, owner=11)
    second = layer(tmp_path, "second", "a/b/c", mode=0o722, owner=22)
    inherit_from(top, ((), *DEEP), [first, layer(tmp_path, "none"), second])
    assert seen(top, "a") == (0o711, 11)
    assert seen(top, "a/b") == (0o722, 22)
    assert seen(top, "a/b/c") == (0o722, 22)


def test_what_a_whiteout_hides_is_not_there(tmp_path: Path) -> None:
    top = layer(tmp_path, "top", "a/b/c")
    middle = layer(tmp_path, "middle", "a", mode=0o711, owner=11)
    fd = os.open(middle / "a", os.O_RDONLY)
    whiteouts.hide(fd, "b")
    os.close(fd)
    inherit_from(top, DEEP, [middle, layer(tmp_path, "low", "a/b/c", mode=0o722, owner=22)])
    assert seen(top, "a") == (0o711, 11)
    assert seen(top, "a/b") == seen(top, "a/b/c") == (0o755, 0)


def test_what_an_opaque_directory_hides_is_not_there(tmp_path: Path) -> None:
    top = layer(tmp_path, "top", "a/b/c")
    middle = layer(tmp_path, "middle", "a/b", mode=0o711, owner=11)
    fd = os.open(middle / "a/b", os.O_RDONLY)
    whiteouts.make_opaque(fd)
    os.close(fd)
    inherit_from(top, DEEP, [middle, layer(tmp_path, "low", "a/b/c", mode=0o722, owner=22)])
    assert seen(top, "a/b") == (0o711, 11)
    assert seen(top, "a/b/c") == (0o755, 0)


def test_a_link_on_the_way_is_followed_inside_the_layer(tmp_path: Path) -> None:
    top = layer(tmp_path, "top", "lib", "lib/x")
    low = layer(tmp_path, "low", "usr/lib/x", mode=0o722, owner=22)
    (low / "lib").symlink_to("/usr/lib")
    inherit_from(top, ((b"lib",), (b"lib", b"x")), [layer(tmp_path, "none"), low])
    assert seen(top, "lib/x") == (0o722, 22)
