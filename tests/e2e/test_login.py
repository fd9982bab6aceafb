"""login, logout, credential helpers, client certificates, mirrors, proxies: against Debian's
docker-registry, with a helper, a proxy and certificates of the test's own."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import own_registry, registry_server
from helpers.machine import Machine, archive, skopeo
from helpers.proxies import Proxy, certificate, proxy, socks_proxy
from helpers.registry_server import Registry
from helpers.tars import file, tar

pytestmark = pytest.mark.root

HELPER = """#!/bin/sh
# docker-credential-test: one file a server, as docker's protocol has it
read -r line
echo "$1 $line" >> "$HELPER_DIR/log"
case $1 in
  get) cat "$HELPER_DIR/entry" 2>/dev/null && exit
    echo "credentials not found in native keychain"; exit 1 ;;
  store) echo "$line" > "$HELPER_DIR/entry" ;;
  erase) rm -f "$HELPER_DIR/entry" ;;
esac
"""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    found = Machine(tmp_path / "one")
    found.run("image", "load", "-qi", str(archive(tmp_path / "a.tar", tar(file("f")))))
    return found


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Registry]:
    made = subprocess.run(
        ["htpasswd", "-nbB", "ann", "secret"], capture_output=True, text=True, check=True
    )
    with registry_server.serve(tmp_path / "registry", htpasswd=made.stdout) as found:
        yield found


def piped(machine: Machine, text: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [machine.program, *words], env=machine.env, input=text, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip


def test_login_writes_what_docker_writes(guarded: Registry, machine: Machine) -> None:
    name = f"{guarded.address}/a:1"
    machine.run("image", "tag", "plain:1", name)
    assert machine.try_run("push", name).returncode == 1
    config = machine.root / "cfg/config.json"
    refused = piped(machine, "wrong\n", "login", "-u", "ann", "--password-stdin", guarded.address)
    assert refused.returncode == 1
    assert "401" in refused.stderr
    assert "wrong" not in refused.stderr
    assert not config.exists()

    done = piped(machine, "secret\n", "login", "-u", "ann", "--password-stdin", guarded.address)
    assert (done.returncode, done.stdout) == (0, "Login Succeeded\n")
    assert "stored unencrypted" in done.stderr
    packed = base64.b64encode(b"ann:secret").decode()
    assert json.loads(config.read_text()) == {"auths": {guarded.address: {"auth": packed}}}
    assert config.stat().st_mode & 0o777 == 0o600
    machine.run("push", "-q", name)

    gone = f"Removing login credentials for {guarded.address}\n"
    assert machine.run("logout", guarded.address) == gone
    assert machine.run("logout", guarded.address) == f"Not logged in to {guarded.address}\n"
    assert machine.try_run("pull", name).returncode == 1


def helper_program(machine: Machine, folder: Path) -> None:
    """``docker-credential-test`` for this machine, which keeps things in ``folder``."""
    (folder / "bin").mkdir()
    program = folder / "bin/docker-credential-test"
    program.write_text(HELPER)
    program.chmod(0o755)
    machine.env |= {"PATH": f"{folder}/bin:{os.environ['PATH']}", "HELPER_DIR": str(folder)}


def test_a_helper_keeps_the_password(guarded: Registry, machine: Machine, tmp_path: Path) -> None:
    helper_program(machine, tmp_path)
    config = machine.root / "cfg/config.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"credsStore": "test", "other": {"kept": True}}))
    done = piped(machine, "secret", "login", "-u", "ann", "--password-stdin", guarded.address)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Login Succeeded\n", "")
    assert json.loads((tmp_path / "entry").read_text()) == {
        "ServerURL": guarded.address, "Username": "ann", "Secret": "secret",
    }  # fmt: skip
    assert "secret" not in config.read_text()
    assert json.loads(config.read_text())["other"] == {"kept": True}
    name = f"{guarded.address}/a:1"
    machine.run("image", "tag", "plain:1", name)
    machine.run("push", "-q", name)
    assert f"get {guarded.address}" in (tmp_path / "log").read_text()
    machine.run("logout", guarded.address)
    assert not (tmp_path / "entry").exists()
    assert machine.try_run("push", name).returncode == 1
    config.write_text(json.dumps({"credHelpers": {guarded.address: "nowhere"}}))
    assert "docker-credential-nowhere: is not installed" in machine.try_run("push", name).stderr
    config.write_text(json.dumps({"credsStore": "../../bin/sh"}))
    assert "is no program's name" in machine.try_run("push", name).stderr


def test_a_token_is_kept_instead_of_the_password(machine: Machine, tmp_path: Path) -> None:
    """As docker does where the token server gives one: in config.json, or to a helper."""
    made = subprocess.run(
        ["htpasswd", "-nbB", "ann", "secret"], capture_output=True, text=True, check=True
    )
    (tmp_path / "users").write_text(made.stdout)
    helper_program(machine, tmp_path)
    flags = ("--htpasswd", str(tmp_path / "users"), "--tokens")
    with own_registry.serve(tmp_path / "r", *flags) as registry:
        login = ("login", "-u", "ann", "--password-stdin", registry.address)
        done = piped(machine, "secret", *login)
        assert (done.returncode, done.stdout, done.stderr) == (0, "Login Succeeded\n", "")
        config = machine.root / "cfg/config.json"
        entry = json.loads(config.read_text())["auths"][registry.address]
        assert entry["auth"] == base64.b64encode(b"ann:").decode()
        assert set(entry) == {"auth", "identitytoken"}
        machine.run("image", "tag", "plain:1", f"{registry.address}/a:1")
        machine.run("push", "-q", f"{registry.address}/a:1")
        skopeo("copy", "--src-tls-verify=false", "--authfile", str(config),
               f"docker://{registry.address}/a:1", f"dir:{tmp_path / 'got'}")  # fmt: skip
        config.write_text(json.dumps({"credsStore": "test"}))
        assert piped(machine, "secret", *login).returncode == 0
        kept = json.loads((tmp_path / "entry").read_text())
        assert (kept["ServerURL"], kept["Username"]) == (registry.address, "<token>")
        machine.run("pull", "-q", f"{registry.address}/a:1")


def test_what_skopeo_and_podman_know_is_known(
    guarded: Registry, machine: Machine, tmp_path: Path
) -> None:
    """containers-auth.json(5), in the places where they write it; docker's file goes before."""
    name = f"{guarded.address}/team/app:1"
    machine.run("image", "tag", "plain:1", name)
    login = ("login", "--tls-verify=false", "-u", "ann", "-p", "secret")
    named = tmp_path / "named.json"
    skopeo(*login, "--authfile", str(named), f"{guarded.address}/team")  # for what is below alone
    assert machine.try_run("push", name).returncode == 1
    machine.env["REGISTRY_AUTH_FILE"] = str(named)
    machine.run("push", "-q", name)
    machine.run("image", "tag", "plain:1", f"{guarded.address}/other/app:1")
    assert machine.try_run("push", f"{guarded.address}/other/app:1").returncode == 1
    del machine.env["REGISTRY_AUTH_FILE"]

    machine.env |= {"XDG_RUNTIME_DIR": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "lasting")}
    (tmp_path / "containers").mkdir()
    skopeo(*login, "--authfile", str(tmp_path / "containers/auth.json"), guarded.address)
    machine.run("pull", "-q", name)
    still = machine.try_run("logout", guarded.address)
    assert still.stdout == f"Not logged in to {guarded.address}\n"
    assert f"{tmp_path}/containers/auth.json knows it still" in still.stderr
    (tmp_path / "containers").rename(tmp_path / "lasting")
    (tmp_path / "lasting/containers").mkdir()
    (tmp_path / "lasting/auth.json").rename(tmp_path / "lasting/containers/auth.json")
    machine.run("pull", "-q", name)
    config = machine.root / "cfg/config.json"
    config.parent.mkdir(exist_ok=True)
    wrong = base64.b64encode(b"ann:wrong").decode()
    config.write_text(json.dumps({"auths": {guarded.address: {"auth": wrong}}}))
    assert machine.try_run("pull", name).returncode == 1


