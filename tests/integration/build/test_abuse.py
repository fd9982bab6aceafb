"""Hostile Dockerfiles, contexts and repositories: each refused or harmless (rows E01 to E07)."""

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers.buildbench import PROGRAM, Bench
from helpers.gitdaemon import serving
from helpers.leaks import files_with, left_behind, tree_hash

pytestmark = pytest.mark.root


@pytest.fixture
def canary(bench: Bench) -> Iterator[Path]:
    """A folder of the host that nothing may read or change."""
    found = bench.base / "canary"
    found.mkdir()
    (found / "secret").write_text("planted-canary")
    before = tree_hash(found)
    yield found
    assert tree_hash(found) == before
    assert files_with(b"planted-canary", bench.base / "data") == []
    assert left_behind(bench.base / "data") == []


@pytest.mark.parametrize(
    "source",
    ["/abs/secret", "/up/secret", "/parent/link/secret", "../../../../{canary}/secret",
     "/proc/1/root{canary}/secret"],
)  # fmt: skip
@pytest.mark.parametrize("word", ["COPY --from=a", "COPY --link --from=a", "COPY --from=img"])
def test_e01_links_of_a_stage_or_image_lead_into_it(
    bench: Bench, canary: Path, source: str, word: str
) -> None:
    up = "../" * 14
    stage = (
        f"FROM busybox AS a\nRUN mkdir /parent; ln -s {canary} /abs; ln -s {up}{canary} /up; "
        "ln -s /abs /parent/link\n"
    )
    bench.name = "img"
    bench.build(stage)
    bench.name = "out"
    told = bench.fail(f"{stage}FROM busybox\n{word} {source.format(canary=canary)} /got\n")
    assert " is not in " in told


def test_e01_a_target_s_links_lead_into_the_image(bench: Bench, canary: Path) -> None:
    bench.write({"f": "hostile", "d/g": "hostile"})
    bench.build(
        f"""
        FROM busybox
        RUN mkdir -p /in {canary} && ln -s {canary} /in/abs && ln -s {"../" * 14}{canary} /in/up
        COPY f /in/abs/secret
        COPY d /in/up/
        ADD f /in/abs/
        WORKDIR /in/abs/made
        COPY --chown=5:6 --chmod=777 f ../../../../../../tmp/f
        COPY f /in/abs/../../../../../../../secret
        """
    )
    assert (bench.top(2) / str(canary).strip("/") / "made").is_dir()


def archive(*members: tuple[str, bytes, str]) -> bytes:
    """Name, type of tarfile, and text or target."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind, text in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                member.linkname = text
            if kind == tarfile.CHRTYPE:
                member.devmajor, member.devminor = 1, 5
            member.size = len(text) if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


FILE, LINK, HARD, DEVICE = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE


@pytest.mark.parametrize(
    ("members", "works"),
    [
        ([("out", LINK, "{canary}"), ("out/secret", FILE, "hostile")], False),
        ([("out", LINK, "../../../../../../../../{canary}"), ("f", FILE, "x")], True),
        ([("f", HARD, "{canary}/secret")], False),
        ([("d", LINK, "{canary}"), ("f", HARD, "d/secret")], False),
        ([("f", DEVICE, "")], False),
        ([("f", FILE, "one"), ("f", FILE, "two"), ("F", FILE, "other")], True),
        ([("../f", FILE, "x")], False),
        ([("/f", FILE, "x")], True),
    ],
    ids=["through", "link-up", "hard", "hard-through", "device", "twice", "up", "absolute"],
)
def test_e02_a_context_from_outside_stays_inside(
    bench: Bench, canary: Path, members: list[tuple[str, bytes, str]], works: bool
) -> None:
    dockerfile = "FROM scratch\nCOPY . /got/\n"
    told = [(name, kind, text.format(canary=canary)) for name, kind, text in members]
    done = bench.try_build_at("-", stdin=archive(("Dockerfile", FILE, dockerfile), *told))
    assert "Traceback" not in done.stderr
    assert (done.returncode == 0) == works, done.stderr
    if works and len(members) == 3:
        assert (bench.said("got/f"), bench.said("got/F")) == ("two", "other")
    assert not Path("/f").exists()


def test_e04_a_step_is_confined_as_run_confines(bench: Bench) -> None:
    """The same capabilities, seccomp, masked paths and mounts."""
    look = (
        "grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status; for p in /proc/kcore /proc/keys "
        "/sys/firmware /proc/sysrq-trigger /proc/sys/kernel/hostname /sys/fs/cgroup; do "
        "stat -c '%n %F %a' $p; (echo x > $p/x) 2>/dev/null && echo written; done; "
        "awk '$5 ~ /^.(proc|sys|dev)/ {print $5, $6}' /proc/self/mountinfo | sort; ls /dev"
    )
    bench.build(f"FROM busybox\nRUN ({look}) > /seen 2>&1\n")
    env = {**os.environ, "DOCKYARD_ROOT": str(bench.base / "data")}
    done = subprocess.run(
        [PROGRAM, "run", "--rm", "--network", "none", "busybox", "sh", "-c", f"({look}) 2>&1"],
        env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert bench.said("seen").splitlines() == done.stdout.splitlines()
    assert "written" not in done.stdout


def test_e04_a_build_cannot_write_its_own_state(bench: Bench) -> None:
    """Even an insecure step, which has this machine's devices, sees no file of the data root."""
    data = bench.base / "data"
    bench.write({"f": "f"})
    step = f"ls {data} 2>/dev/null && echo seen; grep -c {data} /proc/self/mountinfo"
    bench.build(
        f"FROM busybox\nRUN --mount=type=cache,target=/c --mount=target=/ctx {step} > /one; true\n"
        f"RUN --security=insecure {step} > /two; true\n",
        "--allow", "security.insecure",
    )  # fmt: skip
    assert "seen" not in bench.said("one") + bench.said("two")


