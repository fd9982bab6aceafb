"""Our command line, Debian's docker-registry, skopeo and podman: the same image everywhere."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import registry_server
from helpers.machine import Machine, skopeo
from helpers.registry_server import Registry
from helpers.tars import file, folder, hardlink, symlink, tar

pytestmark = pytest.mark.root


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with registry_server.serve(tmp_path / "registry") as found:
        yield found


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "one")


@pytest.fixture
def other(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "two")


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    path = tmp_path / "rootfs.tar"
    path.write_bytes(
        tar(
            folder("etc", mtime=1),
            file("etc/motd", b"hello\n", mtime=2, uid=7, mode=0o4755),
            symlink("link", "etc/motd"),
            hardlink("hard", "etc/motd"),
            file("big", bytes(3_400_000)),
        )
    )
    return path


def test_push_pull_and_the_field_reads_it(
    registry: Registry, machine: Machine, other: Machine, rootfs: Path, tmp_path: Path
) -> None:
    name = f"{registry.address}/team/app:1"
    identifier = machine.run("image", "import", str(rootfs), name).strip()
    pushed = machine.run("push", name)
    assert "The push refers to repository" in pushed
    again = machine.run("push", name)
    assert "Layer already exists" in again

    told = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}"))
    assert f"digest: {told['Digest']}" in pushed
    skopeo("copy", "--src-tls-verify=false", f"docker://{name}", f"dir:{tmp_path / 'copy'}")

    pulled = other.run("pull", name)
    assert "Status: Downloaded newer image" in pulled
    assert "Status: Image is up to date" in other.run("pull", name)
    other.run("tag", name, "kept:1")
    other.run("rmi", name)
    assert "Status: Downloaded newer image" in other.run("pull", name)  # the name is new, as docker
    other.run("rmi", "kept:1")
    (listed,) = json.loads(other.run("images", "--output", "json"))
    assert listed["Id"] == identifier
    assert listed["RepoTags"] == [name]
    assert listed["RepoDigests"] == [f"{registry.address}/team/app@{told['Digest']}"]
    other.run("pull", "-q", f"{registry.address}/team/app@{told['Digest']}")
    assert other.run("images", "-q", name).strip() == identifier.removeprefix("sha256:")[:12]


def test_podman_pulls_what_we_push(
    registry: Registry, machine: Machine, rootfs: Path, tmp_path: Path
) -> None:
    name = f"{registry.address}/app:1"
    identifier = machine.run("image", "import", str(rootfs), name).strip()
    machine.run("push", name)
    with tempfile.TemporaryDirectory() as short:  # podman's runroot has at most 50 characters
        podman = ["podman", "--root", str(tmp_path / "p"), "--runroot", short,
                  "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]  # fmt: skip
        pulled = subprocess.run(
            [*podman, "pull", "-q", "--tls-verify=false", name],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert pulled.returncode == 0, pulled.stderr
    assert pulled.stdout.strip() == identifier.removeprefix("sha256:")


def test_we_pull_what_skopeo_pushes(
    registry: Registry, machine: Machine, other: Machine, rootfs: Path, tmp_path: Path
) -> None:
    """Docker's schema 2, zstd layers and an image by archive."""
    machine.run("image", "import", str(rootfs), "app:1")
    archive = tmp_path / "app.tar"
    machine.run("image", "save", "-o", str(archive), "app:1")
    for form, options in (("v2s2", ()), ("oci", ("--dest-compress-format", "zstd"))):
        name = f"{registry.address}/{form}:1"
        skopeo("copy", "--dest-tls-verify=false", "-f", form, *options,
               f"docker-archive:{archive}", f"docker://{name}")  # fmt: skip
        other.run("pull", "-q", name)
    shown = json.loads(other.run("image", "inspect", f"{registry.address}/v2s2:1"))[0]
    zstd = json.loads(other.run("image", "inspect", f"{registry.address}/oci:1"))[0]
    original = json.loads(machine.run("image", "inspect", "app:1"))[0]
    assert shown["RootFS"] == zstd["RootFS"] == original["RootFS"]