def test_mirrors_are_asked_first_and_passed_over(machine: Machine, tmp_path: Path) -> None:
    conf = tmp_path / "registries.conf"
    machine.env["CONTAINERS_REGISTRIES_CONF"] = str(conf)
    with registry_server.serve(tmp_path / "r") as registry:
        kept = f"{registry.address}/kept/app:1"
        machine.run("image", "tag", "plain:1", kept)
        machine.run("push", "-q", kept)
        dead = registry_server.free_port()
        conf.write_text(f"""
            [[registry]]
            prefix = "registry.invalid/team"
            location = "registry.invalid/elsewhere"
            [[registry.mirror]]
            location = "127.0.0.1:{dead}/gone"
            [[registry.mirror]]
            location = "{registry.address}/kept"
            [[registry]]
            prefix = "registry.invalid/team/secret"
            blocked = true
        """)
        other = Machine(tmp_path / "two")
        other.env["CONTAINERS_REGISTRIES_CONF"] = str(conf)
        told = other.run("pull", "registry.invalid/team/app:1")
        assert f"mirror 127.0.0.1:{dead}" in told
        assert other.run("images", "-q", "registry.invalid/team/app:1").strip()
        blocked = other.try_run("pull", "registry.invalid/team/secret:1")
        assert blocked.returncode == 1
        assert "is blocked by" in blocked.stderr
        conf.write_text("[[registry]]\nprefix = 3\n")
        assert "prefix: a text is expected" in other.try_run("pull", "x").stderr


