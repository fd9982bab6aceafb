"""Indexes that are kept whole, artifacts and referrers: what OCI's image and distribution
specifications 1.1 say of them, between archives, this store, and registries that others read."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from helpers import own_registry, registry_server
from helpers.layouts import HERE, OTHER, Layout
from helpers.machine import Machine, skopeo
from helpers.tars import file, tar

pytestmark = pytest.mark.root

SBOM = "application/vnd.example.sbom"


class World(NamedTuple):
    """One index of two platforms with an artifact about it and one about an image of it."""

    layout: Layout
    index: str
    here: str
    other: str
    about: str
    inner: str
    alone: str


@pytest.fixture(scope="module")
def world() -> World:
    layout = Layout()
    here = layout.image(HERE, tar(file("who", HERE.encode())), Labels={"a": "b"})
    other = layout.image(OTHER, tar(file("who", OTHER.encode())))
    index = layout.index(here, other, annotations={"of": "both"})
    about = layout.artifact(SBOM, b"what is in it", index)
    inner = layout.artifact("application/vnd.example.signature", b"signed", here)
    alone = layout.artifact("application/vnd.example.config", b"a config", None)
    layout.name(index, "localhost/app:1")
    layout.name(about)
    layout.name(inner)
    layout.name(alone, "localhost/note:1")
    found = (index, here, other, about, inner, alone)
    return World(layout, *(each["digest"] for each in found))


@pytest.fixture
def machine(tmp_path: Path, world: World) -> Iterator[Machine]:
    found = Machine(tmp_path / "one")
    found.run("image", "load", "-i", str(world.layout.write(tmp_path / "world.tar")))
    yield found
    if left := found.run("ps", "-aq").split():
        found.run("rm", "-f", *left)


@pytest.fixture
def published(machine: Machine, tmp_path: Path) -> Iterator[str]:
    """What the machine's image is called in a registry that has it."""
    with own_registry.serve(tmp_path / "registry") as server:
        name = f"{server.address}/app:1"
        machine.run("tag", "localhost/app:1", name)
        machine.run("push", "-q", name)
        yield name


def held(machine: Machine) -> set[str]:
    folder = machine.root / "images/blobs/sha256"
    return {path.name for path in folder.iterdir()}


