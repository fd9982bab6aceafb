"""``ADD``: archives, URLs from a server on this machine, git from a daemon on this machine."""

import functools
import gzip
import hashlib
import http.server
import io
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockyard.base.errors import Unsupported
from dockyard.node.build.download import download
from helpers import own_registry
from helpers.buildbench import Bench
from helpers.gitdaemon import serving
from helpers.proxies import Proxy, certificate, proxy, socks_proxy

pytestmark = pytest.mark.root


def tar_of(files: dict[str, str], mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:  # type: ignore[call-overload]
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.uid, member.gid = len(text), 0o640, 7, 8
            member.mtime = 1000
            tar.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


@pytest.mark.parametrize("kind", ["w", "w:gz", "w:bz2", "w:xz"])
def test_archives_are_unpacked(bench: Bench, kind: str) -> None:
    (bench.context / "any.name").write_bytes(tar_of({"in/f": "f", "g": "g"}, kind))
    bench.build(
        "FROM busybox\nADD any.name /to/\nADD --chown=1:2 any.name /own\n"
        "ADD --unpack=false any.name /kept\nCOPY any.name /copied\n"
    )
    found = bench.files()
    assert (found["to/in/f"], found["to/g"], found["own/g"]) == ("f", "g", "g")
    assert {"kept", "copied"} <= set(found)
    one, other = (bench.top(3) / "to/g").stat(), (bench.top(2) / "own/g").stat()
    assert (one.st_uid, one.st_gid, one.st_mode & 0o777, one.st_mtime) == (7, 8, 0o640, 1000)
    assert (other.st_uid, other.st_gid) == (1, 2)


def test_files_that_only_look_like_archives_stay(bench: Bench) -> None:
    (bench.context / "x.tar.gz").write_bytes(gzip.compress(b"text"))
    bench.write({"dir/f": "f", "y.tar": "no tar"})
    (bench.context / "dir/in.tar").write_bytes(tar_of({"a": "a"}))
    bench.build("FROM scratch\nADD x.tar.gz y.tar /\nADD dir /dir\n")
    assert set(bench.files()) == {"x.tar.gz", "y.tar", "dir/f", "dir/in.tar"}


@pytest.mark.parametrize("name", ["../out", "/abs", "a/../../out"])
def test_e02_an_archive_stays_inside(bench: Bench, name: str) -> None:
    (bench.context / "evil.tar").write_bytes(tar_of({name: "evil"}))
    bench.write({"Dockerfile": "FROM scratch\nADD evil.tar /to/\n"})
    done = bench.try_build()
    assert done.returncode == 0 or "Dockerfile:2: ADD" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (bench.base / "out").exists()
    assert not Path("/abs").exists()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "www"
    (folder / "d").mkdir(parents=True)
    (folder / "d/file.txt").write_text("from the web")
    os.utime(folder / "d/file.txt", (5000, 5000))
    (folder / "a.tar").write_bytes(tar_of({"inner": "i"}))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            where = {"/moved": "/d/file.txt", "/local": "http://169.254.169.254/x",
                     "/file": "file:///etc/passwd"}.get(self.path)  # fmt: skip
            if where is None:
                super().do_GET()
                return
            self.send_response(302)
            self.send_header("Location", where)
            self.end_headers()

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{found.server_port}"
        finally:
            found.shutdown()
            thread.join()


def test_urls(bench: Bench, server: str) -> None:
    digest = hashlib.sha256(b"from the web").hexdigest()
    bench.build(
        f"FROM busybox\nADD {server}/d/file.txt /got/\n"
        f"ADD --checksum=sha256:{digest} {server}/moved /m\n"
        f"ADD --unpack=true {server}/a.tar /un/\nADD {server}/a.tar /kept/\n"
        f"ADD --chmod=644 --chown=5 {server}/d/file.txt /own\n"
    )
    found = bench.files()
    assert (found["got/file.txt"], found["m"], found["un/inner"]) == (
        "from the web", "from the web", "i",
    )  # fmt: skip
    assert "kept/a.tar" in found
    got, own = (bench.top(4) / "got/file.txt").stat(), (bench.top() / "own").stat()
    assert (got.st_mode & 0o777, got.st_mtime, got.st_uid) == (0o600, 5000, 0)
    assert (own.st_mode & 0o777, own.st_uid, own.st_gid) == (0o644, 5, 5)
    told = bench.fail(f"FROM busybox\nADD --checksum=sha256:{'0' * 64} {server}/moved /m\n")
    assert f"digest mismatch sha256:{digest}" in told
    for checksum in ("abcdef1", "$SUM"):
        told = bench.fail(
            f"FROM busybox\nARG SUM=crc32:0\nADD --checksum={checksum} {server}/moved /m\n"
        )
        assert "sha256:HEX is expected" in told
    told = bench.fail("FROM busybox\nADD http://[:: /m\n")
    assert "leads to 'http://[::'" in told
    told = bench.fail(f"FROM busybox\nADD {server}/none /m\n")
    assert "invalid response status 404" in told
    told = bench.fail(f"FROM busybox\nADD {server}/ /m/\n")
    assert "cannot determine filename for source" in told


@pytest.mark.parametrize(
    ("path", "told"),
    [("/file", "http or https is expected"), ("/local", "a link-local address; refused")],
)
def test_e06_redirects_lead_to_the_web_only(
    bench: Bench, server: str, path: str, told: str
) -> None:
    assert told in bench.fail(f"FROM busybox\nADD {server}{path} /x\n")


def test_urls_behind_a_proxy(
    bench: Bench, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's, as for registries: names are the proxy's to resolve."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    target = server.removeprefix("http://")
    with proxy(target) as url:
        monkeypatch.setenv("HTTP_PROXY", url)
        bench.build("FROM scratch\nADD http://far.invalid/d/file.txt?x=1 /a\n")
        assert bench.files() == {"a": "from the web"}
        assert [path for path, _ in Proxy.seen] == ["http://far.invalid/d/file.txt?x=1"]
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        assert "refused" in bench.fail("FROM scratch\nADD http://far.invalid/d/file.txt /b\n")
    monkeypatch.delenv("HTTP_PROXY")
    with socks_proxy(target) as (where, seen):
        monkeypatch.setenv("ALL_PROXY", f"socks5://{where}")
        bench.build("FROM scratch\nADD http://far.invalid/d/file.txt?x=2 /c\n")
        assert seen == [("far.invalid", 80)]


def test_tls_behind_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = certificate(tmp_path, "far", "DNS:far.invalid")
    monkeypatch.setenv("SSL_CERT_FILE", str(ours[0]))
    monkeypatch.setenv("NO_PROXY", "")
    flags = ("--tls-cert", str(ours[0]), "--tls-key", str(ours[1]))
    with own_registry.serve(tmp_path / "r", *flags) as far, proxy(far.address) as url:
        monkeypatch.setenv("HTTPS_PROXY", url)
        download("https://far.invalid/v2/", str(tmp_path / "got"))
        assert (tmp_path / "got").read_bytes() == b"{}"
        assert [path for path, _ in Proxy.seen] == ["far.invalid:443"]
        monkeypatch.setenv("HTTPS_PROXY", url.replace("http:", "https:"))
        with pytest.raises(Unsupported, match="TLS to a proxy is not implemented for ADD of https"):
            download("https://far.invalid/v2/", str(tmp_path / "got"))


def git(folder: Path, *words: str) -> str:
    env = {
        "PATH": os.environ["PATH"], "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b", "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_AUTHOR_DATE": "100000000 +0000", "GIT_COMMITTER_DATE": "100000000 +0000",
    }  # fmt: skip
    return subprocess.run(
        ["git", *words], cwd=folder, env=env, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A git daemon's address of a repository, and its first commit."""
    work = tmp_path / "repos" / "app.git"
    (work / "service").mkdir(parents=True)
    git(work, "init", "-q", "-b", "main")
    (work / "top").write_text("one")
    (work / "service/Dockerfile").write_text("FROM scratch\nCOPY . /here/\n")
    (work / "run.sh").write_text("#!/bin/sh\n")
    (work / "run.sh").chmod(0o755)
    git(work, "add", ".")
    git(work, "commit", "-q", "-m", "one")
    first = git(work, "rev-parse", "HEAD")
    git(work, "tag", "v1")
    (work / "top").write_text("two")
    git(work, "commit", "-q", "-a", "-m", "two")
    hook = work / ".git/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o755)
    with serving(tmp_path / "repos") as address:
        yield f"{address}/app.git", first


def test_git(bench: Bench, repository: tuple[str, str]) -> None:
    address, first = repository
    bench.build(
        f"FROM busybox\nADD {address} /main\nADD {address}#v1 /v1\n"
        f"ADD {address}#main:service /sub\n"
        f"ADD --keep-git-dir=true {address}#v1 /kept\nADD --checksum={first} {address}#v1 /sum\n"
    )
    found = bench.files()
    assert (found["main/top"], found["v1/top"], found["sum/top"]) == ("two", "one", "one")
    assert "sub/Dockerfile" in found
    assert "kept/.git/HEAD" in found
    assert "main/.git/HEAD" not in found
    run = (bench.top(4) / "main/run.sh").stat()
    assert (run.st_mode & 0o777, run.st_mtime) == (0o755, 100000000)
    assert not (bench.base / "hooked").exists()
    told = bench.fail(f"FROM busybox\nADD --checksum={'0' * 40} {address}#v1 /x\n")
    assert "expected checksum to match" in told
    told = bench.fail(f"FROM busybox\nADD {address}#main:../.. /x\n")
    assert "no folder '../..'" in told


def test_a_repository_as_the_context(bench: Bench, repository: tuple[str, str]) -> None:
    address, _ = repository
    done = bench.try_build_at(f"{address}#main:service")
    assert done.returncode == 0, done.stderr
    assert "here/Dockerfile" in bench.files()


@pytest.mark.parametrize(
    "word",
    ["git@-oProxyCommand=x:y/z.git", "https://h/r.git#-x", "https://h/r.git#a..b", "ext::sh -c x"],
)
def test_e06_addresses_that_steer_git(bench: Bench, word: str) -> None:
    told = bench.fail(f'FROM busybox\nADD ["{word}", "/x"]\n')
    assert "Dockerfile:2: ADD" in told or "git: " in told
    assert not (bench.base / "hooked").exists()


def test_archives_that_a_pattern_fits_go_into_one_folder(bench: Bench) -> None:
    (bench.context / "t.tar").write_bytes(tar_of({"foo": "content0"}))
    (bench.context / "b.tar").write_bytes(tar_of({"bar": "content1"}))
    bench.build("FROM scratch\nADD *.tar /dest\n")
    found = bench.files()
    assert (found["dest/foo"], found["dest/bar"]) == ("content0", "content1")
    told = bench.fail("FROM scratch\nADD t.tar b.tar /dest\n")
    assert "with several sources it must end with /" in told


def test_archives_through_links_of_the_image(bench: Bench) -> None:
    """/var/run leads to /run in most images; parents that an archive implies are made."""

    def member(name: str, kind: bytes, target: str = "", text: str = "") -> None:
        item = tarfile.TarInfo(name)
        item.type, item.linkname, item.size = kind, target, len(text)
        tar.addfile(item, io.BytesIO(text.encode()))

    with tarfile.open(bench.context / "root.tar", "w") as tar:
        for name in ("run", "var"):
            member(name, tarfile.DIRTYPE)
        member("var/run", tarfile.SYMTYPE, "/run")
    with tarfile.open(bench.context / "payload.tar", "w") as tar:
        member("var/run/act", tarfile.DIRTYPE)
        member("var/run/act/.git", tarfile.DIRTYPE)
        member("var/run/act/.git/HEAD", tarfile.REGTYPE, text="ref: main")
        member("var/run/act/.git/HEAD.link", tarfile.LNKTYPE, "var/run/act/.git/HEAD")
        member("etc/dnf/dnf.conf", tarfile.REGTYPE, text="implied")
    bench.build("FROM scratch\nADD root.tar /\nADD payload.tar /\n")
    found = bench.files()
    assert found["var/run"] == "-> /run"
    assert (found["run/act/.git/HEAD"], found["run/act/.git/HEAD.link"]) == ("ref: main",) * 2
    assert found["etc/dnf/dnf.conf"] == "implied"
