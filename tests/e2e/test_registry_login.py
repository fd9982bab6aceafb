"""docker-registry with passwords, with tokens and with its own CA: who gets in, and who learns."""

import base64
import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from dockyard.base.aio import now
from dockyard.base.errors import Invalid
from dockyard.node.image.image import RegistryDenied, RegistryUnavailable
from dockyard.node.image.registry.hosts import Credentials, Hosts
from dockyard.node.image.store import ImageStore
from helpers import own_registry, registry_server
from helpers.scripted_http import Asked, Reply, serve
from helpers.tars import file, tar

pytestmark = pytest.mark.root

BCRYPT_OF_ABC = "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i"
"""One of OpenBSD's test vectors."""
LOGIN = Credentials("alice", "wonder: land")


class Keys:
    """A self-signed certificate for 127.0.0.1 and its key, on disk."""

    def __init__(self, folder: Path) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
        start = datetime.fromtimestamp(now.wall() - 3600, UTC)
        alternative = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        )
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=1))
            .add_extension(alternative, critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.certificate_path = folder / "cert.pem"
        self.key_path = folder / "key.pem"
        self.certificate_path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        self.key_path.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    path = tmp_path / "root.tar"
    path.write_bytes(tar(file("f")))
    return path


def with_image(root: Path, layer: Path, name: str, hosts: Hosts | None = None) -> ImageStore:
    store = ImageStore(root, hosts=hosts or Hosts(auth_file=None, cert_dirs=()))
    with layer.open("rb") as tar_file:
        store.import_tar(tar_file, name)
    return store


def bearer(keys: Keys, query: str) -> bytes:
    """A token as "Token Authentication Implementation" of the distribution project has it."""
    asked = parse_qs(query)
    kind, name, actions = asked["scope"][0].split(":")
    header = {
        "typ": "JWT",
        "alg": "RS256",
        "x5c": [
            base64.b64encode(keys.certificate.public_bytes(serialization.Encoding.DER)).decode()
        ],
    }
    claims = {
        "iss": "issuer.test", "aud": "registry.test", "sub": LOGIN.username,
        "exp": int(now.wall()) + 300, "nbf": int(now.wall()) - 60, "iat": int(now.wall()),
        "jti": "1", "access": [{"type": kind, "name": name, "actions": actions.split(",")}],
    }  # fmt: skip
    signed = b".".join(_url64(json.dumps(part).encode()) for part in (header, claims))
    signature = keys.key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return signed + b"." + _url64(signature)


def _url64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def test_bearer_tokens(tmp_path: Path, keys: Keys, layer: Path) -> None:
    def issue(asked: Asked) -> Reply:
        word = base64.b64encode(f"{LOGIN.username}:{LOGIN.password}".encode()).decode()
        if asked.headers.get("authorization") != f"Basic {word}":
            return Reply(401)
        token = bearer(keys, urlsplit(asked.path).query).decode()
        return Reply(200, json.dumps({"token": token}).encode())

    with (
        serve(issue) as (issuer, saw),
        registry_server.serve(
            tmp_path / "registry", token_realm=(f"http://{issuer}/token", keys.certificate_path)
        ) as registry,
    ):
        name = f"{registry.address}/team/app:1"
        store = with_image(tmp_path / "one", layer, name)
        pushed = store.push(name, auth=LOGIN)
        pulled = ImageStore(tmp_path / "two").pull(name, auth=LOGIN)
        assert pulled.digest == pushed
        assert any("scope=repository%3Ateam%2Fapp%3Apull%2Cpush" in asked.path for asked in saw)
        with pytest.raises(RegistryDenied, match="log in") as denied:
            ImageStore(tmp_path / "three").pull(name, auth=Credentials("alice", "guess"))
        assert "guess" not in str(denied.value)


def test_own_certificate_authority(tmp_path: Path, keys: Keys, layer: Path) -> None:
    tls = (keys.certificate_path, keys.key_path)
    with registry_server.serve(tmp_path / "registry", tls=tls) as registry:
        trusted = tmp_path / "certs.d" / registry.address
        trusted.mkdir(parents=True)
        (trusted / "ca.crt").write_bytes(keys.certificate_path.read_bytes())
        hosts = Hosts(cert_dirs=(str(tmp_path / "certs.d"),))
        name = f"{registry.address}/app:1"
        pushed = with_image(tmp_path / "one", layer, name, hosts).push(name)
        assert ImageStore(tmp_path / "two", hosts=hosts).pull(name).digest == pushed

        other = Keys(tmp_path / "certs.d")
        (trusted / "ca.crt").write_bytes(other.certificate.public_bytes(serialization.Encoding.PEM))
        with pytest.raises(RegistryUnavailable, match="certificate verify failed"):
            ImageStore(tmp_path / "three", hosts=hosts).pull(name)


def test_config_json_and_passwords(tmp_path: Path, layer: Path) -> None:
    with registry_server.serve(
        tmp_path / "registry", htpasswd=f"bob:{BCRYPT_OF_ABC}\n"
    ) as registry:
        name = f"{registry.address}/app:1"
        config = tmp_path / "config.json"
        hosts = Hosts(auth_file=str(config))

        def log_in(pair: str) -> None:
            packed = base64.b64encode(pair.encode()).decode()
            config.write_text(json.dumps({"auths": {registry.address: {"auth": packed}}}))

        log_in("bob:abc")
        store = with_image(tmp_path / "one", layer, name, hosts)
        pushed = store.push(name)
        assert ImageStore(tmp_path / "two", hosts=hosts).pull(name).digest == pushed
        log_in("bob:n0t-it")
        with pytest.raises(RegistryDenied, match="401") as denied:
            store.push(name)
        assert "n0t-it" not in str(denied.value)
        config.write_text("{}")
        with pytest.raises(RegistryDenied, match="log in"):
            ImageStore(tmp_path / "three", hosts=hosts).pull(name)


def test_a_client_certificate_is_shown(tmp_path: Path, keys: Keys, layer: Path) -> None:
    """docker's names in certs.d: ``client.cert`` and ``client.key``."""
    flags = ("--tls-cert", str(keys.certificate_path), "--tls-key", str(keys.key_path),
             "--tls-client-ca", str(keys.certificate_path))  # fmt: skip
    with own_registry.serve(tmp_path / "registry", *flags) as registry:
        trusted = tmp_path / "certs.d" / registry.address
        trusted.mkdir(parents=True)
        (trusted / "ca.crt").write_bytes(keys.certificate_path.read_bytes())
        hosts = Hosts(cert_dirs=(str(tmp_path / "certs.d"),))
        name = f"{registry.address}/app:1"
        store = with_image(tmp_path / "one", layer, name, hosts)
        with pytest.raises((RegistryDenied, RegistryUnavailable)):
            store.push(name)
        (trusted / "client.cert").write_bytes(keys.certificate_path.read_bytes())
        with pytest.raises(Invalid, match=r"its key .*client\.key is missing"):
            store.push(name)
        (trusted / "client.key").write_bytes(keys.key_path.read_bytes())
        assert store.push(name) == ImageStore(tmp_path / "two", hosts=hosts).pull(name).digest
