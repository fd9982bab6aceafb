"""Who may come in: passwords, tokens, certificates, rules (C02, C05)."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from helpers import own_registry
from helpers.own_registry import Reply, Server, ask, basic, until


def code(reply: Reply) -> str:
    found: str = json.loads(reply.body)["errors"][0]["code"]
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, users: Path, rules: Path) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("r") / "root"
    with own_registry.serve(root, "--htpasswd", str(users), "--access", str(rules)) as found:
        yield found


def push(server: Server, name: str, data: bytes, shown: str) -> Reply:
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    path = f"/v2/{name}/blobs/uploads/?digest={digest}"
    return ask(server.url, "POST", path, data, authorization=shown)


def test_nobody_comes_in_without_a_password(server: Server) -> None:
    reply = ask(server.url, "GET", "/v2/")
    assert (reply.status, code(reply)) == (401, "UNAUTHORIZED")
    assert reply.header("Www-Authenticate") == 'Basic realm="dockyard"'
    for wrong in (basic("alice", "x"), basic("nobody"), "Basic !", "Basic " + "x" * 99, "Bearer x"):
        assert ask(server.url, "GET", "/v2/", authorization=wrong).status == 401
        assert ask(server.url, "GET", "/v2/public/a/tags/list", authorization=wrong).status == 401
    assert ask(server.url, "GET", "/v2/", authorization=basic("alice")).status == 200
    assert ask(server.url, "GET", "/v2/", authorization=basic("alice")).status == 200


def test_rules_say_who_may_do_what(server: Server) -> None:
    assert push(server, "team/a", b"a", basic("alice")).status == 201
    refused = push(server, "team/a", b"b", basic("bob"))
    assert (refused.status, code(refused)) == (403, "DENIED")
    assert push(server, "team/a", b"b", "").status == 401
    assert push(server, "public/a", b"b", basic("alice")).status == 403
    path = "/v2/team/a/blobs/sha256:" + hashlib.sha256(b"a").hexdigest()
    assert ask(server.url, "GET", path, authorization=basic("bob")).body == b"a"
    assert ask(server.url, "GET", path).status == 401
    assert ask(server.url, "DELETE", path, authorization=basic("bob")).status == 403
    assert ask(server.url, "GET", "/v2/public/a/tags/list").status == 404, "but it may be asked"
    listed = ask(server.url, "GET", "/v2/_catalog", authorization=basic("bob"))
    assert json.loads(listed.body)["repositories"] == ["team/a"]
    assert ask(server.url, "GET", "/v2/_catalog").status == 401


def test_what_is_in_memory_is_not_for_everybody(server: Server) -> None:
    config = push(server, "team/m", b"{}", basic("alice")).header("Docker-Content-Digest")
    kind = "application/vnd.oci.image.manifest.v1+json"
    value = {"schemaVersion": 2, "mediaType": kind, "layers": [],
             "config": {"mediaType": "a/b", "size": 2, "digest": config}}  # fmt: skip
    path = "/v2/team/m/manifests/v1"
    put = ask(server.url, "PUT", path, json.dumps(value), content_type=kind,
              authorization=basic("alice"))  # fmt: skip
    assert put.status == 201
    for _ in range(2):
        assert ask(server.url, "GET", path, authorization=basic("alice")).status == 200
    assert ask(server.url, "GET", path).status == 401
    assert ask(server.url, "GET", path, authorization=basic("alice", "wrong")).status == 401


def test_c02_a_mount_tells_nothing_of_what_one_may_not_read(tmp_path: Path, users: Path) -> None:
    """From a repository that is not the caller's: as from one that does not exist."""
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"rules": [
        {"users": ["alice"], "repositories": ["secret/*"], "actions": ["*"]},
        {"users": ["bob"], "repositories": ["own/*"], "actions": ["*"]},
    ]}))  # fmt: skip
    flags = ["--htpasswd", str(users), "--access", str(rules)]
    with own_registry.serve(tmp_path / "root", *flags) as server:
        digest = push(server, "secret/a", b"hush", basic("alice")).header("Docker-Content-Digest")
        shapes = set()
        for source in ("&from=secret/a", "&from=secret/none", "&from=own/none", ""):
            path = f"/v2/own/b/blobs/uploads/?mount={digest}{source}"
            reply = ask(server.url, "POST", path, authorization=basic("bob"))
            shapes.add((reply.status, reply.body, tuple(sorted(reply.headers.keys()))))
        assert len(shapes) == 1
        assert next(iter(shapes))[0] == 202
        path = f"/v2/own/b/blobs/{digest}"
        assert ask(server.url, "GET", path, authorization=basic("bob")).status == 404


