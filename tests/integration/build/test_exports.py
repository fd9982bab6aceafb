"""What leaves a build: indexes, annotations, attestations, OCI layouts, caches inside images.

Shapes are those of BuildKit's docs/attestations (attestation-storage.md, slsa-definitions.md), of
in-toto's Statement v1, SLSA's provenance v1 and v0.2, and of buildx' ``--annotation``.
"""

import base64
import contextlib
import hashlib
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.oci.manifest import Index
from dockyard.base.oci.platform import host_platform
from dockyard.node.image.bootstrap.recipes import bootstrap
from dockyard.node.image.image import ImageNotFound
from helpers import own_registry, registry_server
from helpers.buildbench import Bench

pytestmark = pytest.mark.root

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SIMPLE = "FROM busybox\nRUN --network=none echo made > /made\n"


@contextlib.contextmanager
def registry(kind: str, folder: Path) -> Iterator[str]:
    """The address of a registry of Debian's package, or of ours."""
    if kind == "debian":
        with registry_server.serve(folder) as found:
            yield found.address
    else:
        with own_registry.serve(folder) as server:
            yield server.address


def fetch(address: str, path: str) -> bytes:
    """Over plain HTTP, by another program."""
    words = ["curl", "-sSf", "-H", f"Accept: {INDEX}", "-H", f"Accept: {MANIFEST}"]
    done = subprocess.run([*words, f"http://{address}{path}"], capture_output=True, check=True)
    return done.stdout


