"""`image inspect --risk` on images made here, and on Debian's own tree beside dpkg-query."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import sqlite3
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from helpers.tars import device, file, folder, hardlink, tar
from helpers.trust import Machine

pytestmark = pytest.mark.root
NET_RAW = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0).decode("latin-1")
"""``cap_net_raw=ep`` as the kernel stores it: capabilities(7), linux/capability.h."""
BASE64 = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgqhYf0lKQYJ8cmXJkPZKZ"
KEY = f"-----BEGIN PRIVATE KEY-----\n{BASE64}\n-----END PRIVATE KEY-----\n".encode()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "data")


def risk(machine: Machine, name: str) -> dict[str, Any]:
    [found] = json.loads(machine.run("image", "inspect", "--risk", "--output", "json", name))
    assert isinstance(found, dict)
    return found


def seen(report: dict[str, Any]) -> set[tuple[str, str, bool]]:
    return {(each["Kind"], each["Path"], each["Hidden"]) for each in report["Findings"]}


def test_what_a_tree_holds_is_told(machine: Machine) -> None:
    tree = tar(
        folder("usr"),
        file("usr/su", mode=0o4755, mtime=1),
        hardlink("usr/su-too", "usr/su"),
        file("usr/wall", mode=0o2755),
        file("usr/data", mode=0o2644),  # set-group-ID without execute is no program
        file("usr/ping", mode=0o755, xattrs={"security.capability": NET_RAW}),
        file("usr/open", mode=0o666),
        folder("tmp", mode=0o1777),
        folder("drop", mode=0o777),
        device("null", 1, 3),
        file("etc/passwd", b"app:x:1000:1000::/:/bin/sh\n"),
    )
    path = machine.root / "tree.tar"
    path.write_bytes(tree)
    machine.run("image", "import", path, "stranger:1")
    report = risk(machine, "stranger:1")
    assert seen(report) == {
        ("setuid", "/usr/su", False), ("setuid", "/usr/su-too", False),
        ("setgid", "/usr/wall", False), ("capability", "/usr/ping", False),
        ("world-writable", "/usr/open", False), ("world-writable", "/drop", False),
        ("device", "/null", False),
    }  # fmt: skip
    assert report["CapabilitiesWanted"] == ["CAP_NET_RAW"]
    assert report["RunsAsRoot"] is True
    text = machine.run("image", "inspect", "--risk", "stranger:1")
    assert re.search(r"^Runs as: +root: it sets no USER$", text, re.MULTILINE)
    assert re.search(r"^setuid +/usr/su +[0-9a-f]{12} +-rwsr-xr-x uid 0 gid 0$", text, re.MULTILINE)


def archive(folder_: Path, config: dict[str, Any], *layers: bytes) -> Path:
    """A docker-archive of these layers, lowest first, by Python's own tarfile."""
    diffs = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    document = {"architecture": "amd64", "os": "linux", "config": config,
                "rootfs": {"type": "layers", "diff_ids": diffs}}  # fmt: skip
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "RepoTags": ["stranger:1"], "Layers": names}]
    path = folder_ / "archive.tar"
    path.write_bytes(
        tar(
            file("config.json", json.dumps(document).encode()),
            file("manifest.json", json.dumps(manifest).encode()),
            *(file(name, layer) for name, layer in zip(names, layers, strict=True)),
        )
    )
    return path