BASE = "FROM busybox\nARG A\nRUN echo x > /x\nCOPY f /f\n"


def _attribute(bench: Bench) -> None:
    os.setxattr(bench.context / "f", "user.mark", b"1")


@pytest.mark.parametrize(
    ("change", "words", "cached"),
    [
        (None, (), "RUN COPY"),
        (None, ("--add-host", "a:1.2.3.4"), ""),
        (None, ("--ulimit", "nofile=99"), ""),
        (None, ("--shm-size", "1m"), ""),
        (None, ("--network", "host"), ""),
        (None, ("--build-arg", "BUILDKIT_SANDBOX_HOSTNAME=x"), ""),
        (None, ("--build-arg", "A=1"), ""),
        (None, ("--build-arg", "SOURCE_DATE_EPOCH=7"), ""),
        (None, ("--build-arg", "http_proxy=x"), "RUN COPY"),
        (_attribute, (), "RUN"),
        (lambda bench: (bench.context / "f").chmod(0o4755), (), "RUN"),
    ],
    ids=["same", "host", "ulimit", "shm", "network", "hostname", "arg", "epoch", "proxy", "xattr",
         "setuid"],
)  # fmt: skip
def test_e05_each_input_of_a_step_is_in_its_key(
    bench: Bench, change: Callable[[Bench], None] | None, words: tuple[str, ...], cached: str
) -> None:
    bench.write({"f": "f"})
    bench.build(BASE)
    if change is not None:
        change(bench)
    told = bench.build(BASE, *words)
    found = re.findall(r"\[[0-9]/4\] (RUN|COPY) .*\nCACHED", told)
    if cached:
        assert " ".join(found) == cached
    else:  # a COPY on top goes by what the RUN has made: in the same second that may be the same
        assert "RUN" not in found
    again = bench.build(BASE, *words)
    assert again.count("CACHED") == 2  # what was made anew is remembered, too


@pytest.mark.parametrize(
    "line",
    ["HEALTHCHECK CMD %s", "ONBUILD RUN %s", "ENTRYPOINT %s", "CMD %s", "LABEL l=%s", "USER %s",
     "EXPOSE 8%s", "VOLUME /%s", "STOPSIGNAL %s", 'SHELL ["%s"]'],
)  # fmt: skip
def test_e05_what_changes_no_file_changes_the_image(bench: Bench, line: str) -> None:
    seen = []
    for word in ("1", "2", "1"):
        bench.build(f"FROM busybox\n{line % word}\n")
        seen.append((bench.image.id, bench.image.config.to_json()["config"]))
    assert seen[0] == seen[2]
    assert seen[0][0] != seen[1][0]
    assert seen[0][1] != seen[1][1]


def test_e05_a_planted_image_is_no_cache(bench: Bench) -> None:
    """CVE-2024-24557: one that says of itself that it came of these steps."""
    bench.build("FROM busybox\nRUN echo good > /g\n")
    with tarfile.open(bench.base / "planted.tar", "w") as tar:
        saved = bench.base / "saved.tar"
        with saved.open("wb") as out:
            bench.store.save(["out"], out)
        with tarfile.open(saved) as old:
            for member in old:
                file = old.extractfile(member)
                data = file.read() if file else b""
                tar.addfile(member, io.BytesIO(data))
    other = Bench(_folder(bench.base / "other"))
    other.store.load(str(bench.base / "planted.tar"))
    evil = other.store.resolve("out")
    assert [step.created_by for step in evil.config.history][-1].endswith("echo good > /g")
    assert "CACHED" not in other.build("FROM busybox\nRUN echo good > /g\n")


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main",
       "-c", "protocol.file.allow=always")  # fmt: skip


