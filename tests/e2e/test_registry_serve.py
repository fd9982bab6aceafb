"""skopeo, podman, buildah, dockerd and our client push to ``dockyard registry serve`` and pull."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockyard.base.pki import authority
from helpers import own_registry, registry_server
from helpers.own_registry import Server, ask
from helpers.tars import file, folder, hardlink, symlink, tar

pytestmark = pytest.mark.root

PROGRAM = Path(sys.executable).parent / "dockyard"
OCI = "application/vnd.oci.image.manifest.v1+json"


class Machine:
    """One data root of ours."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env = {**os.environ, "DOCKYARD_ROOT": str(root), "DOCKER_CONFIG": str(root / "cfg")}

    def run(self, *words: str) -> str:
        return run([str(PROGRAM), *words], env=self.env)


def run(words: list[str], env: dict[str, str] | None = None) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, env=env)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image with several kinds of files, as docker save writes it."""
    base = tmp_path_factory.mktemp("archive")
    rootfs = base / "rootfs.tar"
    rootfs.write_bytes(
        tar(
            folder("etc", mtime=1),
            file("etc/motd", b"hello\n", mtime=2, uid=7, mode=0o4755),
            symlink("link", "etc/motd"),
            hardlink("hard", "etc/motd"),
            file("big", os.urandom(2_500_000)),
        )
    )
    machine = Machine(base / "data")
    machine.run("image", "import", str(rootfs), "app:1")
    machine.run("image", "save", "-o", str(base / "app.tar"), "app:1")
    return base / "app.tar"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with own_registry.serve(tmp_path / "registry") as found:
        yield found


@contextlib.contextmanager
def podman(base: Path) -> Iterator[list[str]]:
    with tempfile.TemporaryDirectory() as short:  # its runroot has at most 50 characters
        yield ["podman", "--root", str(base), "--runroot", short, "--storage-driver", "vfs",
               "--cgroup-manager", "cgroupfs"]  # fmt: skip


def layers(name: str) -> list[str]:
    told = json.loads(run(["skopeo", "inspect", "--config", "--tls-verify=false", name]))
    found: list[str] = told["rootfs"]["diff_ids"]
    return found


@pytest.mark.parametrize("form", ["v2s2", "oci"])
def test_skopeo(server: Server, archive: Path, tmp_path: Path, form: str) -> None:
    name = f"docker://{server.address}/team/{form}:1"
    source = f"docker-archive:{archive}"
    run(["skopeo", "copy", "--dest-tls-verify=false", "-f", form, source, name])
    run(["skopeo", "copy", "--dest-tls-verify=false", "-f", form, source, name])  # all is there
    run(["skopeo", "copy", "--src-tls-verify=false", name, f"dir:{tmp_path / 'out'}"])
    assert json.loads((tmp_path / "out/manifest.json").read_text())["schemaVersion"] == 2
    tags = json.loads(run(["skopeo", "list-tags", "--tls-verify=false", name.rpartition(":")[0]]))
    assert tags["Tags"] == ["1"]
    run(["skopeo", "delete", "--tls-verify=false", name])
    assert ask(server.url, "GET", f"/v2/team/{form}/manifests/1").status == 404


def test_skopeo_copies_between_registries(server: Server, archive: Path, tmp_path: Path) -> None:
    """From Docker's registry to ours and back: the same digest on both sides."""
    with registry_server.serve(tmp_path / "peer") as peer:
        theirs, ours = f"docker://{peer.address}/a:1", f"docker://{server.address}/a:1"
        back = f"docker://{peer.address}/b:1"
        flags = ["--src-tls-verify=false", "--dest-tls-verify=false"]
        run(["skopeo", "copy", "--dest-tls-verify=false", f"docker-archive:{archive}", theirs])
        run(["skopeo", "copy", *flags, theirs, ours])
        run(["skopeo", "copy", *flags, ours, back])
        digests = {
            json.loads(run(["skopeo", "inspect", "--tls-verify=false", name]))["Digest"]
            for name in (theirs, ours, back)
        }
        assert len(digests) == 1