def document(address: str, name: str, what: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(fetch(address, f"/v2/{name}/manifests/{what}"))
    return found


def statements(address: str, name: str, entry: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Of an attestation manifest: each statement by its predicate's type."""
    found = {}
    manifest = document(address, name, entry["digest"])
    assert manifest["artifactType"] == "application/vnd.docker.attestation.manifest.v1+json"
    assert manifest["config"] == {
        "mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "data": "e30=",
        "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    }  # fmt: skip
    assert manifest["subject"]["digest"] == entry["annotations"]["vnd.docker.reference.digest"]
    for layer in manifest["layers"]:
        assert layer["mediaType"] == "application/vnd.in-toto+json"
        data = fetch(address, f"/v2/{name}/blobs/{layer['digest']}")
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == layer["digest"]
        told = json.loads(data)
        assert told["predicateType"] == layer["annotations"]["in-toto.io/predicate-type"]
        assert told["_type"] == "https://in-toto.io/Statement/v1"
        digest = manifest["subject"]["digest"].partition(":")[2]
        assert [item["digest"] for item in told["subject"]] == [{"sha256": digest}]
        found[told["predicateType"]] = told
    return found


@pytest.mark.parametrize("kind", ["ours", "debian"])
def test_several_platforms_are_pushed_as_one_index(bench: Bench, kind: str) -> None:
    bench.write({"f": "f"})
    dockerfile = "FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY f /\n"
    with registry(kind, bench.base / "registry") as address:
        told = bench.base / "told.json"
        bench.name = f"{address}/many:1"
        bench.build(dockerfile, "--platform", "linux/amd64,linux/arm64", "--metadata-file",
                    str(told), "-o", f"type=image,name={address}/many:1,push=true")  # fmt: skip
        data = fetch(address, "/v2/many/manifests/1")
        index = json.loads(data)
        assert index["mediaType"] == INDEX
        assert [entry["platform"]["architecture"] for entry in index["manifests"]] == [
            "amd64", "arm64",
        ]  # fmt: skip
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        assert json.loads(told.read_text())["containerimage.digest"] == digest
        for arch in ("amd64", "arm64"):
            done = subprocess.run(
                ["skopeo", "inspect", "--tls-verify=false", "--override-arch", arch,
                 f"docker://{address}/many:1"],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            found = json.loads(done.stdout)
            assert (found["Architecture"], found["Labels"]["arch"]) == (arch, arch)
        copied = bench.base / "copied"
        words = ["--src-tls-verify=false", "--all", f"docker://{address}/many:1", f"dir:{copied}"]
        subprocess.run(["skopeo", "copy", *words], check=True, capture_output=True)


@pytest.mark.parametrize("kind", ["ours", "debian"])
def test_attestations_lie_beside_the_image(bench: Bench, kind: str) -> None:
    with registry(kind, bench.base / "registry") as address:
        name = bench.name = f"{address}/attested:1"
        bench.write({"token": "planted-secret"})
        bench.build(
            "FROM busybox\nARG VERSION\nRUN --mount=type=secret,id=t true\n",
            "--sbom", "true", "--provenance", "mode=max,builder-id=https://ci.test/7",
            "--build-arg", "VERSION=3", "--label", "a=b",
            "--secret", f"id=t,src={bench.context}/token", "-o", f"type=registry,name={name}",
        )  # fmt: skip
        index = document(address, "attested", "1")
        image, attestation = index["manifests"]
        assert image["platform"] == {"os": "linux", "architecture": "amd64"}
        assert attestation["platform"] == {"os": "unknown", "architecture": "unknown"}
        assert attestation["annotations"] == {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": image["digest"],
        }
        found = statements(address, "attested", attestation)
        assert set(found) == {"https://spdx.dev/Document", "https://slsa.dev/provenance/v1"}
        sbom = found["https://spdx.dev/Document"]["predicate"]
        assert sbom["spdxVersion"] == "SPDX-2.3"
        assert sbom["packages"][0]["versionInfo"] == image["digest"]
        made = found["https://slsa.dev/provenance/v1"]
        host, port = address.split(":")
        purl = f"pkg:docker/{host}%3A{port}/attested@1?platform=linux%2Famd64"
        assert [item["name"] for item in made["subject"]] == [purl]
        definition = made["predicate"]["buildDefinition"]
        request = definition["externalParameters"]["request"]
        assert definition["externalParameters"]["configSource"] == {"path": "Dockerfile"}
        assert request["args"]["build-arg:VERSION"] == "3"
        assert request["args"]["label:a"] == "b"
        assert request["secrets"] == [{"id": "t", "optional": True}]
        (base,) = definition["resolvedDependencies"]
        assert base["uri"] == "pkg:docker/busybox@latest?platform=linux%2Famd64"
        assert base["digest"] == {"sha256": bench.store.resolve("busybox").digest.hex}
        details = made["predicate"]["runDetails"]
        assert details["builder"]["id"] == "https://ci.test/7"
        assert details["metadata"]["startedOn"] <= details["metadata"]["finishedOn"]
        infos = details["metadata"]["buildkit_metadata"]["source"]["infos"]
        assert base64.b64decode(infos[0]["data"]) == (bench.context / "Dockerfile").read_bytes()
        assert "planted-secret" not in json.dumps(found)
        # who pulls gets the image, not what is said of it
        done = subprocess.run(
            ["skopeo", "inspect", "--tls-verify=false", "--override-arch", "amd64",
             f"docker://{name}"], capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert json.loads(done.stdout)["Labels"] == {"a": "b"}
        assert bench.store.pull(name).config.labels == (("a", "b"),)


def test_a_small_provenance_says_less(bench: Bench) -> None:
    place = bench.base / "out.tar"
    bench.build(SIMPLE, "--build-arg", "TOKEN=planted", "--attest",
                "type=provenance,mode=min,version=v0.2,reproducible=true", "-o",
                f"type=oci,dest={place}")  # fmt: skip
    blobs = contents(place)
    (told,) = [value for value in blobs.values() if value.get("predicateType")]
    assert told["predicateType"] == "https://slsa.dev/provenance/v0.2"
    made = told["predicate"]
    assert made["buildType"] == "https://mobyproject.org/buildkit@v1"
    assert made["invocation"]["parameters"]["args"] == {}
    assert made["metadata"]["reproducible"] is True
    assert made["metadata"]["https://mobyproject.org/buildkit@v1#hermetic"] is True
    assert made["metadata"]["completeness"]["parameters"] is False
    assert "planted" not in json.dumps(blobs)
    assert told["subject"][0]["name"].startswith("pkg:docker/out@latest?")


def contents(path: Path) -> dict[str, dict[str, Any]]:
    """The JSON documents of an archive, by their name."""
    found = {}
    with tarfile.open(path) as tar:
        for member in tar:
            file = tar.extractfile(member)
            with contextlib.suppress(ValueError):
                if file is not None:
                    found[member.name] = json.loads(file.read())
    return found


def test_the_store_keeps_what_would_be_pushed(bench: Bench) -> None:
    """Index, attestations, annotations and other platforms: as docker's containerd store does."""
    with own_registry.serve(bench.base / "registry") as server:
        bench.name = f"{server.address}/app:1"
        words = (
            "--platform=linux/amd64,linux/arm64", "--provenance=true",
            "--annotation=index:of=both", "--annotation=manifest[linux/arm64]:of=one",
        )  # fmt: skip
        bench.build("FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n", *words)
        whole = bench.store.bundle(bench.name)
        assert whole is not None and isinstance(whole.document, Index)
        kinds = [str(entry.platform) for entry in whole.document.manifests]
        assert kinds == ["linux/amd64", "linux/arm64", *["unknown/unknown"] * 2]
        assert bench.store.resolve(bench.name).config.platform == host_platform()
        assert not any(bench.store.verify().values())
        bench.store.push(bench.name)
        reply = own_registry.ask(server.url, "GET", "/v2/app/manifests/1")
        assert reply.body == whole.document.data
        assert json.loads(reply.body)["annotations"] == {"of": "both"}
        other = whole.document.manifests[1].digest
        manifest = own_registry.ask(server.url, "GET", f"/v2/app/manifests/{other}")
        assert json.loads(manifest.body)["annotations"] == {"of": "one"}
        attested = whole.document.manifests[2]
        told = own_registry.ask(server.url, "GET", f"/v2/app/manifests/{attested.digest}")
        [layer] = json.loads(told.body)["layers"]
        statement = own_registry.ask(server.url, "GET", f"/v2/app/blobs/{layer['digest']}")
        assert json.loads(statement.body)["predicateType"].startswith("https://slsa.dev/provenance")


def test_what_goes_to_files_has_no_name_here(bench: Bench) -> None:
    bench.name = "only-files"
    where = bench.base / "files"
    plain = "FROM scratch\nCOPY Dockerfile /f\n"
    bench.build(plain, "-o", str(where), "-o", f"type=oci,dest={bench.base}/x.tar")
    assert (where / "f").read_text() == plain
    with pytest.raises(ImageNotFound):
        bench.store.resolve("only-files")
    bench.build(plain, "-o", str(where), "--load")
    assert bench.store.resolve("only-files").names == ("docker.io/library/only-files:latest",)


def test_attestations_of_files_are_files(bench: Bench) -> None:
    base = bench.base
    words = ("--sbom=true", "--provenance=mode=min", "-o", f"{base}/out", "-o",
             f"type=tar,dest={base}/out.tar")  # fmt: skip
    bench.build(SIMPLE, *words, "--load")
    assert json.loads((base / "out/sbom.spdx.json").read_text())["predicate"]["packages"]
    assert (base / "out/made").read_text() == "made\n"
    with tarfile.open(base / "out.tar") as tar:
        assert {"provenance.json", "sbom.spdx.json", "made"} <= set(tar.getnames())
    inline = ("--provenance=inline-only=true", "-o", f"{base}/inline")
    bench.build(SIMPLE, *inline)
    assert not (base / "inline/provenance.json").exists()


def test_several_platforms_as_files(bench: Bench) -> None:
    bench.write({"f": "f"})
    base, words = bench.base, ("--platform", "linux/amd64,linux/arm64/v8")
    bench.build("FROM scratch\nCOPY f /\n", *words, "-o", f"{base}/out", "-o",
                f"type=tar,dest={base}/out.tar")  # fmt: skip
    assert (base / "out/linux_arm64_v8/f").read_text() == "f"
    with tarfile.open(base / "out.tar") as tar:
        assert {"linux_amd64/f", "linux_arm64_v8/f"} <= set(tar.getnames())
    told = bench.fail("FROM scratch\nCOPY f /\n", *words, "-o", f"type=docker,dest={base}/x.tar")
    assert "one platform" in told


def test_annotations(bench: Bench) -> None:
    place = bench.base / "out.tar"
    bench.write({"f": "f"})
    bench.build(
        "FROM scratch\nCOPY f /\n", "--platform", "linux/amd64,linux/arm64",
        "--annotation", "plain=1", "--annotation", "index,manifest-descriptor:both=2",
        "--annotation", "manifest[linux/arm64]:arm=3", "--annotation", "index-descriptor:top=4",
        "-o", f"type=oci,dest={place},annotation.own=5",
    )  # fmt: skip
    found = contents(place)
    (top,) = found["index.json"]["manifests"]
    assert top["annotations"]["top"] == "4"
    index = found["blobs/" + top["digest"].replace(":", "/")]
    assert index["annotations"] == {"both": "2"}
    for entry in index["manifests"]:
        assert entry["annotations"] == {"both": "2"}
        manifest = found["blobs/" + entry["digest"].replace(":", "/")]
        more = {"arm": "3"} if entry["platform"]["architecture"] == "arm64" else {}
        assert manifest["annotations"] == {"plain": "1", "own": "5", **more}
    told = bench.fail(SIMPLE, "--annotation", "index:a=b", "-o", f"type=oci,dest={place}")
    assert "index annotations not supported for single platform export" in told
    for word, reason in (("x", "expected key=value"), ("what:a=b", "unknown annotation type")):
        assert reason in bench.fail(SIMPLE, "--annotation", word)


def test_an_index_of_one_platform(bench: Bench) -> None:
    """BUILDKIT_MULTI_PLATFORM."""
    place = bench.base / "out.tar"
    bench.build(SIMPLE, "--build-arg", "BUILDKIT_MULTI_PLATFORM=1", "-o", f"type=oci,dest={place}")
    found = contents(place)
    (top,) = found["index.json"]["manifests"]
    assert top["mediaType"] == INDEX
    assert len(found["blobs/" + top["digest"].replace(":", "/")]["manifests"]) == 1


def test_a_layout_is_a_context(bench: Bench) -> None:
    place = bench.base / "layout"
    bench.build(SIMPLE, "-t", "made:tagged", "-o", f"type=oci,tar=false,dest={place}")
    assert json.loads((place / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    done = subprocess.run(["skopeo", "inspect", f"oci:{place}:tagged"], capture_output=True,
                          check=True)  # fmt: skip
    digest = json.loads(done.stdout)["Digest"]
    dockerfile = "FROM base\nCOPY --from=base /made /again\n"
    for word in (f"oci-layout://{place}:tagged", f"oci-layout://{place}@{digest}"):
        bench.build(dockerfile, "--no-cache", "--build-context", f"base={word}")
        assert bench.said("again") == "made\n"
    told = bench.fail(dockerfile, "--build-context", f"base=oci-layout://{place}:none")
    assert "none: is not in it" in told
    told = bench.fail(dockerfile, "--build-context", "base=oci-layout:///nowhere")
    assert "no such directory" in told


@pytest.mark.parametrize("how", ["cache-to", "build-arg"])
def test_a_cache_inside_the_image(bench: Bench, how: str) -> None:
    """``type=inline``: whoever has the image has the cache of its steps."""
    word = {"cache-to": ("--cache-to", "type=inline"),
            "build-arg": ("--build-arg", "BUILDKIT_INLINE_CACHE=1")}[how]  # fmt: skip
    dockerfile = "FROM busybox\nWORKDIR /w\nRUN echo x > x\nRUN echo y > y\n"
    (bench.base / "other").mkdir()
    with registry_server.serve(bench.base / "registry") as server:
        name = bench.name = f"{server.address}/cached:1"
        bench.build(dockerfile, *word, "--push")
        other = Bench(bench.base / "other")
        told = other.build(dockerfile, "--cache-from", name)
        assert told.count("CACHED") == 3
        assert other.image.config.diff_ids == bench.store.resolve(name).config.diff_ids
        changed = dockerfile.replace("echo y", "echo z")
        assert (
            other.build(changed, "--cache-from", f"type=registry,ref={name}").count("CACHED") == 2
        )
        child = Bench(_folder(bench.base / "child"))
        child.store.pull(name)
        child.name = f"{server.address}/child:1"
        child.build(f"FROM {name}\nRUN echo child > /c\n", "--push")
        # an image that says nothing of its steps is no cache, and no error
        fresh = Bench(_folder(bench.base / "fresh"))
        words = ("--cache-from", f"{server.address}/child:1", "--cache-from",
                 f"{server.address}/none:1")  # fmt: skip
        told = fresh.build(dockerfile, *words)
        assert "CACHED" not in told
        assert "[Warning] cache import: " in told


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_a_cache_of_all_stages_or_of_the_last(bench: Bench) -> None:
    """``mode=min`` (docker's default) leaves out what is in no result."""
    dockerfile = (
        "FROM busybox AS tools\nRUN echo tool > /tool\nFROM busybox\nCOPY --from=tools /tool /t\n"
    )
    for mode, cached in (("min", 1), ("max", 2)):
        place = bench.base / mode
        bench.build(dockerfile, "--cache-to", f"type=local,dest={place},mode={mode}")
        other = Bench(_folder(bench.base / f"{mode}-other"))
        told = other.build(dockerfile, "--cache-from", f"type=local,src={place}")
        assert told.count("CACHED") == cached
    told = bench.fail(dockerfile, "--cache-to", "type=gha")
    assert "type=gha: type=local,dest=DIR, type=registry,ref=NAME and type=inline" in told
    told = bench.build(dockerfile, "--cache-to",
                       "type=registry,ref=127.0.0.1:9/x,ignore-error=true")  # fmt: skip
    assert "[Warning] cache export: " in told


def test_a_base_of_another_platform_is_not_the_base(bench: Bench) -> None:
    """The digest of what was built on is told, whatever it is called."""
    bootstrap(bench.store, "busybox", (), "renamed:1", str(bench.base / "packages"))
    place = bench.base / "out.tar"
    bench.build("FROM renamed:1\nRUN true\n", "--provenance=true", "-o", f"type=oci,dest={place}")
    (told,) = [value for value in contents(place).values() if value.get("predicateType")]
    (base,) = told["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert base["uri"].startswith("pkg:docker/renamed@1?")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--attest", "type=what"), "unknown attestation type"),
        (("--attest", "type=sbom,generator=x/y"), "generator=x/y: not implemented"),
        (("--attest", "type=provenance,mode=all"), "min or max is expected"),
        (("--attest", "type=provenance,version=v9"), "v1 or v0.2 is expected"),
        (("--attest", "type=provenance,filename=../x"), "a name without /"),
        (("--output", "type=local,dest=x,mode=delete"), "mode: not implemented"),
        (("--output", "type=what"), "type: image, oci, docker, tar, local or registry"),
        (("--push", "-t", ""), "reference"),
    ],
)
def test_mistakes(bench: Bench, words: tuple[str, ...], reason: str) -> None:
    assert reason in bench.fail(SIMPLE, *words)
