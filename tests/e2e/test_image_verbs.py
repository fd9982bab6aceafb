"""The verbs of images, on archives that the test has written: columns and words are docker's."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import registry_server, rootfs
from helpers.machine import Machine, archive, skopeo
from helpers.tars import file, folder, symlink, tar

pytestmark = pytest.mark.root

BASE = tar(folder("etc"), file("etc/motd", b"one\n", mtime=9), file("gone"), symlink("s", "a"))
TOP = tar(file("etc/motd", b"two\n", mtime=9), file(".wh.gone"), file("new/deep"))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    found = Machine(tmp_path / "one")
    found.run("image", "load", "-qi", str(archive(tmp_path / "a.tar", BASE, TOP)))
    found.run("tag", "plain:1", "app:2")
    found.run("image", "load", "-qi", str(archive(tmp_path / "b.tar", BASE)))
    yield found
    if left := found.run("ps", "-aq").split():
        found.run("rm", "-f", *left)


def blobs(machine: Machine) -> list[Path]:
    return [path for path in (machine.root / "images/blobs/sha256").iterdir() if path.is_file()]


def test_g06_a_flipped_bit_is_found_and_a_pull_repairs_it(machine: Machine, tmp_path: Path) -> None:
    """In each blob, one after the other: document, configuration, layer."""
    with registry_server.serve(tmp_path / "registry") as registry:
        name = f"{registry.address}/app:1"
        machine.run("tag", "app:2", name)
        machine.run("push", "-q", name)
        other = Machine(tmp_path / "two")
        other.run("pull", "-q", name)
        assert other.run("image", "verify").strip() == f"{name}: ok"
        assert len(blobs(other)) == 4
        for blob in blobs(other):
            whole = blob.read_bytes()
            blob.chmod(0o600)
            blob.write_bytes(whole[:-3] + bytes([whole[-3] ^ 4]) + whole[-2:])
            found = other.try_run("image", "verify", "--repair")
            assert found.returncode == 1
            assert "damaged" in found.stdout or "received are" in found.stdout, found.stdout
            other.run("pull", "-q", name)
            assert blob.read_bytes() == whole
            assert other.run("image", "verify").strip() == f"{name}: ok"


@pytest.mark.parametrize("harm", ["bytes", "mode", "extra", "missing", "link"])
def test_g06_a_changed_unpacked_layer_is_found_and_made_again(machine: Machine, harm: str) -> None:
    roots = (machine.root / "images/layers").glob("*/fs")
    (place,) = (root for root in roots if (root / "s").is_symlink())
    motd = place / "etc/motd"
    if harm == "bytes":
        times = motd.stat()
        motd.write_bytes(b"One\n")
        os.utime(motd, ns=(times.st_atime_ns, times.st_mtime_ns))
    elif harm == "mode":
        motd.chmod(0o4755)
    elif harm == "extra":
        (place / "etc/extra").write_text("x")
    elif harm == "missing":
        (place / "gone").unlink()
    else:
        (place / "s").unlink()
        (place / "s").symlink_to("b")
    found = machine.try_run("image", "verify", "app:2")
    assert found.returncode == 1
    assert re.fullmatch(r"app:2: layer sha256:[0-9a-f]{64}: /.*\n", found.stdout)
    assert machine.try_run("image", "verify", "--repair", "app:2").returncode == 1
    assert not place.exists()
    seen = machine.run("image", "diff", "plain:1", "app:2")
    assert "C /etc/motd" in seen
    again = machine.try_run("image", "verify", "-q")
    assert (again.returncode, again.stdout) == (0, "")


def test_g06_what_a_container_uses_is_told_and_stays(machine: Machine, tmp_path: Path) -> None:
    tree = rootfs.make(tmp_path / "tree")
    base = subprocess.run(["tar", "-C", tree, "-c", "."], capture_output=True, check=True).stdout
    machine.run("load", "-qi", str(archive(tmp_path / "c.tar", base)))
    container = machine.run("create", "--network", "none", "plain:1", "sh").strip()
    (place,) = (path.parent.parent for path in (machine.root / "images/layers").glob("*/fs/bin/sh"))
    (place / "intruder").write_text("x")
    found = machine.try_run("image", "verify", "--repair", "plain:1")
    assert found.returncode == 1
    assert f"/intruder: is not of the image; container {container[:12]} uses it" in found.stdout
    assert place.is_dir()


def test_diff_history_and_tree(machine: Machine) -> None:
    assert machine.run("image", "diff", "plain:1", "app:2").splitlines() == [
        "C /etc", "C /etc/motd", "D /gone", "A /new", "A /new/deep",
    ]  # fmt: skip
    shown = machine.run("image", "tree", "plain:1")
    assert "also in app:2" in shown
    [told] = json.loads(machine.run("image", "tree", "--output", "json", "plain:1"))
    assert (told["Name"], told["Layers"][0]["AlsoIn"]) == ("plain:1", ["app:2"])
    assert json.loads(machine.run("image", "diff", "--output", "json", "plain:1", "app:2"))[2] == {
        "Kind": "D", "Path": "/gone",
    }  # fmt: skip
    heads = machine.run("history", "app:2").splitlines()[0].split("   ")
    assert [head.strip() for head in heads if head.strip()] == [
        "IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT",
    ]  # fmt: skip


def test_df_counts_shared_layers_once(machine: Machine) -> None:
    rows = {row["Type"]: row for row in json.loads(machine.run("system", "df", "--output", "json"))}
    assert list(rows) == ["Images", "Containers", "Local Volumes", "Build Cache"]
    assert rows["Images"]["TotalCount"] == "2"
    files = len("one\n") + len("x") + len("a") + len("two\n") + len("x") + len("x")
    assert rows["Images"]["Size"] == f"{files}B"
    assert rows["Images"]["Reclaimable"] == f"{files}B (100%)"
    assert "UNIQUE SIZE" in machine.run("system", "df", "-v")


def test_prune_asks_and_says_what_it_freed(machine: Machine) -> None:
    told = machine.run("image", "prune", "-a")
    assert "This will remove all images without at least one container" in told
    assert len(machine.run("images", "-q").split()) == 2
    told = machine.run("image", "prune", "-af")
    assert told.startswith("Deleted Images:\nuntagged: ")
    assert re.search(r"\n\nTotal reclaimed space: [0-9.]+[kM]?B\n$", told)
    assert machine.run("images", "-q") == ""
    assert not blobs(machine)


def test_load_reads_standard_input_and_save_writes_what_skopeo_reads(
    machine: Machine, tmp_path: Path
) -> None:
    out = tmp_path / "out.tar"
    machine.run("save", "-o", str(out), "app:2")
    other = Machine(tmp_path / "two")
    done = subprocess.run(
        [other.program, "load"], env=other.env, input=out.read_bytes(), capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b"Loaded image: app:2\n")
    assert other.run("images", "-q") == machine.run("images", "-q", "app:2")
    for form in ("docker-archive", "oci-archive"):
        where = f"{form}:{out}" + (":app:2" if form == "docker-archive" else "")
        told = json.loads(skopeo("inspect", "--config", where))
        assert len(told["rootfs"]["diff_ids"]) == 2


def test_layouts_of_skopeo_are_loaded(machine: Machine, tmp_path: Path) -> None:
    out, layout = tmp_path / "out.tar", tmp_path / "layout"
    machine.run("save", "-o", str(out), "app:2")
    skopeo("copy", "-q", f"oci-archive:{out}", f"oci:{layout}:docker.io/team/app:9")
    other = Machine(tmp_path / "two")
    assert other.run("load", "-i", str(layout)).endswith("Loaded image: team/app:9\n")
    assert other.run("images", "-q") == machine.run("images", "-q", "app:2")
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    blob = layout / "blobs/sha256" / entry["digest"].removeprefix("sha256:")
    blob.unlink()
    blob.symlink_to("/etc/hostname")
    third = Machine(tmp_path / "three")
    refused = third.try_run("load", "-i", str(layout))
    assert refused.returncode == 1
    assert "No such file" in refused.stderr
    assert third.run("images", "-q") == ""