def test_short_names_are_looked_for_where_the_user_says(machine: Machine, tmp_path: Path) -> None:
    """As podman resolves them, and says so; the same image is found again by its short name."""
    conf = tmp_path / "registries.conf"
    with (
        registry_server.serve(tmp_path / "r1") as first,
        registry_server.serve(tmp_path / "r2") as second,
    ):
        name = f"{second.address}/team/app:1"
        machine.run("image", "tag", "plain:1", name)
        machine.run("push", "-q", name)
        other = Machine(tmp_path / "two")
        other.env["CONTAINERS_REGISTRIES_CONF"] = str(conf)
        search = f'unqualified-search-registries = ["{first.address}", "{second.address}"]\n'
        conf.write_text(search)
        told = other.run("pull", "team/app:1")
        assert f'Resolving "team/app" using unqualified-search registries ({conf})\n' in told
        trying = [line for line in told.splitlines() if line.startswith("Trying to pull")]
        assert trying == [f"Trying to pull {first.address}/team/app:1...",
                          f"Trying to pull {name}..."]  # fmt: skip
        assert told.endswith(f"\n{name}\n")
        assert json.loads(other.run("image", "inspect", "team/app:1"))[0]["RepoTags"] == [name]
        refused = other.try_run("pull", "team/none:1")
        assert refused.returncode == 1
        assert f"2 registries of {conf}: " in refused.stderr
        leaky = other.try_run("pull", "--creds", "me:secret", "team/app:1")
        assert leaky.returncode == 1 and "full name" in leaky.stderr
        conf.write_text(f'{search}short-name-mode = "enforcing"\n[aliases]\napp = "{name[:-2]}"\n')
        assert "which of" in other.try_run("pull", "team/none:1").stderr
        told = other.run("pull", "app:1")
        assert told.startswith(f'Resolved "app" as an alias ({conf})\n')
        assert told.endswith(f"\n{name}\n")


