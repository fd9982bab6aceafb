"""Lists of images, and images as files: docker's filters, podman's formats, what skopeo makes of
them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.layouts import HERE, Layout
from helpers.machine import Machine, skopeo
from helpers.tars import file, folder, hardlink, symlink, tar

pytestmark = pytest.mark.root

BASE = tar(folder("etc", mtime=4), file("etc/motd", b"one\n", mtime=9), file("gone"),
           symlink("s", "a"), hardlink("etc/linked", "etc/motd"),
           folder("old"), file("old/a"))  # fmt: skip
TOP = tar(file("etc/motd", b"two\n", mtime=9), file(".wh.gone"), file("new/deep", mode=0o4755),
          folder("old"), file("old/.wh..wh..opq"), file("old/b"))  # fmt: skip


def write(path: Path, name: str, created: str, *layers: bytes, **labels: str) -> Path:
    layout = Layout()
    blobs = [layout.put(layer, "application/vnd.oci.image.layer.v1.tar") for layer in layers]
    diffs = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    config = {"architecture": HERE, "os": "linux", "created": created,
              "config": {"Labels": labels, "Cmd": ["sh"]},
              "rootfs": {"type": "layers", "diff_ids": diffs}}  # fmt: skip
    described = layout.put(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json")
    layout.name(layout.document({"config": described, "layers": blobs}, "manifest"), name)
    return layout.write(path)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Three images, a day apart."""
    found = Machine(tmp_path / "one")
    for day, (name, labels) in enumerate((("team/base:1", {"tier": "low"}),
                                          ("team/app:1", {"tier": "top", "kind": "app"}),
                                          ("busybox:latest", {}))):  # fmt: skip
        layers = (BASE, TOP) if day else (BASE,)
        path = write(tmp_path / "a.tar", f"docker.io/{name}" if "/" in name else
                     f"docker.io/library/{name}", f"2026-01-0{day + 1}T12:00:00Z",
                     *layers, **labels)  # fmt: skip
        found.run("image", "load", "-qi", str(path))
    found.run("tag", "team/app:1", "team/app:2")
    return found


@pytest.mark.parametrize(("words", "shown"), [
    (["-f", "label=tier"], "team/app:1 team/app:2 team/base:1"),
    (["-f", "label=tier=top"], "team/app:1 team/app:2"),
    (["-f", "label=tier", "-f", "label=kind=app"], "team/app:1 team/app:2"),
    (["--filter", "before=team/app:1"], "team/base:1"),
    (["--filter", "since=team/base:1"], "busybox:latest team/app:1 team/app:2"),
    (["--filter", "since=team/base:1", "--filter", "before=busybox"], "team/app:1 team/app:2"),
    (["--filter", "until=2026-01-02T00:00:00Z"], "team/base:1"),
    (["--filter", "reference=team/*:1"], "team/app:1 team/base:1"),
    (["--filter", "reference=*"], "busybox:latest"),
    (["--filter", "reference=*/app"], "team/app:1 team/app:2"),
    (["--filter", "reference=busy*", "--filter", "reference=*/base"], "busybox:latest team/base:1"),
    (["--filter", "dangling=true"], ""),
    (["--filter", "dangling=false"], "busybox:latest team/app:1 team/app:2 team/base:1"),
    (["team/*"], "team/app:1 team/app:2 team/base:1"),
    (["team/app"], "team/app:1 team/app:2"),
])  # fmt: skip
def test_images_are_chosen_as_docker_does(machine: Machine, words: list[str], shown: str) -> None:
    """docker's reference, "docker image ls", Filtering."""
    form = ["--format", "{{.Repository}}:{{.Tag}}"]
    assert " ".join(sorted(machine.run("images", *form, *words).split())) == shown


@pytest.mark.parametrize(("word", "said"), [
    ("nothing=1", "invalid filter 'nothing'"), ("label", "bad format"),
    ("dangling=maybe", "invalid filter 'dangling=maybe'"), ("before=missing", "no such image"),
    ("until=yesterday", "invalid time"),
])  # fmt: skip
def test_a_filter_that_is_none(machine: Machine, word: str, said: str) -> None:
    done = machine.try_run("images", "--filter", word)
    assert done.returncode != 0
    assert said in done.stderr


def test_columns_are_dockers(machine: Machine) -> None:
    heads = machine.run("images", "--digests", "--no-trunc").splitlines()[0].split()
    assert heads == ["REPOSITORY", "TAG", "DIGEST", "IMAGE", "ID", "CREATED", "SIZE"]
    full = machine.run("images", "-q", "--no-trunc", "team/base").strip()
    assert full.startswith("sha256:")
    assert machine.run("images", "-q", "-a", "team/base").strip() == full[7:19]


