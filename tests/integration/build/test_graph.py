"""Which stages are built, what comes from a cache, and what comes out at last."""

import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest

from helpers.buildbench import PROGRAM, Bench
from helpers.leaks import left_behind
from helpers.program import eventually
from helpers.registry_server import serve

pytestmark = pytest.mark.root

STAGES = """
FROM busybox AS one
RUN echo 1 > /one
FROM busybox AS broken
RUN exit 7
FROM busybox AS two
COPY --from=one /one /two
FROM two
RUN echo last > /last
"""


def test_only_what_is_needed_is_built(bench: Bench) -> None:
    told = bench.build(STAGES)
    assert "broken" not in told
    assert set(bench.files()) >= {"two", "last"}
    told = bench.build(STAGES, "--target", "two")
    assert "last" not in told
    assert "exit code: 7" in bench.fail(STAGES, "--target", "BROKEN")
    assert "target stage 'none' could not be found" in bench.fail(STAGES, "--target", "none")


def test_stages_are_built_side_by_side(bench: Bench) -> None:
    """Each waits for the other's word, through a cache that both see: alone none would end."""
    wait = "for i in $(seq 300); do test -e /c/%s && exit 0; usleep 50000; done; exit 1"
    mount = "--mount=type=cache,id=meet,target=/c"
    bench.build(
        f"FROM busybox AS a\nRUN {mount} touch /c/a; {wait % 'b'}\n"
        f"FROM busybox AS b\nRUN {mount} touch /c/b; {wait % 'a'}\n"
        "FROM scratch\nCOPY --from=a /etc/passwd /a\nCOPY --from=b /etc/passwd /b\n"
    )


def test_a_failure_stops_the_other_stages(bench: Bench) -> None:
    told = bench.fail(
        "FROM busybox AS slow\nRUN sleep 1000\nFROM busybox AS bad\nRUN echo no; exit 9\n"
        "FROM scratch\nCOPY --from=slow /etc/passwd /a\nCOPY --from=bad /etc/passwd /b\n"
    )
    assert "Dockerfile:4: RUN: " in told.splitlines()[-6] or "exit code: 9" in told
    assert left_behind(bench.base / "data") == []


def test_the_cache_goes_by_content(bench: Bench) -> None:
    """A stage that changes without changing what is copied misses nothing later."""
    dockerfile = (
        "FROM busybox AS one\nARG N\nRUN echo $N > /noise; echo same > /same && touch -d @5 /same\n"
        "FROM busybox\nCOPY --from=one /same /same\nRUN cat /same > /copy\n"
    )
    bench.build(dockerfile, "--build-arg", "N=1")
    assert bench.build(dockerfile, "--build-arg", "N=2").count("CACHED") == 2
    assert bench.build(dockerfile, "--build-arg", "N=2").count("CACHED") == 3
    told = bench.build(dockerfile, "--build-arg", "N=2", "--no-cache-filter", "one")
    assert told.count("CACHED") == 2


@pytest.mark.parametrize("kind", ["local", "registry"])
def test_a_cache_elsewhere(bench: Bench, kind: str) -> None:
    if kind == "local":
        _elsewhere(bench, f"type=local,dest={bench.base}/c", f"type=local,src={bench.base}/c")
        return
    with serve(bench.base / "registry") as registry:
        where = f"type=registry,ref={registry.address}/cache:1"
        _elsewhere(bench, where, where)


def _elsewhere(bench: Bench, to: str, source: str) -> None:
    bench.write({"f": "f"})
    dockerfile = "FROM busybox\nWORKDIR /w\nCOPY f .\nRUN cat f > g\n"
    bench.build(dockerfile, "--cache-to", to)
    first = bench.image
    (bench.base / "other").mkdir()
    other = Bench(bench.base / "other")
    other.write({"f": "f"})
    told = other.build(dockerfile, "--cache-from", source)
    assert told.count("CACHED") == 3
    assert other.image.config.diff_ids == first.config.diff_ids
    assert other.said("w/g") == "f"
    other.write({"f": "changed"})
    assert other.build(dockerfile, "--cache-from", source).count("CACHED") == 1


def test_a_cache_that_was_tampered_with_is_refused(bench: Bench) -> None:
    dockerfile = "FROM busybox\nRUN echo good > /g\n"
    place = bench.base / "c"
    bench.build(dockerfile, "--cache-to", f"type=local,dest={place}")
    for blob in (place / "blobs/sha256").iterdir():
        if blob.read_bytes()[:2] == b"\x1f\x8b":
            blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    shutil.rmtree(bench.base / "data")
    from dockyard.node.image.bootstrap.recipes import bootstrap

    bootstrap(bench.store, "busybox", (), None, str(bench.base / "packages"))
    told = bench.fail(dockerfile, "--cache-from", f"type=local,src={place}")
    assert "Dockerfile:2: RUN: layer sha256:" in told
    assert "CACHED" not in told