def of_tar(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {each.name: archive.extractfile(each).read() for each in archive if each.isfile()}  # type: ignore[union-attr]


def test_all_of_an_archive_is_kept(machine: Machine, world: World) -> None:
    """And of what lies under an index the image for this machine alone is unpacked."""
    assert held(machine) == set(world.layout.blobs)
    assert len(list((machine.root / "images/layers").iterdir())) == 1
    assert machine.run("image", "verify", "-q") == ""
    table = machine.run("images").splitlines()
    assert [line.split()[:2] for line in table[1:]] == [["localhost/app", "1"],
                                                        ["localhost/note", "1"]]  # fmt: skip
    assert machine.run("images", "localhost/note", "-q").strip() == world.alone[7:19]


def test_a_saved_archive_has_the_index_and_what_is_about_it(
    machine: Machine, world: World, tmp_path: Path
) -> None:
    machine.run("save", "-o", str(tmp_path / "saved.tar"), "localhost/app:1", "localhost/note:1")
    files = of_tar(tmp_path / "saved.tar")
    blobs = {name.rpartition("/")[2]: data for name, data in files.items() if "blobs/" in name}
    assert blobs == world.layout.blobs
    entries = json.loads(files["index.json"])["manifests"]
    digests = {entry["digest"]: entry for entry in entries}
    assert set(digests) == {world.index, world.about, world.inner, world.alone}
    assert digests[world.about]["artifactType"] == SBOM
    second = Machine(tmp_path / "two")
    second.run("image", "load", "-i", str(tmp_path / "saved.tar"))
    assert held(second) == held(machine)
    assert second.run("image", "inspect", "localhost/app:1") == machine.run(
        "image", "inspect", "localhost/app:1"
    )


def test_inspect_tells_platforms_types_and_annotations(machine: Machine, world: World) -> None:
    [found] = json.loads(machine.run("image", "inspect", "localhost/app:1"))
    assert found["Descriptor"]["digest"] == world.index
    assert found["Descriptor"]["annotations"] == {"of": "both"}
    shown = {each["Descriptor"]["platform"]["architecture"]: each["Available"]
             for each in found["Manifests"]}  # fmt: skip
    assert shown == {HERE: True, OTHER: True}
    assert [each["artifactType"] for each in found["Referrers"]] == [SBOM]
    [note] = json.loads(machine.run("inspect", "localhost/note:1"))
    assert note["Id"] == world.alone
    assert note["ArtifactType"] == "application/vnd.example.config"
    assert note["Descriptor"]["annotations"] == {"made": "by hand"}
    [about] = json.loads(machine.run("image", "inspect", world.about))
    assert about["Subject"]["digest"] == world.index


def test_the_tree_shows_platforms_and_referrers(machine: Machine) -> None:
    shown = machine.run("image", "tree")
    for text in (f"linux/{HERE}", f"linux/{OTHER}", SBOM, "vnd.example.signature", "note.txt"):
        assert text in shown, text


def test_an_artifact_is_not_run(machine: Machine) -> None:
    done = machine.try_run("run", "--rm", "--network", "none", "localhost/note:1", "true")
    assert done.returncode == 125
    assert "is an artifact (application/vnd.example.config), no image: it cannot run" in done.stderr


def test_an_index_without_this_machine_s_image_is_kept_and_not_run(
    tmp_path: Path, machine: Machine
) -> None:
    layout = Layout()
    index = layout.index(layout.image(OTHER, tar(file("x"))))
    layout.name(index, "localhost/foreign:1")
    machine.run("image", "load", "-i", str(layout.write(tmp_path / "foreign.tar")))
    done = machine.try_run("run", "--rm", "localhost/foreign:1", "true")
    assert done.returncode == 125
    assert f"has no image for linux/{HERE}: it has linux/{OTHER}" in done.stderr
    machine.run("tag", "localhost/foreign:1", "localhost/again:1")
    assert machine.run("image", "rm", "localhost/foreign:1").strip() == (
        "Untagged: localhost/foreign:1"
    )
    [again] = json.loads(machine.run("image", "inspect", "localhost/again:1"))
    assert again["Id"] == index["digest"]


def test_a_name_more_means_the_whole_index(machine: Machine, world: World, tmp_path: Path) -> None:
    machine.run("tag", "localhost/app:1", "localhost/copy:1")
    machine.run("image", "rm", "localhost/app:1")
    assert held(machine) == set(world.layout.blobs)
    [found] = json.loads(machine.run("image", "inspect", "localhost/copy:1"))
    assert found["Descriptor"]["digest"] == world.index
    machine.run("tag", "localhost/note:1", "localhost/copy:1")
    [found] = json.loads(machine.run("image", "inspect", "localhost/copy:1"))
    assert found["Id"] == world.alone
    machine.run("image", "prune", "-af")
    assert held(machine) == set()


def test_what_is_about_something_goes_with_it(machine: Machine, world: World) -> None:
    machine.run("image", "prune", "-f")
    assert held(machine) == set(world.layout.blobs)
    machine.run("image", "rm", "localhost/app:1")
    left = {digest.removeprefix("sha256:") for digest in (world.alone,)}
    assert left <= held(machine)
    for digest in (world.index, world.here, world.other, world.about, world.inner):
        assert digest.removeprefix("sha256:") not in held(machine), digest
    machine.run("image", "rm", "localhost/note:1")
    assert held(machine) == set()


def test_an_image_in_use_stays_when_its_index_goes(machine: Machine, world: World) -> None:
    machine.run("create", "--name", "user", "localhost/app:1", "true")
    machine.run("image", "rm", "-f", "localhost/app:1")
    assert world.here.removeprefix("sha256:") in held(machine)
    assert world.other.removeprefix("sha256:") not in held(machine)
    assert machine.run("image", "verify", "-q") == ""


def referring(server: own_registry.Server, name: str, digest: str) -> set[str]:
    reply = own_registry.ask(server.url, "GET", f"/v2/{name}/referrers/{digest}")
    return {each["digest"] for each in json.loads(reply.body)["manifests"]}


def test_all_of_it_goes_to_a_registry_and_comes_back(
    machine: Machine, world: World, tmp_path: Path
) -> None:
    with own_registry.serve(tmp_path / "registry") as server:
        name = f"{server.address}/team/app:1"
        machine.run("tag", "localhost/app:1", name)
        machine.run("push", "-q", name)
        raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}")
        assert f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}" == world.index
        assert referring(server, "team/app", world.index) == {world.about}
        assert referring(server, "team/app", world.here) == {world.inner}
        second = Machine(tmp_path / "two")
        second.run("pull", "-q", "--all-platforms", "--referrers", name)
        whole = set(world.layout.blobs) - _of(world, world.alone) | _of(world, world.about)
        assert held(second) == whole
        third = Machine(tmp_path / "three")
        third.run("pull", "-q", "--all-platforms", name)
        assert held(third) == whole - _of(world, world.about) - _of(world, world.inner)
        fourth = Machine(tmp_path / "four")
        fourth.run("pull", "-q", name)
        assert world.other.removeprefix("sha256:") not in held(fourth)
        note = f"{server.address}/team/note:1"
        machine.run("tag", "localhost/note:1", note)
        machine.run("push", "-q", note)
        fourth.run("pull", "-q", note)
        assert _of(world, world.alone) <= held(fourth)
        assert [each["artifactType"] for each in _descriptors(fourth, note)] == [
            "application/vnd.example.config"
        ]
        assert fourth.run("image", "verify", "-q") == ""


