"""Layers that try to get out, or to mean what they must not: rows B01 to B06 of the abuse list."""

import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockyard.base.errors import Corrupt, Invalid
from dockyard.node.image.extract import Extracted, extract
from dockyard.node.image.limits import Limits
from dockyard.node.image.tarread import TarReader
from helpers.leaks import tree_hash
from helpers.tars import Entry, device, file, folder, hardlink, symlink, tar

pytestmark = pytest.mark.root


class Place:
    """A root to unpack into, beside a canary tree that must stay as it is."""

    def __init__(self, base: Path) -> None:
        self.root = base / "root"
        self.canary = base / "canary"
        self.root.mkdir()
        (self.canary / "sub").mkdir(parents=True)
        (self.canary / "secret").write_text("do not touch")
        (self.canary / "secret").chmod(0o600)
        self._before = tree_hash(self.canary)

    def unpack(self, *entries: Entry, limits: Limits | None = None) -> Extracted:
        return self.unpack_bytes(tar(*entries), limits)

    def unpack_bytes(self, data: bytes, limits: Limits | None = None) -> Extracted:
        reader = TarReader([data], "layer", limits or Limits())
        return extract(reader, str(self.root), "layer")

    def check(self) -> None:
        assert tree_hash(self.canary) == self._before
        assert {path.name for path in self.root.parent.iterdir()} == {"root", "canary"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path)
    yield found
    found.check()


@pytest.mark.parametrize(
    "entries",
    [
        [file("../canary/secret")],
        [file("a/../../canary/secret")],
        [file("..")],
        [hardlink("x", "../canary/secret")],
        [hardlink("x", "/../canary/secret")],
        [symlink("out", "../canary"), file("out/secret")],
        [symlink("out", "/canary"), file("out/secret")],
        [folder("a"), symlink("a/out", "../../canary"), file("a/out/new")],
        [symlink("out", "../canary"), hardlink("x", "out/secret")],
        [symlink("out", "../canary"), file("out/.wh.secret")],
        [symlink("self", "self"), file("self/x")],
        [symlink("a", "b"), symlink("b", "a"), file("a/x")],
        [file("f"), file("f/under")],
        [hardlink("x", "missing")],
        [hardlink("x", "")],
        [folder("d"), hardlink("x", "d")],
        [("", {"data": b"root as a file"})],
        [file("a" * 256)],
        [file("/".join(["d"] * 600))],
        [file("/".join(["d" * 200] * 25))],
    ],
)
def test_b01_b03_breakouts_are_refused(place: Place, entries: list[Entry]) -> None:
    with pytest.raises(Invalid):
        place.unpack(*entries)


@pytest.mark.parametrize(
    ("entries", "inside"),
    [
        ([file("/abs/file")], "abs/file"),
        ([file("./a/./b")], "a/b"),
        ([folder("etc"), symlink("e", "/etc"), file("e/passwd")], "etc/passwd"),
        ([folder("usr/lib"), symlink("lib", "usr/lib"), file("lib/x.so")], "usr/lib/x.so"),
        ([folder("t"), symlink("up", "../../../../t"), file("up/f")], "t/f"),
    ],
)
def test_b01_names_stay_inside(place: Place, entries: list[Entry], inside: str) -> None:
    place.unpack(*entries)
    assert (place.root / inside).read_bytes() == b"x"


def test_b01_odd_names_are_kept(place: Place) -> None:
    odd = "name\nwith\x07 ü\udcff"
    place.unpack_bytes(tar(file(odd), form=tarfile.GNU_FORMAT))
    assert [path.name for path in place.root.iterdir()] == [odd]


def test_b01_a_file_replaces_a_link_and_is_not_written_through_it(place: Place) -> None:
    place.unpack(symlink("x", "../canary/secret"), file("x", b"new"))
    assert (place.root / "x").read_bytes() == b"new"
    assert not (place.root / "x").is_symlink()


def test_b03_metadata_never_goes_through_a_link(place: Place) -> None:
    place.unpack(
        symlink("x", "../canary/secret"),
        ("x2", {"type": tarfile.SYMTYPE, "linkname": "../canary", "mode": 0o777, "uid": 7}),
        hardlink("y", "x"),
    )
    assert (place.root / "y").is_symlink()
    assert (place.root / "x2").lstat().st_uid == 7


def test_b04_whiteouts_become_overlays(place: Place) -> None:
    place.unpack(folder("d"), file("d/.wh.gone"), folder("o"), file("o/.wh..wh..opq"),
                 file("o/.wh..wh..opq"), file("o/kept"), file(".wh..wh.plnk"))  # fmt: skip
    gone = (place.root / "d/gone").lstat()
    assert stat.S_ISCHR(gone.st_mode)
    assert gone.st_rdev == 0
    assert os.getxattr(place.root / "o", "trusted.overlay.opaque") == b"y"
    assert (place.root / "o/kept").exists()
    assert not (place.root / ".wh..wh.plnk").exists()


@pytest.mark.parametrize("order", [1, -1])
def test_b04_a_whiteout_never_hides_its_own_layer(place: Place, order: int) -> None:
    """OCI layer.md: whiteouts only apply to lower layers, wherever they stand in the archive."""
    entries = [file("f", b"mine"), file(".wh.f")][::order]
    folders = [folder("d"), file(".wh.d")][::order]
    place.unpack(*entries, *folders, file("d/in", b"mine"))
    assert (place.root / "f").read_bytes() == b"mine"
    assert (place.root / "d/in").read_bytes() == b"mine"
    assert os.getxattr(place.root / "d", "trusted.overlay.opaque") == b"y"