def test_b07_a_blob_changed_at_the_registry_is_refused(
    registry: Registry, machine: Machine, other: Machine, rootfs: Path
) -> None:
    name = f"{registry.address}/app:1"
    machine.run("image", "import", str(rootfs), name)
    machine.run("push", name)
    raw = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}"))
    blob = registry.blob_path(raw["layers"][0]["digest"])
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    done = other.try_run("pull", name)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert json.loads(other.run("images", "--output", "json")) == []
    layers = other.root / "images" / "layers"
    assert not layers.exists() or not list(layers.iterdir())


def test_missing_names_are_told_with_the_registrys_answer(
    registry: Registry, machine: Machine, rootfs: Path
) -> None:
    done = machine.try_run("pull", f"{registry.address}/nothing:1")
    assert done.returncode == 1
    assert f"image: {registry.address}/nothing:1: the registry has no such tag: " in done.stderr
    machine.run("image", "import", str(rootfs), f"{registry.address}/app:1")
    machine.run("push", "-q", f"{registry.address}/app:1")
    done = machine.try_run("pull", f"{registry.address}/app:2")
    assert "MANIFEST_UNKNOWN" in done.stderr


def test_archives_go_to_the_field_and_back(
    machine: Machine, other: Machine, rootfs: Path, tmp_path: Path
) -> None:
    identifier = machine.run("image", "import", str(rootfs), "team/app:1").strip()
    saved = tmp_path / "saved.tar"
    machine.run("image", "save", "-o", str(saved), "team/app:1")
    copies = {
        "docker": f"docker-archive:{tmp_path / 'd.tar'}:team/docker:1",
        "oci": f"oci-archive:{tmp_path / 'o.tar'}:team/oci:1",
    }
    for target in copies.values():
        skopeo("copy", f"docker-archive:{saved}:team/app:1", target)
    for path in (saved, tmp_path / "d.tar", tmp_path / "o.tar"):
        assert "Loaded image: team/" in other.run("image", "load", "-i", str(path))
    listed = json.loads(other.run("images", "--output", "json"))
    assert {image["Id"] for image in listed} == {identifier}
    assert {name for image in listed for name in image["RepoTags"]} == {
        "team/app:1", "team/docker:1", "team/oci:1",
    }  # fmt: skip


def test_images_and_rmi_speak_as_docker_does(machine: Machine, rootfs: Path) -> None:
    identifier = machine.run("image", "import", str(rootfs), "app:1").strip()
    machine.run("image", "tag", "app:1", "other/name:2")
    lines = machine.run("images").splitlines()
    assert lines[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["app", "1", identifier[7:19]], ["other/name", "2", identifier[7:19]],
    ]  # fmt: skip
    assert lines[1].endswith("   3.4MB")
    refused = machine.try_run("rmi", identifier[7:19])
    assert refused.returncode == 1
    assert "has 2 names" in refused.stderr
    assert machine.run("rmi", "app:1") == "Untagged: app:1\n"
    removed = machine.run("rmi", "other/name:2").splitlines()
    assert removed[:2] == ["Untagged: other/name:2", f"Deleted: {identifier}"]
    assert machine.try_run("rmi", "app:1").returncode == 1
    assert not list((machine.root / "images" / "layers").iterdir())
    assert not list((machine.root / "images" / "blobs" / "sha256").iterdir())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("pull", "UPPER"), "lower-case"),
        (("image", "load", "-i", "/nonexistent.tar"), "No such file"),
        (("image", "import", "/nonexistent.tar", "x"), "No such file"),
        (("rmi", "nothing"), "no such image here"),
        (("push", "nothing"), "no such image here"),
        (("image", "inspect", "sha256:" + "0" * 64), "no such image here"),
    ],
)
def test_mistakes_are_told_in_a_line(machine: Machine, words: tuple[str, ...], told: str) -> None:
    done = machine.try_run(*words)
    assert done.returncode == 1
    assert done.stderr.startswith("dockyard: ")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