def test_podman(server: Server, archive: Path, tmp_path: Path) -> None:
    name = f"{server.address}/team/podman:1"
    with podman(tmp_path / "one") as words:
        loaded = run([*words, "load", "-q", "-i", str(archive)]).split()[-1]
        run([*words, "push", "-q", "--tls-verify=false", loaded, name])
    with podman(tmp_path / "two") as words:
        run([*words, "pull", "-q", "--tls-verify=false", name])
        assert json.loads(run([*words, "inspect", name]))[0]["RepoTags"] == [name]
    assert layers(f"docker://{name}") == layers(f"docker-archive:{archive}")


def test_buildah(server: Server, archive: Path, tmp_path: Path) -> None:
    name = f"{server.address}/team/buildah:1"
    with tempfile.TemporaryDirectory() as short:
        words = ["buildah", "--root", str(tmp_path / "b"), "--runroot", short,
                 "--storage-driver", "vfs"]  # fmt: skip
        identifier = run([*words, "pull", "-q", f"docker-archive:{archive}"]).strip()
        run([*words, "push", "-q", "--tls-verify=false", identifier, f"docker://{name}"])
        run([*words, "rmi", "-f", identifier])
        run([*words, "pull", "-q", "--tls-verify=false", name])
    assert layers(f"docker://{name}") == layers(f"docker-archive:{archive}")


@contextlib.contextmanager
def dockerd(base: Path, **settings: object) -> Iterator[list[str]]:
    """Debian's daemon with everything of its own; it makes no bridge and no rules."""
    with tempfile.TemporaryDirectory() as short:
        socket = f"{short}/s"
        config = Path(short, "daemon.json")
        config.write_text(
            json.dumps({key.replace("_", "-"): item for key, item in settings.items()})
        )
        with (base / "dockerd.log").open("wb") as log:
            daemon = subprocess.Popen(
                ["dockerd", "--config-file", config, "--data-root", base / "docker", "--exec-root",
                 f"{short}/exec", "--pidfile", f"{short}/pid", "--host", f"unix://{socket}",
                 "--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver",
                 "vfs"],
                stdout=log, stderr=log,
            )  # fmt: skip
        try:
            deadline = time.monotonic() + 60
            words = ["/usr/bin/docker", "-H", f"unix://{socket}"]
            while subprocess.run([*words, "version"], capture_output=True).returncode:
                assert daemon.poll() is None, (base / "dockerd.log").read_text()
                assert time.monotonic() < deadline, (base / "dockerd.log").read_text()
                time.sleep(0.1)
            yield words
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(60)


@pytest.mark.skipif(not shutil.which("dockerd"), reason="docker is not installed")
def test_dockerd(server: Server, archive: Path, tmp_path: Path) -> None:
    name = f"{server.address}/team/docker:1"
    with dockerd(tmp_path) as docker:
        env = {**os.environ, "DOCKER_CONFIG": str(tmp_path / "cfg")}
        assert "app:1" in run([*docker, "load", "-i", str(archive)], env)
        run([*docker, "tag", "app:1", name], env)
        pushed = run([*docker, "push", name], env)
        assert "digest: sha256:" in pushed
        run([*docker, "tag", "app:1", f"{server.address}/other:1"], env)
        assert "Mounted from team/docker" in run(
            [*docker, "push", f"{server.address}/other:1"], env
        )
        run([*docker, "rmi", "app:1", name, f"{server.address}/other:1"], env)
        assert "Status: Downloaded newer image" in run([*docker, "pull", name], env)
    assert layers(f"docker://{name}") == layers(f"docker-archive:{archive}")