def test_a_changed_file_of_users_counts_at_once(tmp_path: Path, users: Path) -> None:
    own = tmp_path / "users"
    own.write_text(users.read_text())
    with own_registry.serve(tmp_path / "root", "--htpasswd", str(own)) as server:
        assert ask(server.url, "GET", "/v2/", authorization=basic("bob")).status == 200
        own.write_text("".join(line for line in users.open() if "bob" not in line))
        assert ask(server.url, "GET", "/v2/", authorization=basic("bob")).status == 401
        assert ask(server.url, "GET", "/v2/", authorization=basic("alice")).status == 200


@pytest.mark.parametrize("hashed", ["{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=", "$apr1$x$y", "plain", ""])
def test_other_hashes_than_bcrypt_are_refused(tmp_path: Path, hashed: str) -> None:
    users = tmp_path / "users"
    users.write_text(f"bob:{hashed}\n")
    done = subprocess.run(
        [own_registry.PROGRAM, "registry", "serve", "--root", tmp_path / "r", "--address",
         "127.0.0.1:0", "--htpasswd", users],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 1
    assert "line 1: not USER:BCRYPT" in done.stderr


# tokens


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: dict[str, Any], claims: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """A token made by hand, from RFC 7515."""
    text = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
    return f"{text}.{b64(sign(text.encode()))}"


RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())


def by_rsa(text: bytes) -> bytes:
    return RSA_KEY.sign(text, padding.PKCS1v15(), hashes.SHA256())