def test_rows_have_dockers_fields(machine: Machine) -> None:
    """docker's reference, "docker image ls", Format: the placeholders; and the newest first."""
    rows = [json.loads(line) for line in machine.run("images", "--format", "json").splitlines()]
    assert [(row["Repository"], row["Tag"], row["CreatedAt"]) for row in rows] == [
        ("busybox", "latest", "2026-01-03 12:00:00 +0000 UTC"),
        ("team/app", "1", "2026-01-02 12:00:00 +0000 UTC"),
        ("team/app", "2", "2026-01-02 12:00:00 +0000 UTC"),
        ("team/base", "1", "2026-01-01 12:00:00 +0000 UTC"),
    ]
    assert set(rows[0]) == {"Containers", "CreatedAt", "CreatedSince", "Digest", "ID",
                            "Repository", "SharedSize", "Size", "Tag", "UniqueSize"}  # fmt: skip
    (told,) = json.loads(machine.run("image", "inspect", "busybox"))
    shown = machine.run("images", "--format", "{{.Repository}}@{{.Digest}}", "busybox")
    assert shown == f"busybox@{told['Digest']}\n"


def test_what_is_not_here_is_said_and_the_rest_is_shown(machine: Machine) -> None:
    """As docker: the list has what was found, and the exit code says that it is not all."""
    done = machine.try_run("image", "inspect", "missing", "busybox")
    assert [each["RepoTags"] for each in json.loads(done.stdout)] == [["busybox:latest"]]
    assert done.returncode == 1
    assert "missing:latest: no such image here" in done.stderr
    assert machine.try_run("image", "inspect", "missing").stdout == "[]\n"
    done = machine.try_run("rmi", "-f", "missing")
    assert (done.returncode, "no such image here" in done.stderr) == (0, True)
    assert machine.try_run("rmi", "missing").returncode == 1


def test_prune_takes_what_its_filters_say(machine: Machine) -> None:
    """docker's reference, "docker image prune"."""
    machine.run("image", "prune", "-af", "--filter", "label=tier=low")
    assert "team/base" not in machine.run("images")
    machine.run("image", "prune", "-af", "--filter", "until=2026-01-02T18:00:00Z",
                "--filter", "label!=kind")  # fmt: skip
    assert "team/app" in machine.run("images")
    machine.run("image", "prune", "-f", "--filter", "until=2026-01-02T18:00:00Z")
    assert "team/app" in machine.run("images")
    machine.run("image", "prune", "-f", "--filter", "dangling=false",
                "--filter", "until=2026-01-02T18:00:00Z")  # fmt: skip
    assert machine.run("images", "--format", "{{.Repository}}") == "busybox\n"
    done = machine.try_run("image", "prune", "-f", "--filter", "since=busybox")
    assert "invalid filter 'since'" in done.stderr


def test_an_exported_image_is_its_merged_tree(machine: Machine, tmp_path: Path) -> None:
    machine.run("image", "export", "-o", str(tmp_path / "root.tar"), "team/app:1")
    with tarfile.open(tmp_path / "root.tar") as archive:
        found = {each.name: each for each in archive}
        assert sorted(found) == ["etc", "etc/linked", "etc/motd", "new", "new/deep", "old",
                                 "old/b", "s"]  # fmt: skip
        assert archive.extractfile("etc/motd").read() == b"two\n"  # type: ignore[union-attr]
        assert archive.extractfile("etc/linked").read() == b"one\n"  # type: ignore[union-attr]
    assert found["new/deep"].mode == 0o4755
    assert (found["etc"].mtime, found["s"].linkname) == (4, "a")
    assert list((machine.root / "images/layers").iterdir())
    assert not (machine.root / "containers").exists()
    machine.run("image", "import", str(tmp_path / "root.tar"), "flat")
    assert machine.run("image", "diff", "team/app:1", "flat") == ""
    done = machine.try_run("image", "export", "-o", str(tmp_path / "none.tar"), "missing")
    assert done.returncode == 1
    assert not (tmp_path / "none.tar").exists()


def test_an_import_takes_instructions_and_a_platform(machine: Machine, tmp_path: Path) -> None:
    """docker-import(1): ``--change`` as ``commit`` has it."""
    (tmp_path / "root.tar").write_bytes(tar(file("f")))
    words = ("-c", 'CMD ["sh", "-c", "x"]', "--change", "ENV A=b", "-m", "by hand",
             "--platform", "linux/s390x", str(tmp_path / "root.tar"), "made:1")  # fmt: skip
    machine.run("import", *words)
    [found] = json.loads(machine.run("image", "inspect", "made:1"))
    assert found["Architecture"] == "s390x"
    assert (found["Config"]["Cmd"], found["Config"]["Env"]) == (["sh", "-c", "x"], ["A=b"])
    assert "by hand" in machine.run("history", "made:1")
    refused = machine.try_run("import", "-c", "RUN true", str(tmp_path / "root.tar"), "bad")
    assert (refused.returncode, refused.stderr) == (
        1, "dockyard: run is not a valid change command\n",
    )  # fmt: skip
    assert machine.try_run("image", "inspect", "bad").returncode == 1
    notary = machine.try_run("pull", "--disable-content-trust=false", "made:1")
    assert notary.returncode == 1 and "Docker Content Trust is not implemented" in notary.stderr
    assert machine.run("rmi", "--no-prune", "made:1").startswith("Untagged: made:1\n")