def test_a_secret_that_a_layer_above_deletes_is_told_and_none_is_shown(machine: Machine) -> None:
    config = {
        "User": "app",
        "Env": ["DB_PASSWORD=hunter2hunter2", "PASSWORD_FILE=/run/x", "PLAIN=1"],
        "Labels": {"io.containers.capabilities": "net_admin,CAP_SYS_TIME"},
        "ExposedPorts": {"22/tcp": {}},
    }
    below = tar(
        file("etc/passwd", b"app:x:1000:1000::/:/bin/sh\n"), folder("home"), folder("opaque"),
        file("home/id", KEY), file("opaque/id", KEY), file("opt/kept", KEY),
        file("opt/replaced", KEY),
        file("opt/library", b"-----BEGIN PRIVATE KEY-----\0-----END PRIVATE KEY-----\0"),
        file("opt/cloud", b"x" * 3_000_000 + b" AKIA" + b"Q7" * 8 + b"\n"),
        file("su", mode=0o4755), file("tool", mode=0o4755),
        file("home/u/.docker/config.json", b'{"auths":{"h":{"auth":"dXNlcjpwYXNzd29yZA=="}}}'),
    )  # fmt: skip
    above = tar(
        file("home/.wh.id", b""), file("opaque/.wh..wh..opq", b""), file("opaque/new", KEY),
        file("opt/replaced", b"nothing"), file("tool", mode=0o755),
    )  # fmt: skip
    machine.run("image", "load", "-i", archive(machine.root, config, below, above))
    report = risk(machine, "stranger:1")
    assert seen(report) == {
        ("secret", "/home/id", True), ("secret", "/opaque/id", True),
        ("secret", "/opt/kept", False), ("secret", "/opaque/new", False),
        ("secret", "/opt/replaced", True), ("secret", "/opt/cloud", False),
        ("secret", "/home/u/.docker/config.json", False), ("secret", "env DB_PASSWORD", False),
        ("setuid", "/su", False),
    }  # fmt: skip
    assert report["Uid"] == 1000
    assert report["RunsAsRoot"] is False
    assert report["CapabilitiesWanted"] == ["CAP_NET_ADMIN", "CAP_SYS_TIME"]
    assert report["ExposedPorts"] == ["22/tcp"]
    for form in ("text", "json", "spdx"):
        shown = machine.run("image", "inspect", "--risk", "--output", form, "stranger:1")
        for secret in ("hunter2", BASE64, "Q7Q7", "dXNlcjpw"):
            assert secret not in shown


def test_packages_are_what_dpkg_query_says(machine: Machine) -> None:
    """This machine's own database, read by dpkg-query and by us."""
    status = Path("/var/lib/dpkg/status").read_bytes()
    machine.run("image", "load", "-i", archive(
        machine.root, {},
        tar(file("var/lib/dpkg/status", status),
            file("etc/os-release", b'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n')),
    ))  # fmt: skip
    said = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}|${Package}|${Version}|${Architecture}\n"],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    expected = {tuple(line.split("|")[1:]) for line in said if line[1] not in "cn"}
    report = risk(machine, "stranger:1")
    found = {(each["Name"], each["Version"], each["Architecture"]) for each in report["Packages"]}
    assert len(expected) > 50
    assert found == expected