def by_ec(text: bytes, key: ec.EllipticCurvePrivateKey = EC_KEY) -> bytes:
    r, s = utils.decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def public(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def claims(**more: Any) -> dict[str, Any]:
    access = [{"type": "repository", "name": "team/a", "actions": ["pull"]}]
    now = int(time.time())
    return {"iss": "auth.test", "aud": "registry.test", "sub": "bob", "exp": now + 300,
            "nbf": now, "access": access, **more}  # fmt: skip


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A registry that believes another server's tokens."""
    base = tmp_path_factory.mktemp("t")
    (base / "keys.pem").write_bytes(public(RSA_KEY) + public(EC_KEY))
    with own_registry.serve(
        base / "root", "--token-key", str(base / "keys.pem"), "--token-realm",
        "https://auth.test/token", "--token-issuer", "auth.test", "--token-service",
        "registry.test",
    ) as found:  # fmt: skip
        yield found


def tags(server: Server, token: str, name: str = "team/a") -> Reply:
    return ask(server.url, "GET", f"/v2/{name}/tags/list", authorization=f"Bearer {token}")


def test_tokens_of_another_server(theirs: Server) -> None:
    asked = ask(theirs.url, "GET", "/v2/team/a/tags/list")
    assert asked.status == 401
    assert asked.header("Www-Authenticate") == (
        'Bearer realm="https://auth.test/token",service="registry.test",'
        'scope="repository:team/a:pull"'
    )
    for token in (signed({"alg": "RS256"}, claims(), by_rsa),
                  signed({"alg": "ES256"}, claims(), by_ec),
                  signed({"alg": "ES256"}, claims(aud=["x", "registry.test"]), by_ec)):  # fmt: skip
        assert tags(theirs, token).status == 404  # let in; there is no such repository yet
        foreign = tags(theirs, token, "team/b")
        assert foreign.status == 401
        assert 'error="insufficient_scope"' in foreign.header("Www-Authenticate")
        assert push(theirs, "team/a", b"x", f"Bearer {token}").status == 401


def hostile() -> dict[str, str]:
    jwk = {"kty": "EC", "crv": "P-256"}
    secret = hmac.HMAC(public(EC_KEY), hashes.SHA256())

    def by_public_key(text: bytes) -> bytes:
        secret.update(text)
        return secret.finalize()

    def by_other(text: bytes) -> bytes:
        return by_ec(text, OTHER_KEY)

    good = signed({"alg": "ES256"}, claims(), by_ec)
    head, body, tail = good.split(".")
    now = int(time.time())
    return {
        "none": signed({"alg": "none"}, claims(), lambda text: b""),
        "None": signed({"alg": "None"}, claims(), by_ec),
        "hmac with the public key": signed({"alg": "HS256"}, claims(), by_public_key),
        "rsa as ec": signed({"alg": "ES256"}, claims(), by_rsa),
        "ec as rsa": signed({"alg": "RS256"}, claims(), by_ec),
        "another key": signed({"alg": "ES256"}, claims(), by_other),
        "a key of its own": signed({"alg": "ES256", "jwk": jwk}, claims(), by_other),
        "a key elsewhere": signed({"alg": "ES256", "jku": "http://x/"}, claims(), by_other),
        "a path as key": signed({"alg": "ES256", "kid": "/dev/null"}, claims(), by_other),
        "critical": signed({"alg": "ES256", "crit": ["x"], "x": 1}, claims(), by_ec),
        "expired": signed({"alg": "ES256"}, claims(exp=now - 120), by_ec),
        "no end": signed({"alg": "ES256"}, claims(exp=None), by_ec),
        "not yet": signed({"alg": "ES256"}, claims(nbf=now + 300), by_ec),
        "audience": signed({"alg": "ES256"}, claims(aud="other"), by_ec),
        "no audience": signed({"alg": "ES256"}, claims(aud=None), by_ec),
        "issuer": signed({"alg": "ES256"}, claims(iss="other"), by_ec),
        "access": signed({"alg": "ES256"}, claims(access="everything"), by_ec),
        "zeroes": f"{head}.{body}.{b64(bytes(64))}",
        "cut": f"{head}.{body}.{tail[:-4]}",
        "changed": f"{head}.{b64(json.dumps(claims(sub='alice')).encode())}.{tail}",
        "two parts": f"{head}.{body}",
        "four parts": f"{good}.x",
        "not base64": "!.!.!",
        "not JSON": f"{b64(b'x')}.{body}.{tail}",
        "huge": good + "x" * 40_000,
        "empty": "",
    }


@pytest.mark.parametrize("what", sorted(hostile()))
def test_c05_a_token_that_is_not_theirs_is_401(theirs: Server, what: str) -> None:
    """Whatever is wrong, the answer is the same."""
    reply = tags(theirs, hostile()[what])
    assert (reply.status, code(reply)) == (401, "UNAUTHORIZED")
    assert json.loads(reply.body)["errors"][0] == {
        "code": "UNAUTHORIZED", "message": "authentication required",
    }  # fmt: skip


@pytest.fixture(scope="module")
def issuing(tmp_path_factory: pytest.TempPathFactory, users: Path, rules: Path) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("i") / "root"
    flags = ["--htpasswd", str(users), "--access", str(rules), "--tokens"]
    with own_registry.serve(root, *flags) as found:
        yield found


def token(server: Server, shown: str, *scopes: str) -> str:
    query = "&".join(f"scope={scope}" for scope in scopes)
    headers = {"authorization": shown} if shown else {}
    reply = ask(server.url, "GET", f"/token?service=dockyard-registry&{query}", **headers)
    assert reply.status == 200, reply
    value = json.loads(reply.body)
    assert value["token"] == value["access_token"]
    assert reply.header("Cache-Control") == "no-store"
    found: str = value["token"]
    return found


def granted(token: str) -> list[tuple[str, list[str]]]:
    body = token.split(".")[1]
    value = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return [(item["name"], item["actions"]) for item in value["access"]]


def test_our_tokens_grant_what_the_rules_allow(issuing: Server) -> None:
    asked = ask(issuing.url, "GET", "/v2/")
    assert asked.header("Www-Authenticate") == (
        f'Bearer realm="{issuing.url}/token",service="dockyard-registry"'
    )
    alice = token(issuing, basic("alice"), "repository:team/a:pull,push", "repository:x:pull")
    assert granted(alice) == [("team/a", ["pull", "push"])]
    assert push(issuing, "team/a", b"a", f"Bearer {alice}").status == 201
    bob = token(issuing, basic("bob"), "repository:team/a:pull,push%20repository:public/b:*")
    assert granted(bob) == [("team/a", ["pull"]), ("public/b", ["pull"])]
    refused = push(issuing, "team/a", b"b", f"Bearer {bob}")
    assert refused.status == 401
    assert 'error="insufficient_scope"' in refused.header("Www-Authenticate")
    nobody = token(issuing, "", "repository:public/b:pull,push", "repository:team/a:pull")
    assert granted(nobody) == [("public/b", ["pull"])]
    assert ask(issuing.url, "GET", "/v2/", authorization=f"Bearer {nobody}").status == 200
    listed = token(issuing, basic("bob"), "registry:catalog:*")
    assert ask(issuing.url, "GET", "/v2/_catalog", authorization=f"Bearer {listed}").status == 200
    assert ask(issuing.url, "GET", "/v2/_catalog", authorization=f"Bearer {bob}").status == 401


def test_tokens_are_for_who_has_the_password(issuing: Server) -> None:
    for shown in (basic("alice", "x"), "Bearer x", "Basic ?"):
        assert ask(issuing.url, "GET", "/token", authorization=shown).status == 401
    assert ask(issuing.url, "GET", "/token?service=other").status == 400
    form = "grant_type=password&service=dockyard-registry&username=bob&scope=repository:team/a:pull"
    kind = "application/x-www-form-urlencoded"
    good = ask(issuing.url, "POST", "/token", f"{form}&password=secret+of+bob", content_type=kind)
    assert granted(json.loads(good.body)["access_token"]) == [("team/a", ["pull"])]
    bad = ask(issuing.url, "POST", "/token", f"{form}&password=x", content_type=kind)
    assert bad.status == 401


def renewed(server: Server, token: str) -> Reply:
    form = f"grant_type=refresh_token&service=dockyard-registry&refresh_token={token}"
    kind = "application/x-www-form-urlencoded"
    return ask(
        server.url, "POST", "/token", f"{form}&scope=repository:team/a:pull", content_type=kind
    )


def test_c05_a_refresh_token_is_for_the_token_server_alone(tmp_path: Path, users: Path) -> None:
    """Distribution's "OAuth2 Token Authentication"; it ends with the password it stands for."""
    file = tmp_path / "htpasswd"
    file.write_text(users.read_text())
    flags = ["--htpasswd", str(file), "--tokens"]
    query = "/token?service=dockyard-registry&offline_token=true"
    with own_registry.serve(tmp_path / "root", *flags) as server:
        given = json.loads(ask(server.url, "GET", query, authorization=basic("bob")).body)
        lasting = given["refresh_token"]
        assert "refresh_token" not in json.loads(ask(server.url, "GET", query).body)
        assert ask(server.url, "GET", "/v2/", authorization=f"Bearer {lasting}").status == 401
        answer = renewed(server, lasting)
        assert answer.header("Cache-Control") == "no-store"
        found = json.loads(answer.body)
        assert granted(found["access_token"]) == [("team/a", ["pull"])]
        assert "refresh_token" not in found
        head, body, signature = lasting.split(".")
        forged = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).replace(b"bob", b"alice")
        packed = base64.urlsafe_b64encode(forged).rstrip(b"=").decode()
        for wrong in ("", "x", found["access_token"], f"{head}.{packed}.{signature}"):
            assert renewed(server, wrong).status == 401
        form = "grant_type=password&access_type=offline&username=bob&password=secret+of+bob"
        kind = "application/x-www-form-urlencoded"
        other = json.loads(ask(server.url, "POST", "/token", form, content_type=kind).body)
        assert renewed(server, other["refresh_token"]).status == 200
        again = subprocess.run(["htpasswd", "-nbB", "-C", "5", "bob", "secret of bob"],
                               capture_output=True, text=True, check=True).stdout  # fmt: skip
        file.write_text(again)
        assert renewed(server, lasting).status == 401
        file.write_text(users.read_text().replace("bob", "carol"))
        assert renewed(server, lasting).status == 401