def clone(source: Path, target: Path, umask: str) -> None:
    subprocess.run(["sh", "-c", f"umask {umask}; git clone -q {source} {target}"], check=True)


def test_two_clones_give_one_digest(bench: Bench) -> None:
    """Other paths, umask, time zone, locale and day."""
    bench.write({
        "src/deep/file": "x", "run.sh": "#!/bin/sh\n",
        "Dockerfile": "FROM busybox\nWORKDIR /w\nCOPY . /app/\nADD src /more\n"
        "RUN echo built > /built; mkdir -p /d/e; ln -s x /d/l; date > /dev/null\n"
        'COPY <<EOF /doc\ntext\nEOF\nLABEL a=b\nCMD ["/run.sh"]\n',
    })  # fmt: skip
    (bench.context / "run.sh").chmod(0o755)
    run = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(bench.context)]
    subprocess.run([*run, "init", "-q"], check=True)
    subprocess.run([*run, "add", "."], check=True)
    subprocess.run([*run, "commit", "-q", "-m", "x"], check=True)
    digests = []
    for number, (umask, zone, locale) in enumerate(
        [("022", "UTC", "C"), ("077", "Asia/Tokyo", "de_DE.UTF-8")]
    ):
        clone(bench.context, bench.base / f"clone{number}", umask)
        (bench.base / f"store{number}").mkdir()
        one = Bench(bench.base / f"store{number}")
        one.context = bench.base / f"clone{number}"
        if number:
            day = 86400 * 400
            for path in one.context.rglob("*"):
                found = path.lstat()
                os.utime(path, (found.st_atime - day, found.st_mtime - day), follow_symlinks=False)
        shutil.rmtree(one.context / ".git")
        env = {"SOURCE_DATE_EPOCH": "1700000000", "TZ": zone, "LC_ALL": locale}
        done = one.try_build(env=env)
        assert done.returncode == 0, done.stderr
        digests.append(one.image.digest)
        assert one.image.config.created == "2023-11-14T22:13:20Z"
    assert digests[0] == digests[1]