def git(folder: Path, *words: str) -> None:
    subprocess.run([*GIT, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """An empty repository, and the address where a daemon serves it."""
    work = tmp_path / "repos/app.git"
    work.mkdir(parents=True)
    git(work, "init", "-q")
    with serving(tmp_path / "repos") as address:
        yield work, f"{address}/app.git"


def test_e06_a_repository_s_folder_is_inside_it(
    bench: Bench, canary: Path, repository: tuple[Path, str]
) -> None:
    work, address = repository
    (work / "link").symlink_to(canary)
    (work / "up").symlink_to("../" * 12 + str(canary))
    git(work, "add", ".")
    git(work, "commit", "-q", "-m", "x")
    for folder in ("link", "up", "..", "link/../.."):
        told = bench.fail(f"FROM scratch\nADD {address}#main:{folder} /x\n")
        assert "no folder" in told
        done = bench.try_build_at(f"{address}#main:{folder}")
        assert done.returncode != 0 and "no folder" in done.stderr
    bench.build(f"FROM scratch\nADD {address} /x/\n")  # as links they are harmless
    assert bench.files()["x/link"] == f"-> {canary}"


@pytest.mark.parametrize("kind", ["file", "ext", "command", "dash"])
def test_e06_a_submodule_brings_no_file_and_runs_nothing(
    bench: Bench, canary: Path, repository: tuple[Path, str], kind: str
) -> None:
    work, address = repository
    inner = bench.base / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "f").write_text("inner")
    git(inner, "add", ".")
    git(inner, "commit", "-q", "-m", "x")
    git(work, "submodule", "add", "-q", str(inner), "sub")
    url = {"file": f"file://{inner}", "ext": f"ext::sh -c touch% {bench.base}/ran",
           "command": str(inner), "dash": f"-u./touch {bench.base}/ran"}[kind]  # fmt: skip
    more = f"\tupdate = !touch {bench.base}/ran\n" if kind == "command" else ""
    (work / ".gitmodules").write_text(f'[submodule "sub"]\n\tpath = sub\n\turl = {url}\n{more}')
    git(work, "add", ".")
    git(work, "commit", "-q", "-m", "y")
    told = bench.fail(f"FROM scratch\nADD {address} /x/\n")
    assert "Dockerfile:2: ADD: git " in told
    assert not (bench.base / "ran").exists()


@pytest.mark.parametrize("word", ["/x.bundle", "file:///etc/passwd", "ext::sh -c id", "-x.git"])
def test_e06_what_is_no_address_is_a_file_of_the_context(bench: Bench, word: str) -> None:
    told = bench.fail(f'FROM scratch\nADD ["{word}", "/x"]\n')
    assert "is not in the build context" in told
    done = bench.try_build_at(word)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_e07_secrets_stay_out_of_the_context(bench: Bench) -> None:
    """What is ignored is not seen by COPY, by a bind mount, by a pattern, or by its folder."""
    bench.write({".dockerignore": "\ufeff**/.env\r\nkeys\r\n!keys/pub\r\n", ".env": "planted-x",
                 "a/.env": "planted-x", "keys/id": "planted-x", "keys/pub": "pub"})  # fmt: skip
    bench.build(
        "FROM busybox\nCOPY . /all/\nCOPY k* /k/\nADD a /a/\n"
        "RUN --mount=target=/ctx find /ctx > /seen; cat /ctx/keys/id /ctx/.env 2>&1; true\n"
    )
    found = bench.files()
    assert {name for name in found if name.startswith(("all", "k/", "a/"))} == {
        "all/.dockerignore", "all/Dockerfile", "all/keys/pub", "k/pub",
    }  # fmt: skip
    assert "id" not in found["seen"].split("/")
    assert files_with(b"planted-x", bench.base / "data") == []
    for line in ("COPY keys/id /", "COPY .env /", "ADD a/.env /"):
        assert "is not in the build context" in bench.fail(f"FROM busybox\n{line}\n")


def test_e07_an_ignore_file_that_is_a_link(bench: Bench, canary: Path) -> None:
    """Inside the context it is followed; out of it, it is refused or says nothing."""
    bench.write({"rules": "no\n", "no": "x", "yes": "x"})
    (bench.context / ".dockerignore").symlink_to("rules")
    bench.build("FROM scratch\nCOPY . /x/\n")
    assert "x/no" not in bench.files()
    (bench.context / ".dockerignore").unlink()
    (bench.context / ".dockerignore").symlink_to(canary / "secret")
    done = bench.try_build()
    assert "planted-canary" not in done.stdout + done.stderr
    assert done.returncode != 0 or "x/no" in bench.files()