FORMS = {"docker-archive": "docker-archive:{}", "oci-archive": "oci-archive:{}",
         "oci-dir": "oci:{}", "docker-dir": "dir:{}"}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_each_format_is_what_skopeo_reads_and_load_takes(
    machine: Machine, form: str, tmp_path: Path
) -> None:
    """podman-save(1)."""
    path = tmp_path / "saved"
    machine.run("save", "--format", form, "-o", str(path), "busybox")
    where = FORMS[form].format(path)
    config = machine.run("images", "-q", "--no-trunc", "busybox").strip()
    ours = json.loads(skopeo("inspect", "--config", where if "docker-archive" not in form
                             else f"{where}:busybox:latest"))  # fmt: skip
    blob = machine.root / "images/blobs/sha256" / config.removeprefix("sha256:")
    assert ours["rootfs"] == json.loads(blob.read_bytes())["rootfs"]
    second = Machine(tmp_path / "two")
    loaded = second.run("image", "load", "-q", "-i", str(path)).strip()
    assert loaded == config
    assert second.run("image", "verify", "-q") == ""
    second.run("tag", loaded, "same")
    names = second.run("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    assert ("busybox:latest" in names) == (form != "docker-dir")


def test_a_docker_archive_is_as_docker_wrote_it(machine: Machine, tmp_path: Path) -> None:
    """docker's image specification 1.2: a config by its digest, plain layers."""
    machine.run("save", "--format", "docker-archive", "-o", str(tmp_path / "a.tar"), "team/app:1",
                "team/base:1")  # fmt: skip
    with tarfile.open(tmp_path / "a.tar") as archive:
        names = archive.getnames()
        [entry, other] = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
        layers = [archive.extractfile(name).read() for name in entry["Layers"]]  # type: ignore[union-attr]
    assert layers == [BASE, TOP]
    assert entry["Layers"][:1] == other["Layers"]
    assert sorted(entry["RepoTags"]) == ["team/app:1", "team/app:2"]
    assert len(names) == len(set(names)) == 5
    assert "index.json" not in names


def test_saving_that_fails_leaves_nothing(machine: Machine, tmp_path: Path) -> None:
    place = tmp_path / "there"
    (place / "x").mkdir(parents=True)
    done = machine.try_run("save", "--format", "oci-dir", "-o", str(place), "team/app:1")
    assert done.returncode == 1
    assert "not empty" in done.stderr
    assert [each.name for each in place.iterdir()] == ["x"]
    done = machine.try_run("save", "--format", "oci-dir", "team/app:1")
    assert "is a folder" in done.stderr
    done = machine.try_run("save", "--format", "docker-dir", "-o", str(tmp_path / "two"),
                           "team/app:1", "team/base:1")  # fmt: skip
    assert "holds one image, not 2" in done.stderr
    [blob] = [path for path in (machine.root / "images/blobs/sha256").iterdir()
              if path.read_bytes() == TOP]  # fmt: skip
    blob.unlink()
    for form in ("docker-archive", "oci-archive", "oci-dir", "docker-dir"):
        done = machine.try_run("save", "--format", form, "-o", str(tmp_path / "bad"), "team/app:1")
        assert done.returncode == 1, form
        assert "is gone from the store" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"one", "a.tar", "there"}


def test_a_folder_as_skopeo_writes_it_loads(machine: Machine, tmp_path: Path) -> None:
    machine.run("save", "-o", str(tmp_path / "s.tar"), "team/base:1")
    for kind in ("oci", "dir"):
        skopeo("copy", "-q", f"docker-archive:{tmp_path / 's.tar'}:docker.io/team/base:1",
               f"{kind}:{tmp_path / kind}{':9' if kind == 'oci' else ''}")  # fmt: skip
        other = Machine(tmp_path / f"machine-{kind}")
        other.run("image", "load", "-qi", str(tmp_path / kind))
        assert other.run("image", "verify", "-q") == ""
        assert len(other.run("images", "-q").split()) == 1


def test_annotations_are_kept_and_shown(machine: Machine, tmp_path: Path) -> None:
    layout = Layout()
    image = layout.image(HERE, tar(file("x")))
    digest = image["digest"].removeprefix("sha256:")
    value = json.loads(layout.blobs.pop(digest)) | {"annotations": {"org.example": "yes"}}
    layout.name(layout.put(json.dumps(value).encode(), value["mediaType"]), "localhost/marked:1")
    machine.run("image", "load", "-i", str(layout.write(tmp_path / "m.tar")))
    [found] = json.loads(machine.run("image", "inspect", "localhost/marked:1"))
    assert found["Annotations"] == {"org.example": "yes"}
    machine.run("save", "-o", str(tmp_path / "saved.tar"), "localhost/marked:1")
    with tarfile.open(tmp_path / "saved.tar") as archive:
        [entry] = json.load(archive.extractfile("index.json"))["manifests"]  # type: ignore[arg-type]
        name = f"blobs/sha256/{entry['digest'].removeprefix('sha256:')}"
        saved = io.BytesIO(archive.extractfile(name).read())  # type: ignore[union-attr]
    assert json.load(saved)["annotations"] == {"org.example": "yes"}