def test_the_spdx_list_has_what_the_specification_requires(machine: Machine) -> None:
    """SPDX 2.3, clauses 6, 7 and 11: members, identifiers, and one DESCRIBES."""
    installed = (
        b"C:Q1\nP:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\no:musl\nm:A B <a@b.example>\n\n"
        b"P:libstdc++\nV:13.2.1_git20231014-r0\nA:x86_64\nL:GPL-2.0-or-later\n\n"
    )
    machine.run("image", "load", "-i", archive(
        machine.root, {},
        tar(file("lib/apk/db/installed", installed),
            file("etc/os-release", b"ID=alpine\nVERSION_ID=3.19.1\n")),
    ))  # fmt: skip
    document = json.loads(machine.run("image", "inspect", "--risk", "--output", "spdx",
                                      "stranger:1"))  # fmt: skip
    assert document["spdxVersion"] == "SPDX-2.3"
    assert document["dataLicense"] == "CC0-1.0"
    assert document["SPDXID"] == "SPDXRef-DOCUMENT"
    assert re.fullmatch(r"\w+://[^#\s]+", document["documentNamespace"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["creationInfo"]["created"])
    packages = {each["name"]: each for each in document["packages"]}
    assert set(packages) >= {"musl", "libstdc++"} and len(document["packages"]) == 3
    for each in document["packages"]:
        assert re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", each["SPDXID"])
        assert each["downloadLocation"] == "NOASSERTION" and each["filesAnalyzed"] is False
    assert packages["musl"]["supplier"] == "Organization: A B (a@b.example)"
    [reference] = packages["libstdc++"]["externalRefs"]
    assert reference["referenceLocator"] == (
        "pkg:apk/alpine/libstdc%2B%2B@13.2.1_git20231014-r0?arch=x86_64&distro=alpine-3.19.1"
    )
    related = [each["relationshipType"] for each in document["relationships"]]
    assert related == ["DESCRIBES", "CONTAINS", "CONTAINS"]


def rpm_header(**texts: str) -> bytes:
    """As "RPM Package format" describes a header without its magic: index entries, then data."""
    numbers = {"name": 1000, "version": 1001, "release": 1002, "license": 1014, "arch": 1022}
    index, store = b"", b""
    for key, text in texts.items():
        index += struct.pack(">IIiI", numbers[key], 6, len(store), 1)
        store += text.encode() + b"\0"
    index += struct.pack(">IIiI", 1003, 4, len(store) + -len(store) % 4, 1)
    store += bytes(-len(store) % 4) + struct.pack(">I", 2)
    return struct.pack(">II", len(texts) + 1, len(store)) + index + store


def test_rpms_of_an_sqlite_database(machine: Machine, tmp_path: Path) -> None:
    database = tmp_path / "rpmdb.sqlite"
    with contextlib.closing(sqlite3.connect(database)) as rows:
        rows.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB)")
        header = rpm_header(name="bash", version="5.2.26", release="3.fc40", arch="x86_64")
        rows.execute("INSERT INTO Packages (blob) VALUES (?)", (header,))
        rows.commit()
    machine.run("image", "load", "-i", archive(
        machine.root, {}, tar(file("usr/lib/sysimage/rpm/rpmdb.sqlite", database.read_bytes()))
    ))  # fmt: skip
    [package] = risk(machine, "stranger:1")["Packages"]
    assert package == {"Type": "rpm", "Name": "bash", "Version": "2:5.2.26-3.fc40",
                       "Architecture": "x86_64"}  # fmt: skip


def test_hostile_databases_are_notes(machine: Machine) -> None:
    """A stranger's database costs him the list, not us the machine."""
    with contextlib.closing(sqlite3.connect(":memory:")) as rows:
        rows.execute(
            "CREATE VIEW Packages AS WITH RECURSIVE n(i) AS"
            " (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT x'00' AS blob FROM n WHERE i < 0"
        )
        endless = rows.serialize()
    machine.run("image", "load", "-i", archive(
        machine.root, {},
        tar(file("var/lib/rpm/rpmdb.sqlite", endless),
            file("usr/lib/sysimage/rpm/rpmdb.sqlite", b"SQLite format 3\0" + b"\xff" * 5000),
            file("var/lib/rpm/Packages", b"\0" * 100),
            file("lib/apk/db/installed", b"\xff\xfe" * 3000),
            file("var/lib/dpkg/status", b"Package\n" * 3000)),
    ))  # fmt: skip
    report = risk(machine, "stranger:1")
    assert report["Packages"] == []
    assert len(report["Notes"]) == 3


def test_databases_take_no_more_memory_than_there_is_sense_in(machine: Machine) -> None:
    """Three of 100 MB, packed to nothing: the third is not read, and said to be so."""
    layers = [tar(file(f"var/lib/dpkg/status.d/{name}", bytes(100 << 20))) for name in "abc"]
    machine.run("image", "load", "-i", archive(machine.root, {}, *layers))
    assert risk(machine, "stranger:1")["Notes"] == [
        "/var/lib/dpkg/status.d/c: 104857600 bytes: too much to be read"
    ]
