"""Turns PEM files into keys that sign and verify, and makes pairs of them.

Public keys: ``PUBLIC KEY`` (RFC 7468). Private ones: PKCS #8, or cosign's sealed form, ``ENCRYPTED
SIGSTORE PRIVATE KEY`` (older: ``ENCRYPTED COSIGN PRIVATE KEY``): scrypt, then NaCl's secretbox.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from dockyard.base.errors import Conflict, Invalid, NotFound, Unsupported
from dockyard.base.oci.strictjson import decode_object, encode
from dockyard.node.image.trust import secretbox

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
Passphrase = Callable[[], bytes]
"""Asked only where a key is sealed."""

LARGEST = 64 << 10
_SEALED = ("ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY")
_SCRYPT = {"N": 1 << 15, "r": 8, "p": 1}
_MOST_ROUNDS = 1 << 18  # 256 MB with r = 8


def read_file(path: str) -> bytes:
    """A key file's bytes."""
    try:
        with open(path, "rb") as file:
            return file.read(LARGEST)
    except OSError as error:
        raise NotFound(f"key: {path}: {error.strerror}") from error


def load_public(pem: bytes, what: str) -> PublicKey:
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Invalid(f"{what}: no public key in PEM form: {error}") from error
    if not isinstance(key, PublicKey):
        raise Unsupported(f"{what}: {type(key).__name__}: not implemented; ECDSA, RSA and Ed25519 "
                          "are")  # fmt: skip
    return key


def load_private(pem: bytes, passphrase: Passphrase, what: str) -> PrivateKey:
    begun = pem.lstrip()
    sealed = next((name for name in _SEALED if begun.startswith(f"-----BEGIN {name}".encode())), "")
    try:
        if sealed:
            plain = _unseal(_body(begun, sealed, what), passphrase(), what)
            key = serialization.load_der_private_key(plain, None)
        else:
            given = passphrase() if begun.startswith(b"-----BEGIN ENCRYPTED") else None
            key = serialization.load_pem_private_key(begun, given)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Invalid(f"{what}: no private key in PEM form, or another passphrase: {error}") from (
            error
        )
    if not isinstance(key, PrivateKey):
        raise Unsupported(f"{what}: {type(key).__name__}: not implemented; ECDSA, RSA and Ed25519 "
                          "are")  # fmt: skip
    return key


def sign(key: PrivateKey, data: bytes) -> bytes:
    """As cosign signs: SHA-256; RSA with PKCS #1 v1.5."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(hashes.SHA256()))
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    return key.sign(data)


def verifies(key: PublicKey, signature: bytes, data: bytes) -> bool:
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        else:
            key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def generate(prefix: str, passphrase: bytes) -> tuple[str, str]:
    """A new ECDSA P-256 pair in ``<prefix>.key`` (sealed, 0600) and ``<prefix>.pub``."""
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = f"{prefix}.key", f"{prefix}.pub"
    for path in (private, public):
        if os.path.lexists(path):
            raise Conflict(f"key: {path}: exists; it is not overwritten")
    _write(private, _seal(key, passphrase), 0o600)
    _write(public, public_pem(key), 0o644)
    return private, public


def public_pem(key: PrivateKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


def _write(path: str, data: bytes, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(fd, "wb") as file:
        file.write(data)


def _seal(key: PrivateKey, passphrase: bytes) -> bytes:
    plain = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    salt, nonce = os.urandom(32), os.urandom(secretbox.NONCE)
    sealed = secretbox.seal(plain, nonce, _stretch(passphrase, salt, _SCRYPT["N"]))
    document = {
        "kdf": {"name": "scrypt", "params": _SCRYPT, "salt": base64.b64encode(salt).decode()},
        "cipher": {"name": "nacl/secretbox", "nonce": base64.b64encode(nonce).decode()},
        "ciphertext": base64.b64encode(sealed).decode(),
    }
    text = base64.b64encode(encode(document)).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    name = _SEALED[1]  # what every version of cosign, skopeo and podman reads
    return "\n".join([f"-----BEGIN {name}-----", *lines, f"-----END {name}-----", ""]).encode()


def _body(pem: bytes, name: str, what: str) -> bytes:
    head, tail = f"-----BEGIN {name}-----".encode(), f"-----END {name}-----".encode()
    inside, end, _ = pem.removeprefix(head).partition(tail)
    try:
        if not end:
            raise ValueError("it has no end")
        return base64.b64decode(b"".join(inside.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid(f"{what}: a broken PEM file: {error}") from error


def _unseal(document: bytes, passphrase: bytes, what: str) -> bytes:
    value = decode_object(document, what, limit=LARGEST)
    kdf, cipher = _part(value, "kdf", what), _part(value, "cipher", what)
    if kdf.get("name") != "scrypt" or cipher.get("name") != "nacl/secretbox":
        names = f"{str(kdf.get('name'))[:40]!r} and {str(cipher.get('name'))[:40]!r}"
        raise Unsupported(f"{what}: sealed with {names}: scrypt and nacl/secretbox are implemented")
    rounds = _part(kdf, "params", what).get("N")
    params = kdf["params"]
    if (
        not isinstance(rounds, int)
        or not 2 <= rounds <= _MOST_ROUNDS
        or rounds & (rounds - 1)
        or (params.get("r"), params.get("p")) != (8, 1)
    ):
        raise Unsupported(f"{what}: scrypt with {str(params)[:80]}: r 8, p 1 and N up to "
                          f"{_MOST_ROUNDS} are implemented")  # fmt: skip
    nonce, sealed = _bytes(cipher, "nonce", what), _bytes(value, "ciphertext", what)
    if len(nonce) != secretbox.NONCE:
        raise Invalid(f"{what}: a nonce of {len(nonce)} bytes; {secretbox.NONCE} are needed")
    key = _stretch(passphrase, _bytes(kdf, "salt", what), rounds)
    return secretbox.unseal(sealed, nonce, key, what)


def _stretch(passphrase: bytes, salt: bytes, rounds: int) -> bytes:
    memory = 256 * 8 * rounds  # 128 * N * r is needed
    return hashlib.scrypt(
        passphrase, salt=salt, n=rounds, r=8, p=1, maxmem=memory, dklen=secretbox.KEY
    )


def _part(value: dict[str, Any], name: str, what: str) -> dict[str, Any]:
    found = value.get(name)
    if not isinstance(found, dict):
        raise Invalid(f"{what}: {name}: an object is expected")
    return found


def _bytes(value: dict[str, Any], name: str, what: str) -> bytes:
    try:
        return base64.b64decode(value[name], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid(f"{what}: {name}: base64 is expected") from error