def _descriptors(machine: Machine, name: str) -> list[dict[str, str]]:
    return [each["Descriptor"] for each in json.loads(machine.run("image", "inspect", name))]


def _of(world: World, digest: str) -> set[str]:
    """An artifact's manifest and blobs."""
    value = json.loads(world.layout.blobs[digest.removeprefix("sha256:")])
    parts = [digest, value["config"]["digest"], *(each["digest"] for each in value["layers"])]
    return {part.removeprefix("sha256:") for part in parts}


def test_a_registry_without_the_call_gets_the_referrers_tag(
    machine: Machine, world: World, tmp_path: Path
) -> None:
    """Distribution-spec 1.1, "Referrers Tag Schema": Debian's docker-registry has no such call."""
    with registry_server.serve(tmp_path / "registry") as server:
        name = f"{server.address}/app:1"
        machine.run("tag", "localhost/app:1", name)
        machine.run("push", "-q", name)
        tag = f"{server.address}/app:{world.index.replace(':', '-')}"
        listed = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{tag}"))
        assert [(each["digest"], each["artifactType"]) for each in listed["manifests"]] == [
            (world.about, SBOM)
        ]
        second = Machine(tmp_path / "two")
        second.run("pull", "-q", "--all-platforms", "--referrers", name)
        assert world.about.removeprefix("sha256:") in held(second)