@pytest.mark.skipif(not shutil.which("dockerd"), reason="docker is not installed")
def test_dockerd_logs_in_for_tokens_and_has_a_mirror(archive: Path, tmp_path: Path) -> None:
    """``docker login`` against our token server; ``docker pull app:1`` by way of our cache."""
    users = tmp_path / "users"
    users.write_text(run(["htpasswd", "-nbB", "-C", "4", "alice", "secret"]))
    with (
        registry_server.serve(tmp_path / "origin") as origin,
        own_registry.serve(tmp_path / "cache", "--proxy", f"http://{origin.address}") as cache,
        own_registry.serve(tmp_path / "own", "--htpasswd", str(users), "--tokens") as server,
        dockerd(tmp_path, registry_mirrors=[cache.url]) as docker,
    ):
        env = {**os.environ, "DOCKER_CONFIG": str(tmp_path / "cfg")}
        run(["skopeo", "copy", "-q", "--dest-tls-verify=false", f"docker-archive:{archive}",
             f"docker://{origin.address}/library/app:1"])  # fmt: skip
        assert "Status: Downloaded newer image" in run([*docker, "pull", "app:1"], env)
        assert json.loads(ask(cache.url, "GET", "/v2/_catalog").body) == {
            "repositories": ["library/app"]
        }
        name = f"{server.address}/team/app:1"
        run([*docker, "tag", "app:1", name], env)
        refused = subprocess.run([*docker, "push", name], capture_output=True, text=True, env=env)
        assert refused.returncode == 1
        wrong = subprocess.run([*docker, "login", "-u", "alice", "-p", "x", server.address],
                               capture_output=True, text=True, env=env)  # fmt: skip
        assert wrong.returncode == 1
        login = [*docker, "login", "-u", "alice", "-p", "secret", server.address]
        assert "Login Succeeded" in run(login, env)
        entry = json.loads((tmp_path / "cfg/config.json").read_text())["auths"][server.address]
        assert entry["identitytoken"].count(".") == 2 and "secret" not in str(entry)
        assert "digest: sha256:" in run([*docker, "push", name], env)
        run([*docker, "rmi", name], env)
        run([*docker, "pull", name], env)


def test_our_client(server: Server, archive: Path, tmp_path: Path) -> None:
    one, two = Machine(tmp_path / "one"), Machine(tmp_path / "two")
    name = f"{server.address}/team/ours:1"
    one.run("image", "load", "-i", str(archive))
    one.run("image", "tag", "app:1", name)
    one.run("push", name)
    two.run("pull", name)
    (ours,) = json.loads(one.run("image", "inspect", name))
    (theirs,) = json.loads(two.run("image", "inspect", name))
    assert (ours["Id"], ours["RootFS"]) == (theirs["Id"], theirs["RootFS"])


def test_skopeo_and_curl_show_certificates(archive: Path, tmp_path: Path) -> None:
    """docker's certs.d: an authority, and a client's certificate that it signed."""
    now = time.time()
    signer = authority.new_authority("test", now)
    server_pair = signer.server("registry", ["127.0.0.1"], now)
    client_pair = signer.client("carol", (), now)
    certs = tmp_path / "certs"
    certs.mkdir()
    (certs / "ca.crt").write_bytes(signer.pair.certificate)
    for name, pair in (("server", server_pair), ("client", client_pair)):
        (tmp_path / f"{name}.crt").write_bytes(pair.certificate)
        (tmp_path / f"{name}.key").write_bytes(pair.key)
    flags = ["--tls-cert", f"{tmp_path}/server.crt", "--tls-key", f"{tmp_path}/server.key",
             "--tls-client-ca", f"{certs}/ca.crt"]  # fmt: skip
    with own_registry.serve(tmp_path / "registry", *flags) as server:
        name = f"docker://{server.address}/team/app:1"
        copy = ["skopeo", "copy", "-q", "--dest-cert-dir", str(certs)]
        words = [*copy, f"docker-archive:{archive}", name]
        refused = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert refused.returncode == 1
        assert "pinging container registry" in refused.stderr
        shutil.copy(tmp_path / "client.crt", certs / "client.cert")
        shutil.copy(tmp_path / "client.key", certs / "client.key")
        run(words)
        out = f"dir:{tmp_path / 'out'}"
        run(["skopeo", "copy", "-q", "--src-cert-dir", str(certs), name, out])
        told = run(["curl", "-sS", "--cacert", f"{certs}/ca.crt", "--cert", f"{certs}/client.cert",
                    "--key", f"{certs}/client.key", f"{server.url}/v2/_catalog"])  # fmt: skip
        assert json.loads(told) == {"repositories": ["team/app"]}