def test_proxies_of_the_environment(machine: Machine, tmp_path: Path) -> None:
    """A name that nobody resolves is reached through the proxy alone."""
    with registry_server.serve(tmp_path / "r") as registry, proxy(registry.address) as url:
        machine.run("image", "tag", "plain:1", f"{registry.address}/app:1")
        machine.run("push", "-q", f"{registry.address}/app:1")
        other = Machine(tmp_path / "two")
        other.env |= {"HTTP_PROXY": url, "https_proxy": url}
        other.run("pull", "-q", "--no-tls-verify", "registry.invalid/app:1")
        shown = "Basic " + base64.b64encode(b"me:pass").decode()
        assert Proxy.seen[0] == ("registry.invalid:443", shown)
        assert ("http://registry.invalid/v2/app/manifests/1", shown) in Proxy.seen
        seen = len(Proxy.seen)
        other.env["NO_PROXY"] = "example.com,.invalid"
        refused = other.try_run("pull", "--no-tls-verify", "registry.invalid/app:1")
        assert refused.returncode == 1
        assert len(Proxy.seen) == seen


def test_a_socks_proxy_for_all(machine: Machine, tmp_path: Path) -> None:
    """RFC 1928: the name is the proxy's to resolve; what is within may be TLS."""
    ours = certificate(tmp_path, "registry", "DNS:registry.invalid")
    flags = ("--tls-cert", str(ours[0]), "--tls-key", str(ours[1]))
    with own_registry.serve(tmp_path / "r", *flags) as registry:
        machine.run("image", "tag", "plain:1", "registry.invalid/app:1")
        machine.env["SSL_CERT_FILE"] = str(ours[0])
        with socks_proxy(registry.address, ("me", "p@ss")) as (where, seen):
            machine.env["ALL_PROXY"] = f"socks5://me:p%40ss@{where}"
            machine.run("push", "-q", "registry.invalid/app:1")
            machine.run("pull", "-q", "registry.invalid/app:1")
            assert set(seen) == {("registry.invalid", 443)}
            machine.env["ALL_PROXY"] = f"socks5h://{where}"
            refused = machine.try_run("pull", "registry.invalid/app:1")
            assert "it wants USER:PASSWORD in its URL" in refused.stderr


def test_a_proxy_that_speaks_tls(machine: Machine, tmp_path: Path) -> None:
    """``https://`` in its URL: CONNECT within TLS, and the registry's TLS within that."""
    ours = certificate(tmp_path, "registry", "DNS:registry.invalid")
    theirs = certificate(tmp_path, "proxy", "IP:127.0.0.1")
    flags = ("--tls-cert", str(ours[0]), "--tls-key", str(ours[1]))
    trusted = tmp_path / "certs.d/registry.invalid"
    trusted.mkdir(parents=True)
    (trusted / "ca.crt").write_bytes(ours[0].read_bytes())
    words = ("--cert-dir", str(tmp_path / "certs.d"), "registry.invalid/app:1")
    machine.run("image", "tag", "plain:1", "registry.invalid/app:1")
    with (
        own_registry.serve(tmp_path / "r", *flags) as registry,
        proxy(registry.address, theirs) as url,
    ):
        machine.env |= {"HTTPS_PROXY": url, "NO_PROXY": "registry.invalid:444,other.invalid"}
        refused = machine.try_run("push", *words)
        assert refused.returncode == 1
        assert "certificate verify failed" in refused.stderr  # the proxy's: nobody trusts it
        assert Proxy.seen == []
        machine.env["SSL_CERT_FILE"] = str(theirs[0])
        machine.run("push", "-q", *words)
        other = Machine(tmp_path / "two")
        other.env |= {key: machine.env[key] for key in ("HTTPS_PROXY", "SSL_CERT_FILE")}
        other.run("pull", "-q", *words)
        shown = "Basic " + base64.b64encode(b"me:pass").decode()
        assert set(Proxy.seen) == {("registry.invalid:443", shown)}
        other.env["HTTPS_PROXY"] = url.replace("me:pass@", "")
        refused = other.try_run("pull", *words)
        assert refused.returncode == 1
        assert "407 for registry.invalid:443: it wants USER:PASSWORD in its URL" in refused.stderr