def test_what_is_about_it_is_copied_from_registry_to_registry(
    machine: Machine, world: World, tmp_path: Path
) -> None:
    """By the list, by the referrers tag where there is none, by cosign's tags; where asked."""
    with (
        own_registry.serve(tmp_path / "first") as first,
        registry_server.serve(tmp_path / "without") as without,
        own_registry.serve(tmp_path / "last") as last,
    ):
        name = f"{first.address}/team/app:1"
        machine.run("tag", "localhost/app:1", name)
        machine.run("push", "-q", name)
        tag = f"{world.here.replace(':', '-')}.att"
        machine.run("tag", "localhost/note:1", f"{first.address}/team/app:{tag}")
        machine.run("push", "-q", f"{first.address}/team/app:{tag}")
        machine.run("image", "copy", "-q", name, f"{last.address}/plain:1")
        assert referring(last, "plain", world.index) == set()
        told = machine.run("image", "copy", "--referrers", name, f"{without.address}/app:1")
        assert f"{world.about[7:19]}: about {world.index[7:19]}: {SBOM}\n" in told
        machine.run("image", "copy", "-q", "--referrers", f"{without.address}/app:1",
                    f"{last.address}/app:1")  # fmt: skip
        assert referring(last, "app", world.index) == {world.about}
        assert referring(last, "app", world.here) == {world.inner}
        raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{last.address}/app:{tag}")
        assert f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}" == world.alone
        machine.run("image", "copy", "-q", "--referrers", "--platform", f"linux/{HERE}", name,
                    f"{last.address}/one:1")  # fmt: skip
        assert referring(last, "one", world.here) == {world.inner}


def test_another_platform_of_an_index_runs_where_it_is_asked_for(tmp_path: Path) -> None:
    """Both hold this machine's busybox: which of the two runs is what it says of itself."""
    layout = Layout()
    program = Path(shutil.which("busybox") or "").read_bytes()
    tree = tar(file("bin/sh", program, mode=0o755))
    command = ["/bin/sh", "-c", "echo it is $ARCH"]
    images = [layout.image(each, tree, Env=[f"ARCH={each}"], Cmd=command) for each in (HERE, OTHER)]
    layout.name(layout.index(*images), "localhost/app:1")
    machine = Machine(tmp_path / "one")
    machine.run("image", "load", "-q", "-i", str(layout.write(tmp_path / "app.tar")))
    run = ("run", "--rm", "--network", "none")
    assert machine.run(*run, "localhost/app:1") == f"it is {HERE}\n"
    other = ("--platform", f"linux/{OTHER}", "localhost/app:1")
    for _ in range(2):
        assert machine.run(*run, *other) == f"it is {OTHER}\n"
    machine.env["DOCKER_DEFAULT_PLATFORM"] = f"linux/{OTHER}"
    assert machine.run(*run, "localhost/app:1") == f"it is {OTHER}\n"
    del machine.env["DOCKER_DEFAULT_PLATFORM"]
    assert machine.run(*run, "localhost/app:1") == f"it is {HERE}\n"
    pinned = f"localhost/app@{images[1]['digest']}"
    assert machine.run(*run, pinned) == f"it is {OTHER}\n"
    machine.run("create", "--name", "kept", *other)
    assert machine.run("ps", "-a", "--format", "{{.Image}}") == f"{pinned}\n"
    machine.run("rm", "kept")
    refused = machine.try_run(*run, "--pull", "never", "--platform", "linux/s390x", "localhost/app")
    assert (refused.returncode, refused.stderr) == (
        125, "dockyard: image localhost/app: is not here for --platform linux/s390x\n",
    )  # fmt: skip


def test_a_program_of_another_machine_says_whose_it_is(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "one")
    (tmp_path / "root.tar").write_bytes(tar(file("sh", b"\x7fELF" + bytes(60), mode=0o755)))
    machine.run("import", "--platform", "linux/s390x", str(tmp_path / "root.tar"), "far:1")
    done = machine.try_run("run", "--rm", "--network", "none", "far:1", "/sh")
    assert done.returncode == 126
    warning, error = done.stderr.splitlines()
    assert warning.startswith("WARNING: The image's platform (linux/s390x) does not match this")
    assert error.endswith("exec format error")


def test_run_fetches_the_platform_that_is_asked_for(
    published: str, world: World, tmp_path: Path
) -> None:
    second = Machine(tmp_path / "two")
    second.run("pull", "-q", published)
    done = second.try_run("create", "--quiet", "--platform", f"linux/{OTHER}", published, "/who")
    assert (
        done.stderr
        == f"Unable to find image '{published}' for linux/{OTHER} locally\n{published}\n"
    )
    [found] = json.loads(second.run("inspect", done.stdout.strip()))
    [image] = json.loads(second.run("image", "inspect", found["Image"]))
    assert image["Architecture"] == OTHER
    second.run("rm", done.stdout.strip())
    done = second.try_run("run", "--platform", "linux/s390x", published)
    assert done.returncode == 125
    assert "it is for linux/" in done.stderr and "no image for linux/s390x" in done.stderr