def test_podman_pulls_through_the_cache(archive: Path, tmp_path: Path) -> None:
    """From Docker's registry, which is gone the second time."""
    with registry_server.serve(tmp_path / "origin") as origin:
        url = f"http://{origin.address}"
        run(["skopeo", "copy", "-q", "--dest-tls-verify=false", f"docker-archive:{archive}",
             f"docker://{origin.address}/team/app:1"])  # fmt: skip
        with (
            own_registry.serve(tmp_path / "cache", "--proxy", url) as cache,
            podman(tmp_path / "one") as words,
        ):
            run([*words, "pull", "-q", "--tls-verify=false", f"{cache.address}/team/app:1"])
    with own_registry.serve(tmp_path / "cache", "--proxy", url) as cache:
        name = f"{cache.address}/team/app:1"
        with podman(tmp_path / "two") as words:
            run([*words, "pull", "-q", "--tls-verify=false", name])
        assert layers(f"docker://{name}") == layers(f"docker-archive:{archive}")


def test_users_of_podman_and_skopeo_log_in_for_tokens(archive: Path, tmp_path: Path) -> None:
    """alice may push to her team's repositories, bob may pull, nobody else comes in."""
    users = tmp_path / "users"
    for name in ("alice", "bob"):
        flags = ["-nbB", "-C", "4"]
        with users.open("a") as written:
            written.write(run(["htpasswd", *flags, name, f"secret of {name}"]).strip() + "\n")
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"rules": [
        {"users": ["alice"], "repositories": ["team/*"], "actions": ["*"]},
        {"users": ["*"], "repositories": ["team/*"], "actions": ["pull"]},
    ]}))  # fmt: skip
    flags = ["--htpasswd", str(users), "--tokens", "--access", str(rules)]
    with own_registry.serve(tmp_path / "registry", *flags) as server:
        name = f"docker://{server.address}/team/app:1"
        copy = ["skopeo", "copy", "--dest-tls-verify=false", "-q", f"docker-archive:{archive}"]
        alice, bob = "alice:secret of alice", "bob:secret of bob"
        run([*copy, "--dest-creds", alice, name])
        refused = [
            [*copy, "--dest-creds", bob, name],
            [*copy, "--dest-creds", "alice:wrong", name],
            [*copy, "--dest-no-creds", name],
            [*copy, "--dest-creds", alice, f"docker://{server.address}/other/app:1"],
        ]
        for words in refused:
            done = subprocess.run(words, capture_output=True, text=True, timeout=60)
            assert done.returncode == 1
            assert any(word in done.stderr for word in ("unauthorized", "denied", "required"))
        inspect = ["skopeo", "inspect", "--tls-verify=false"]
        assert json.loads(run([*inspect, "--creds", bob, name]))["RepoTags"] == ["1"]

        with podman(tmp_path / "p") as words:
            auth = ["--authfile", str(tmp_path / "auth.json"), "--tls-verify=false"]
            login = ["login", *auth, "-u", "bob", "-p", "secret of bob", server.address]
            assert "Login Succeeded" in run([*words, *login])
            run([*words, "pull", "-q", *auth, f"{server.address}/team/app:1"])
        machine = Machine(tmp_path / "ours")
        machine.run("pull", "--creds", bob, f"{server.address}/team/app:1")