def test_metrics_are_for_somebody_known(issuing: Server) -> None:
    assert ask(issuing.url, "GET", "/metrics").status == 401
    reply = ask(issuing.url, "GET", "/metrics", authorization=basic("bob"))
    assert reply.status == 200
    assert reply.header("Content-Type").startswith("text/plain; version=0.0.4")
    lines = reply.body.decode().splitlines()
    assert any(
        line.startswith('dockyard_registry_requests_total{route="metrics"') for line in lines
    )


def test_requests_are_logged_when_asked(tmp_path: Path, users: Path) -> None:
    """Who did what; nothing in a path starts a line of its own."""
    flags = ["--htpasswd", str(users), "--log-requests"]
    with own_registry.serve(tmp_path / "root", *flags) as server:
        ask(server.url, "GET", "/v2/", authorization=basic("alice"))
        ask(server.url, "GET", "/v2/a/tags/list")
        ask(server.url, "GET", "/v2/%0aINFO%20faked")
        until(lambda: len(server.log.read_text().splitlines()) == 3)
        lines = [line.split("INFO ", 1)[1] for line in server.log.read_text().splitlines()]
    assert [line.rsplit(" ", 1)[0] for line in lines] == [
        "127.0.0.1 alice GET /v2/ 200",
        "127.0.0.1 - GET /v2/a/tags/list 401",
        "127.0.0.1 - GET /v2/%0aINFO%20faked 400",
    ]