def test_an_index_that_is_here_in_part_is_pushed_as_one_image(world: World, tmp_path: Path) -> None:
    """What docker's containerd store does with an archive of one platform."""
    layout = Layout()
    layout.blobs = {name: data for name, data in world.layout.blobs.items()
                    if name != world.other.removeprefix("sha256:")}  # fmt: skip
    layout.entries = world.layout.entries[:1]
    machine = Machine(tmp_path / "one")
    machine.run("image", "load", "-i", str(layout.write(tmp_path / "part.tar")))
    [found] = json.loads(machine.run("image", "inspect", "localhost/app:1"))
    assert [each["Available"] for each in found["Manifests"]] == [True, False]
    with own_registry.serve(tmp_path / "registry") as server:
        name = f"{server.address}/app:1"
        machine.run("tag", "localhost/app:1", name)
        said = machine.run("push", name)
        assert f"linux/{OTHER}: is not here: this machine's image is sent alone" in said
        raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}")
        assert f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}" == world.here


def test_g06_a_flipped_bit_of_another_platform_is_found_and_repaired(
    published: str, world: World, tmp_path: Path
) -> None:
    second = Machine(tmp_path / "two")
    second.run("pull", "-q", "--all-platforms", "--referrers", published)
    for digest in (world.other, world.index, world.about):
        blob = second.root / "images/blobs/sha256" / digest.removeprefix("sha256:")
        whole = blob.read_bytes()
        blob.chmod(0o600)
        blob.write_bytes(whole[:-2] + b"  ")
        found = second.try_run("image", "verify", "--repair")
        assert found.returncode == 1
        assert digest in found.stdout
        second.run("pull", "-q", "--all-platforms", "--referrers", published)
        assert blob.read_bytes() == whole
        assert second.run("image", "verify", "-q") == ""


def test_b09_an_index_in_an_index_and_referrers_in_a_circle(
    tmp_path: Path, machine: Machine
) -> None:
    before = held(machine)
    layout = Layout()
    inner = layout.index(layout.image(HERE, tar(file("x"))))
    layout.name(layout.index({**inner, "platform": {"os": "linux", "architecture": HERE}}), "x:1")
    done = machine.try_run("image", "load", "-i", str(layout.write(tmp_path / "nested.tar")))
    assert done.returncode == 1
    assert "an index in an index; refused" in done.stderr
    layout = Layout()
    first = layout.artifact(SBOM, b"1", {"mediaType": "a/b", "digest": f"sha256:{'0' * 64}",
                                         "size": 3})  # fmt: skip
    second = layout.artifact(SBOM, b"2", first)
    for each in (first, second):
        layout.name(each)
    machine.run("image", "load", "-i", str(layout.write(tmp_path / "circle.tar")))
    machine.run("image", "prune", "-f")  # nothing keeps what is about nothing that is here
    assert held(machine) == before


def test_b08_an_archive_that_is_cut_changes_nothing(
    machine: Machine, world: World, tmp_path: Path
) -> None:
    """A blob that is not what its name says, in each place of a whole index."""
    files = world.layout.files()
    for digest in (world.index, world.other, world.about):
        broken = dict(files)
        name = f"blobs/sha256/{digest.removeprefix('sha256:')}"
        broken[name] = broken[name][:-1] + b" "
        path = tmp_path / "broken.tar"
        with tarfile.open(path, "w") as archive:
            for each, data in broken.items():
                entry = tarfile.TarInfo(each)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        fresh = Machine(tmp_path / digest[7:15])
        done = fresh.try_run("image", "load", "-i", str(path))
        assert done.returncode == 1
        assert digest in done.stderr
        assert fresh.run("image", "verify", "-q") == ""