def test_b04_a_file_under_a_whiteout_makes_it_an_opaque_directory(place: Place) -> None:
    place.unpack(file(".wh.d"), file("d/in"))
    assert os.getxattr(place.root / "d", "trusted.overlay.opaque") == b"y"


@pytest.mark.parametrize(
    "entries",
    [
        [file(".wh.")], [file(".wh...")], [file(".wh..")], [file(".wh.x/y")],
        [device("w", 0, 0)], [file(".wh.w"), hardlink("v", "w")],
    ],
)  # fmt: skip
def test_b04_malformed_whiteouts_are_refused(place: Place, entries: list[Entry]) -> None:
    with pytest.raises(Invalid):
        place.unpack(*entries)


def test_b05_devices_modes_and_attributes_by_policy(place: Place) -> None:
    capability = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    xattrs = {
        "user.kept": "1",
        "trusted.overlay.opaque": "y",
        "trusted.overlay.redirect": "/etc",
        "security.selinux": "x",
        "security.capability": capability,
    }
    place.unpack(
        device("null", 1, 3), ("fifo", {"type": tarfile.FIFOTYPE, "mode": 0o600}),
        file("suid", mode=0o4755, xattrs=xattrs), folder("d", xattrs=xattrs),
        file("owned", uid=1234, gid=4321, mtime=1_000_000_000),
    )  # fmt: skip
    assert (place.root / "null").stat().st_rdev == os.makedev(1, 3)
    assert stat.S_ISFIFO((place.root / "fifo").stat().st_mode)
    assert stat.S_IMODE((place.root / "suid").stat().st_mode) == 0o4755
    assert set(os.listxattr(place.root / "suid")) == {"user.kept", "security.capability"}
    assert set(os.listxattr(place.root / "d")) == {"user.kept"}
    owned = (place.root / "owned").stat()
    assert (owned.st_uid, owned.st_gid, owned.st_mtime) == (1234, 4321, 1_000_000_000)


def test_b06_limits(place: Place) -> None:
    with pytest.raises(Corrupt, match="entries"):
        place.unpack(*(file(str(n)) for n in range(20)), limits=Limits(entries=10))
    header = bytearray(tar(file("huge"))[:512])
    header[124:136] = b"77777777777\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(Corrupt, match="refused"):
        place.unpack_bytes(bytes(header), Limits(total=1 << 20))
    assert not (place.root / "huge").exists()


def test_b06_a_cut_is_an_error_or_a_clean_end(place: Place) -> None:
    data = tar(file("a", b"y" * 1500), symlink("s", "a"), file("u\u00fc" * 80))
    for at in range(100, len(data) - 1536, 97):
        reader = TarReader([data[:at]], "layer")
        try:
            read = sum(len(piece) for _ in reader for piece in reader.data())
        except Corrupt:
            continue
        assert read == 1501 or at % 512 == 0  # all of it, or cut between two entries


@pytest.mark.parametrize("records", [
    {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(8 << 60)},
    {"GNU.sparse.size": str(8 << 60), "GNU.sparse.map": "", "GNU.sparse.numblocks": "0"},
    {"GNU.sparse.size": str((256 << 30) + 1), "GNU.sparse.map": "0,1"},
])  # fmt: skip
def test_b06_a_sparse_file_of_8_eib_is_refused(place: Place, records: dict[str, str]) -> None:
    """No more may come of an archive than of a full one, whatever is zeros in it."""
    data = {"0,1": b"x", "": b""}.get(records.get("GNU.sparse.map", "-"), b"0\n".ljust(512, b"\0"))
    with pytest.raises(Corrupt, match=r"entries of \d+ bytes; refused"):
        place.unpack(("s", {"data": data, "mode": 0o644, "pax_headers": records}))
    assert not (place.root / "s").exists()


def test_b06_many_sparse_files_are_one_bomb(place: Place) -> None:
    records = {"GNU.sparse.size": str(100 << 30), "GNU.sparse.map": "0,1"}
    many = [(f"s{number}", {"data": b"x", "mode": 0o644, "pax_headers": records})
            for number in range(3)]  # fmt: skip
    with pytest.raises(Corrupt, match="entries of"):
        place.unpack(*many)


@pytest.mark.parametrize(("text", "said"), [
    ("0,1,0,1", "overlaps"), ("5,1,2,1", "overlaps"), ("90,20", "beyond"), ("0,1,2", "middle"),
    ("0,9", "speaks of"), ("-1,2", "not a number"), ("0x1,2", "not a number"), ("9" * 30, "not a"),
])  # fmt: skip
def test_b06_a_sparse_map_that_cannot_be_is_refused(place: Place, text: str, said: str) -> None:
    records = {"GNU.sparse.size": "100", "GNU.sparse.map": text}
    with pytest.raises(Corrupt, match=said):
        place.unpack(("s", {"data": b"xy", "mode": 0o644, "pax_headers": records}))


def test_b06_a_sparse_map_without_end_is_refused(place: Place) -> None:
    records = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}
    for data in (b"9999999999\n" + b"0\n" * 1000, b"1" * 600, b"1\n0\n"):
        with pytest.raises(Corrupt, match="no end"):
            place.unpack(("s", {"data": data, "mode": 0o644, "pax_headers": records}))


def test_directories_keep_their_times_and_files_replace(place: Place) -> None:
    place.unpack(folder("d", mtime=5), file("d/a", mtime=6), folder("r"), file("r/x"), file("r"),
                 file("back"), folder("back"), file("back/y"))  # fmt: skip
    assert (place.root / "d").stat().st_mtime == 5
    assert (place.root / "r").is_file()
    assert (place.root / "back/y").is_file()


def test_implied_directories_are_told(place: Place) -> None:
    found = place.unpack(folder("known"), file("known/x"), file("a/b/c"))
    assert found.implied == ((), (b"a",), (b"a", b"b"))
