"""Files of a stack of layers, as overlayfs shows them (Documentation/filesystems/overlayfs)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dockyard.base.errors import Invalid
from dockyard.node.engine.identity import at_start
from dockyard.node.engine.layerfile import LARGEST, read_file


def layer(folder: Path, **files: str) -> str:
    (folder / "etc").mkdir(parents=True)
    for name, text in files.items():
        (folder / "etc" / name).write_text(text)
    return str(folder)


def test_the_topmost_layer_wins(tmp_path: Path) -> None:
    layers = (layer(tmp_path / "b", passwd="upper"), layer(tmp_path / "a", passwd="lower"))
    assert read_file(layers, "etc/passwd") == b"upper"
    assert read_file(layers[1:], "etc/passwd") == b"lower"
    assert read_file(layers, "etc/group") == b""


@pytest.mark.root
def test_a_whiteout_hides_what_is_below(tmp_path: Path) -> None:
    layers = (layer(tmp_path / "b"), layer(tmp_path / "a", passwd="lower"))
    os.mknod(tmp_path / "b/etc/passwd", 0o20600, os.makedev(0, 0))
    assert read_file(layers, "etc/passwd") == b""


@pytest.mark.root
def test_an_opaque_folder_hides_what_is_below(tmp_path: Path) -> None:
    layers = (layer(tmp_path / "b"), layer(tmp_path / "a", passwd="lower"))
    os.setxattr(tmp_path / "b/etc", "trusted.overlay.opaque", b"y")
    assert read_file(layers, "etc/passwd") == b""


def test_a12_a_link_out_of_the_image_stays_in_it(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root:x:0:0::/:/bin/sh\n")
    found = layer(tmp_path / "a")
    (tmp_path / "a/etc/passwd").symlink_to(secret)
    (tmp_path / "a/etc/group").symlink_to("../../../../" + str(secret))
    assert read_file((found,), "etc/passwd") == b""
    assert read_file((found,), "etc/group") == b""


def test_a12_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    found = layer(tmp_path / "a")
    os.mkfifo(tmp_path / "a/etc/passwd")
    assert read_file((found,), "etc/passwd") == b""


def test_a12_a_huge_file_is_refused(tmp_path: Path) -> None:
    found = layer(tmp_path / "a")
    with (tmp_path / "a/etc/passwd").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(Invalid, match="etc/passwd"):
        read_file((found,), "etc/passwd")


def test_a11_a_user_is_looked_up_in_what_the_container_changed(tmp_path: Path) -> None:
    lower = layer(tmp_path / "a", passwd="app:x:1000:1000::/home/app:/bin/sh\n", group="")
    assert at_start("app", str(tmp_path / "upper"), (lower,)).uid == 1000
    upper = layer(tmp_path / "upper", passwd="app:x:7:7::/:/bin/sh\n")
    assert at_start("app", upper, (lower,)).uid == 7
    assert at_start("1000", upper, (lower,)).uid == 1000
    for wrong in ("nobody-here", "4294967295", "-1"):
        with pytest.raises(Invalid):
            at_start(wrong, upper, (lower,))
