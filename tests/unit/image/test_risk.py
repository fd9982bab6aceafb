"""Secrets by their issuers' forms, file capabilities by the kernel's, whiteouts by OCI's."""

from __future__ import annotations

import sqlite3
import struct

import pytest

from dockyard.base.errors import Corrupt
from dockyard.node.image.risk import marks
from dockyard.node.image.risk.databases import rpm, table
from dockyard.node.image.risk.filecaps import names_of
from dockyard.node.image.risk.look import _uid
from dockyard.node.image.risk.marks import Mark, Marks
from dockyard.node.image.risk.secrets import looked_like, telling_name

BODY = b"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"-----BEGIN RSA PRIVATE KEY-----\n" + BODY, "private key"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\r\n" + BODY, "private key"),
        (b"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n\n" + BODY,
         "private key"),
        (b'"-----BEGIN PRIVATE KEY-----\\n' + BODY, "private key"),
        (b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n" + BODY, "private key"),
        (b"id=AKIA" + b"A1" * 8, "AWS access key"),
        (b"t=ghp_" + b"a1B" * 12 + b"\n", "GitHub token"),
        (b"t=glpat-" + b"a1B2_" * 4, "GitLab token"),
        (b"t=AIza" + b"a1B-_" * 7, "Google API key"),
        (b"//r/:_authToken=npm_" + b"a1B" * 12, "npm token"),
        (b"sk_live_" + b"a1" * 12, "Stripe key"),
    ],
)  # fmt: skip
def test_a_secret_is_known_by_its_form_also_across_pieces(text: bytes, kind: str) -> None:
    padded = b"x" * 5000 + b" " + text + b"\n"
    assert looked_like(b"file", [padded]) == [kind]
    for cut in range(5001, len(padded), 7):
        assert looked_like(b"file", [padded[:cut], padded[cut:]]) == [kind]


@pytest.mark.parametrize(
    "text",
    [
        b"-----BEGIN PRIVATE KEY-----\0-----END PRIVATE KEY-----",
        b"-----BEGIN PUBLIC KEY-----\n" + BODY,
        b"-----BEGIN CERTIFICATE-----\n" + BODY,
        b"xAKIA" + b"A1" * 8,
        b"AKIA" + b"A1" * 9,
        b"ghp_short",
        b"PRIVATE KEY",
    ],
)
def test_what_only_knows_the_words_is_no_secret(text: bytes) -> None:
    assert looked_like(b"file", [text]) == []


def test_some_files_are_known_by_name() -> None:
    auth = b'{"auths": {"h": {"auth": "dXNlcjpwYXNzd29yZA=="}}}'
    assert looked_like(b"home/u/.docker/config.json", [auth]) == ["registry credentials"]
    assert looked_like(b"home/u/config.json", [auth]) == []
    assert looked_like(b"u/.netrc", [b"machine h login u password p"]) == ["netrc password"]
    assert telling_name("DB_PASSWORD") and telling_name("apiKey")
    assert not telling_name("PASSWORD_FILE") and not telling_name("PATH")


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (struct.pack("<III", 0x01000001, 1 << 13, 0), ["CAP_NET_RAW"]),
        (struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 1 << 7, 0),
         ["CAP_NET_BIND_SERVICE", "CAP_BPF"]),
        (struct.pack("<IIIIII", 0x03000000, 0, 1 << 0, 0, 0, 1000), ["CAP_CHOWN"]),
        (struct.pack("<III", 0x09000001, 1, 0), []),
        (b"", []),
        (b"\1\0\0\2\1", []),
    ],
)  # fmt: skip
def test_file_capabilities_as_the_kernel_keeps_them(value: bytes, names: list[str]) -> None:
    """linux/capability.h: CAP_BPF is 39, the seventh bit of the second word."""
    assert names_of(value) == names


def test_whiteouts_take_what_is_below_their_layer_only() -> None:
    marks = Marks("image")
    for layer, path in enumerate([(b"a", b"x"), (b"a", b"y"), (b"b",)]):
        marks.put(path, Mark(layer))
    marks.whiteout((b"a",), 1, itself=False)
    assert [path for path, _ in marks.all()] == [(b"a", b"y"), (b"b",)]
    marks.whiteout((b"b",), 2, itself=True)
    assert marks.get((b"b",)) is not None
    marks.whiteout((b"b",), 3, itself=True)
    assert marks.get((b"b",)) is None
    marks.replace((b"a",), directory=False)
    assert list(marks.all()) == []


def rpmdb(*statements: str) -> bytes:
    connection = sqlite3.connect(":memory:")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    return bytes(connection.serialize())


@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE VIEW Packages AS SELECT zeroblob(1000000000) AS blob",),
        ("CREATE VIEW Packages AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
         "SELECT x'0000000000000000' AS blob FROM n",),
        ("CREATE TABLE Packages (blob)", "INSERT INTO Packages VALUES (zeroblob(7))"),
    ],
)  # fmt: skip
def test_b06_an_rpm_database_makes_nothing_up(statements: tuple[str, ...]) -> None:
    with pytest.raises(Corrupt):
        list(rpm.packages(rpmdb(*statements), "rpmdb"))


def test_b06_an_rpm_header_s_texts_are_read_once() -> None:
    """Four thousand tags that all name the same megabyte."""
    tags = b"".join(struct.pack(">IIiI", 5000 + each, 6, 0, 1) for each in range(4095))
    header = struct.pack(">II", 4096, 1 << 20) + struct.pack(">IIiI", 1000, 6, 0, 1) + tags
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE Packages (blob)")
    connection.execute("INSERT INTO Packages VALUES (?)", (header + b"a" * (1 << 20),))
    connection.commit()
    (package,) = rpm.packages(bytes(connection.serialize()), "rpmdb")
    assert package.name == "a" * 4096


def test_b06_a_database_of_too_many_packages_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MOST", 3)
    notes: list[str] = []
    data = b"".join(b"Package: p%d\n\n" % number for number in range(9))
    found = table.packages({(b"var", b"lib", b"dpkg", b"status"): data}, notes)
    assert [package.name for package in found] == ["p0", "p1", "p2"]
    assert notes == ["/var/lib/dpkg/status: more than 3 packages: the rest is left out"]


def test_b06_marks_have_as_many_folders_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "_MOST_NODES", 10)
    found = Marks("image")
    with pytest.raises(Corrupt, match="10 folders"):
        found.put(tuple(b"%d" % number for number in range(11)), Mark(0))


@pytest.mark.parametrize("user", ["9" * 5000, "4294967296", "a"])
def test_a11_a_user_s_number_that_is_none(user: str) -> None:
    assert _uid(user, b"a:x:" + b"9" * 5000 + b":0::/:/bin/sh\n") is None


def test_a_user_s_number_is_the_file_s() -> None:
    assert _uid("b:staff", b"a:x:1:0::/:\nb:x:77:0::/:\n") == 77
    assert _uid("12", b"") == 12
