"""Turns Debian's docker-registry into a registry for one test: own port, own folder, gone after."""

import base64
import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROGRAM = shutil.which("docker-registry")


class Registry(NamedTuple):
    """A running registry. ``address`` is ``127.0.0.1:port``."""

    address: str
    storage: Path

    def blob_path(self, digest: str) -> Path:
        hexes = digest.partition(":")[2]
        blobs = self.storage / "docker/registry/v2/blobs/sha256"
        return blobs / hexes[:2] / hexes / "data"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def serve(
    folder: Path,
    *,
    htpasswd: str | None = None,
    tls: tuple[Path, Path] | None = None,
    token_realm: tuple[str, Path] | None = None,
    delete: bool = False,
) -> Iterator[Registry]:
    """``tls``: certificate and key. ``token_realm``: URL and the issuer's certificate bundle."""
    assert PROGRAM, "docker-registry is in tools/system-packages.txt"
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "data")},
            "delete": {"enabled": delete},
        },
    }
    http_section: dict[str, object] = {"addr": f"127.0.0.1:{port}"}
    if tls:
        http_section["tls"] = {"certificate": str(tls[0]), "key": str(tls[1])}
    config["http"] = http_section
    if htpasswd is not None:
        (folder / "htpasswd").write_text(htpasswd)
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    if token_realm is not None:
        realm, bundle = token_realm
        config["auth"] = {
            "token": {
                "realm": realm,
                "service": "registry.test",
                "issuer": "issuer.test",
                "rootcertbundle": str(bundle),
            }
        }
    path = folder / "config.yml"
    path.write_text(json.dumps(config))  # JSON is YAML
    log = (folder / "log").open("wb")
    server = subprocess.Popen([PROGRAM, "serve", str(path)], stdout=log, stderr=log)
    try:
        _wait(port, server, folder / "log")
        yield Registry(f"127.0.0.1:{port}", folder / "data")
    finally:
        server.terminate()
        server.wait(10)
        log.close()


def _wait(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(200):
        assert server.poll() is None, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"docker-registry does not listen: {log.read_text()}")


def get(address: str, path: str, login: str | None = None) -> tuple[int, bytes]:
    """A plain GET, independent of our client."""
    connection = http.client.HTTPConnection(address, timeout=10)
    headers = {}
    if login:
        headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read()