def test_outputs(bench: Bench) -> None:
    dockerfile = (
        "FROM busybox AS b\nRUN echo x > /made && chown 5:6 /made\n"
        "FROM scratch\nCOPY --from=b /made /m/made\n"
    )
    base = bench.base
    bench.build(dockerfile, "-o", f"{base}/local", "-o", f"type=tar,dest={base}/t.tar",
                "-o", f"type=oci,dest={base}/oci.tar", "-o", f"type=docker,dest={base}/docker.tar",
                "-o", "type=image,name=more:1")  # fmt: skip
    made = base / "local/m/made"
    assert (made.read_text(), made.stat().st_uid, made.stat().st_gid) == ("x\n", 5, 6)
    with tarfile.open(base / "t.tar") as tar:
        assert tar.getnames() == ["m", "m/made"]
    assert bench.store.resolve("more:1").id == bench.image.id
    for name, suffix in (("oci", ":latest"), ("docker", "")):
        copied = subprocess.run(
            ["skopeo", "inspect", "--raw", f"{name}-archive:{base}/{name}.tar{suffix}"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert json.loads(copied.stdout)["schemaVersion"] == 2
    done = bench.try_build("-o", "-")
    assert done.returncode == 0
    assert "m/made" in done.stdout
    assert "dest is required for local" in bench.fail(dockerfile, "-o", "type=local")


def test_several_platforms_in_one_index(bench: Bench) -> None:
    bench.write({"f": "f"})
    dockerfile = "FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY f /\n"
    place = bench.base / "many.tar"
    words = ("--platform", "linux/amd64,linux/arm64", "-o", f"type=oci,dest={place}")
    bench.build(dockerfile, *words)
    with tarfile.open(place) as tar:

        def read(name: str) -> dict[str, object]:
            member = tar.extractfile(name)
            assert member is not None
            return json.loads(member.read())  # type: ignore[no-any-return]

        top = read("index.json")["manifests"][0]  # type: ignore[index]
        index = read("blobs/" + top["digest"].replace(":", "/"))
        found = [item["platform"]["architecture"] for item in index["manifests"]]  # type: ignore[attr-defined]
    assert found == ["amd64", "arm64"]
    told = bench.fail('FROM scratch\nRUN ["/x"]\n', "--platform", "linux/s390x")
    assert "a program for linux/s390x on this machine: no binfmt_misc handler for it" in told


def context_tar(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def test_contexts_from_standard_input(bench: Bench) -> None:
    data = context_tar({"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "tar"})
    assert bench.try_build_at("-", stdin=data).returncode == 0
    assert bench.said("f") == "tar"
    alone = b"FROM scratch\nCOPY <<E /x\nalone\nE\n"
    assert bench.try_build_at("-", stdin=alone).returncode == 0
    assert bench.said("x") == "alone\n"
    bench.write({"f": "folder"})
    assert bench.try_build("-f", "-", stdin=b"FROM scratch\nCOPY f /g\n").returncode == 0
    assert bench.said("g") == "folder"


def test_named_contexts(bench: Bench) -> None:
    (bench.base / "more").mkdir()
    (bench.base / "more/n").write_text("named")
    words = ("--build-context", f"files={bench.base}/more")
    images = ("--build-context", "base=docker-image://busybox")
    bench.build("FROM base\nCOPY --from=files n /n\n", *words, *images)
    assert bench.said("n") == "named"
    assert "etc/passwd" in bench.files()


def test_a_dockerfile_s_own_ignore_file(bench: Bench) -> None:
    bench.write({"a": "a", "b": "b", ".dockerignore": "a", "other.Dockerfile.dockerignore": "b",
                 "other.Dockerfile": "FROM scratch\nCOPY . /x/\n"})  # fmt: skip
    assert bench.try_build("-f", str(bench.context / "other.Dockerfile")).returncode == 0
    assert "x/a" in bench.files()
    assert "x/b" not in bench.files()


def test_labels_and_ids(bench: Bench) -> None:
    bench.build("FROM scratch\nLABEL a=1 b=2\nCOPY Dockerfile /\n", "--label", "b=3")
    assert dict(bench.image.config.labels) == {"a": "1", "b": "3"}


def test_e08_a_killed_build_leaves_nothing_that_runs(bench: Bench) -> None:
    bench.write({"Dockerfile": "FROM busybox\nRUN --mount=type=secret,id=s echo on; sleep 1000\n",
                 "s": "planted"})  # fmt: skip
    env = {**os.environ, "DOCKYARD_ROOT": str(bench.base / "data")}
    words = ["--progress", "plain", "--network", "none", "--secret", f"id=s,src={bench.context}/s"]
    process = subprocess.Popen([PROGRAM, "build", *words, str(bench.context)], env=env,
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.rstrip().endswith(" on"):
            break
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    eventually(lambda: not left_behind(bench.base / "data"))
    bench.build("FROM busybox\nRUN true\n")  # sweeps what the killed one had begun
    ingest = bench.base / "data/images/ingest"
    assert {path.name for path in ingest.iterdir()} == {"lock"}


def test_a_named_context_stands_for_a_stage(bench: Bench) -> None:
    """buildx: "the context overrides a stage called name"; what that stage needed is not built."""
    (bench.base / "more").mkdir()
    (bench.base / "more/made").write_text("from the context")
    dockerfile = (
        "FROM busybox AS needed\nRUN exit 7\nFROM needed AS tools\nRUN echo stage > /made\n"
        "FROM busybox\nCOPY --from=tools /made /got\n"
    )
    told = bench.build(dockerfile, "--build-context", f"tools={bench.base}/more")
    assert bench.said("got") == "from the context"
    assert "exit 7" not in told
    bench.build("FROM busybox AS base\nRUN echo here > /made\n")
    bench.store.tag("out", "replacement:1")
    bench.build(dockerfile, "--build-context", "tools=docker-image://replacement:1")
    assert bench.said("got") == "here\n"
    bench.build(dockerfile, "--target", "tools", "--build-context",
                "tools=docker-image://replacement:1")  # fmt: skip
    assert bench.said("made") == "here\n"


def test_copy_keeps_modes_of_the_context(bench: Bench) -> None:
    """Setuid, setgid and sticky bits too; not of the folder whose contents go."""
    bench.write({"top/d/f": "f"})
    for path, mode in (("top", 0o700), ("top/d", 0o1777), ("top/d/f", 0o6755)):
        (bench.context / path).chmod(mode)
    bench.build("FROM busybox\nCOPY top /top\nCOPY --chmod=u-s,o= top/d/f /less\n")
    places = ((1, "top"), (1, "top/d"), (1, "top/d/f"), (0, "less"))
    modes = [(bench.top(depth) / path).stat().st_mode & 0o7777 for depth, path in places]
    assert modes == [0o755, 0o1777, 0o6755, 0o2750]


def test_an_error_shows_its_line_as_docker_does(bench: Bench) -> None:
    """Two neighbours of a line, one of several lines (BuildKit's solver/errdefs)."""
    lines = ["FROM busybox", "ENV A=1", "ENV B=1", "RUN \\", "  exit 3", "ENV C=1", "ENV D=1"]
    told = bench.fail("\n".join(lines) + "\n")
    shown = told.splitlines()
    start = shown.index("-" * 20)
    assert shown[start : start + 6] == [
        "-" * 20, "   3 |     ENV B=1", "   4 | >>> RUN \\", "   5 | >>>   exit 3",
        "   6 |     ENV C=1", "-" * 20,
    ]  # fmt: skip
