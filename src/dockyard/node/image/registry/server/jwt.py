"""Turns claims into a signed token (JWT, RFC 7519), and a token into claims that may be believed.

RS256 and ES256 only, and each only with a key of its kind; keys come from files of this server's
own, never from the token: ``jwk``, ``jku``, ``x5c`` and ``none`` steer nothing (RFC 8725).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

import orjson
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from dockyard.base.errors import Denied, Invalid
from dockyard.base.oci.strictjson import decode_object

LARGEST = 32 * 1024
LEEWAY_SECONDS = 60.0
_WEAKEST_RSA = 2048
_COORDINATE = 32
Public = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class TokenRefused(Denied):
    """A token that is not believed. The reason is for the log, not for who showed it."""


def load_public(data: bytes, what: str) -> list[Public]:
    """The keys of a PEM file: public keys, certificates, or a private key's public half."""
    found: list[Public] = []
    for block in _blocks(data):
        try:
            if b"CERTIFICATE" in block:
                key: Any = x509.load_pem_x509_certificate(block).public_key()
            elif b"PRIVATE KEY" in block:
                key = serialization.load_pem_private_key(block, None).public_key()
            else:
                key = serialization.load_pem_public_key(block)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise Invalid(f"token key: {what}: not a key in PEM: {error}") from error
        found.append(_fit(key, what))
    if not found:
        raise Invalid(f"token key: {what}: no key in PEM in it")
    return found


def load_private(data: bytes, what: str) -> Private:
    """The key that signs."""
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Invalid(f"token key: {what}: not a private key in PEM: {error}") from error
    _fit(key.public_key(), what)
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    return key


def new_key() -> bytes:
    """A P-256 key, as PEM."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def key_id(key: Public) -> str:
    """A name for a key: a hash of it."""
    data = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(data).hexdigest()[:32]


def sign(claims: dict[str, Any], key: Private) -> str:
    """A token."""
    algorithm = "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "RS256"
    header = {"typ": "JWT", "alg": algorithm, "kid": key_id(key.public_key())}
    text = f"{_encode(orjson.dumps(header))}.{_encode(orjson.dumps(claims))}"
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = utils.decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(_COORDINATE, "big") + s.to_bytes(_COORDINATE, "big")
    else:
        signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{text}.{_encode(signature)}"


def verify(
    token: str, keys: list[Public], issuer: str, audience: str, now: float
) -> dict[str, Any]:
    """The claims; :class:`TokenRefused` where the token is not for us, not now, or not theirs."""
    if len(token) > LARGEST:
        raise TokenRefused(f"token: {len(token)} characters")
    parts = token.split(".")
    if len(parts) != 3:
        raise TokenRefused("token: not three parts")
    signed = token.rpartition(".")[0].encode("ascii", "replace")
    signature = _decode(parts[2])
    try:
        header = decode_object(_decode(parts[0]), "token: header", limit=LARGEST)
        algorithm = header.get("alg")
        if "crit" in header or not any(
            _is_signed(signed, signature, key, algorithm) for key in keys
        ):
            raise TokenRefused(f"token: alg {str(algorithm)[:20]!r}: signed by none of our keys")
        claims = decode_object(_decode(parts[1]), "token: claims", limit=LARGEST)
    except Invalid as error:
        raise TokenRefused(str(error)) from error
    if claims.get("iss") != issuer:
        raise TokenRefused("token: another issuer")
    said = claims.get("aud")
    if audience not in (said if isinstance(said, list) else [said]):
        raise TokenRefused("token: for another service")
    until, since = _moment(claims, "exp"), claims.get("nbf", 0)
    if until + LEEWAY_SECONDS <= now:
        raise TokenRefused("token: expired")
    if not isinstance(since, int | float) or since - LEEWAY_SECONDS > now:
        raise TokenRefused("token: not valid yet")
    return claims


def _moment(claims: dict[str, Any], key: str) -> float:
    value = claims.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TokenRefused(f"token: {key} is missing")
    return float(value)


def _is_signed(text: bytes, signature: bytes, key: Public, algorithm: object) -> bool:
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and algorithm == "ES256":
            if len(signature) != 2 * _COORDINATE:
                return False
            halves = signature[:_COORDINATE], signature[_COORDINATE:]
            pair = utils.encode_dss_signature(*(int.from_bytes(half, "big") for half in halves))
            key.verify(pair, text, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, rsa.RSAPublicKey) and algorithm == "RS256":
            key.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _fit(key: Any, what: str) -> Public:
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _WEAKEST_RSA:
        return key
    raise Invalid(f"token key: {what}: neither P-256 (ES256) nor RSA of 2048 bits (RS256)")


def _blocks(data: bytes) -> list[bytes]:
    found: list[bytes] = []
    lines: list[bytes] = []
    for line in data.splitlines(keepends=True):
        if line.startswith(b"-----BEGIN "):
            lines = []
        lines.append(line)
        if line.startswith(b"-----END "):
            found.append(b"".join(lines))
    return found


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise TokenRefused(f"token: not base64url: {error}") from error
