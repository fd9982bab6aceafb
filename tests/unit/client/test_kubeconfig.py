"""kubeconfig files: which one counts, what they name, and what is refused."""

from __future__ import annotations

import base64
import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.errors import Invalid, NotFound, Unsupported
from dockyard.base.pki.authority import new_authority
from dockyard.cluster.client.kubeconfig import load

NOW = 1_700_000_000.0


def config(tmp_path: Path, name: str = "config", **fields: Any) -> Path:
    text = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}},
                     {"name": "other", "context": {"cluster": "k", "namespace": "shop"}}],
        "clusters": [{"name": "k", "cluster": {"server": "http://127.0.0.1:8080"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        **fields,
    }  # fmt: skip
    path = tmp_path / name
    path.write_text(json.dumps(text))
    return path


def test_the_current_context_or_another(tmp_path: Path) -> None:
    path = config(tmp_path)
    assert load([path]) == ("http://127.0.0.1:8080", None, "t", "default")
    assert load([path], "other") == ("http://127.0.0.1:8080", None, "", "shop")


def test_the_first_file_that_says_something_counts(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    users = [{"name": "u", "user": {"token": "first"}}]
    first = config(tmp_path, "first", users=users, clusters=None, contexts=None)
    assert load([missing, first, config(tmp_path)]).token == "first"


def test_certificates_from_files_beside_the_config_or_in_it(tmp_path: Path) -> None:
    authority = new_authority("test", NOW)
    pair = authority.client("admin", ("system:masters",), NOW)
    (tmp_path / "ca.crt").write_bytes(authority.pair.certificate)
    (tmp_path / "me.crt").write_bytes(pair.certificate)
    (tmp_path / "me.key").write_bytes(pair.key)
    server = "https://127.0.0.1:6443"
    named = config(
        tmp_path,
        clusters=[{"name": "k", "cluster": {"server": server, "certificate-authority": "ca.crt"}}],
        users=[{"name": "u", "user": {"client-certificate": "me.crt", "client-key": "me.key"}}],
    )
    embedded = base64.b64encode(authority.pair.certificate).decode()
    inside = config(
        tmp_path,
        "inside",
        clusters=[
            {"name": "k",
             "cluster": {"server": server, "certificate-authority-data": embedded}}
        ],
        users=[{"name": "u", "user": {
            "client-certificate-data": base64.b64encode(pair.certificate).decode(),
            "client-key-data": base64.b64encode(pair.key).decode()}}],
    )  # fmt: skip
    for path in (named, inside):
        tls = load([path]).tls
        assert isinstance(tls, ssl.SSLContext)
        assert tls.verify_mode == ssl.CERT_REQUIRED
        assert len(tls.get_ca_certs()) == 1


def test_a_token_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    path = config(tmp_path, users=[{"name": "u", "user": {"tokenFile": "token"}}])
    assert load([path]).token == "from-file"


@pytest.mark.parametrize(
    ("fields", "error", "told"),
    [
        ({"current-context": ""}, Invalid, "has no current-context"),
        ({"current-context": "x"}, NotFound, "context 'x': is missing; there is: c, other"),
        ({"clusters": []}, NotFound, "cluster 'k': is missing"),
        ({"users": [{"name": "u", "user": {"exec": {"command": "x"}}}]}, Unsupported, "exec"),
        ({"users": [{"name": "u", "user": {"username": "x"}}]}, Unsupported, "username"),
        ({"clusters": [{"name": "k", "cluster": {
            "server": "https://a", "certificate-authority-data": "?"}}]}, Invalid, "base64"),
        ({"clusters": [{"name": "k", "cluster": {
            "server": "https://a", "certificate-authority-data": "eA=="}}]}, Invalid, "https://a"),
    ],
)  # fmt: skip
def test_what_is_refused(
    tmp_path: Path, fields: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error) as caught:
        load([config(tmp_path, **fields)])
    assert told in str(caught.value)


def test_no_file_at_all(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="dockyard up"):
        load([tmp_path / "missing"])
    (tmp_path / "text").write_text("words\n")
    with pytest.raises(Invalid, match="is no object"):
        load([tmp_path / "text"])
