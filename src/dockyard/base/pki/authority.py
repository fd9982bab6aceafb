"""Turns names into keys and certificates of one authority (X.509, P-256 keys)."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

YEAR = 365 * 24 * 3600.0
AUTHORITY_SECONDS, LEAF_SECONDS = 10 * YEAR, YEAR
LEEWAY = 3600.0
"""Certificates begin an hour ago: clocks differ."""


class Pair(NamedTuple):
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """Signs certificates. ``now`` is seconds since the epoch, everywhere."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self._certificate = x509.load_pem_x509_certificate(pair.certificate)
        key = serialization.load_pem_private_key(pair.key, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key

    def server(self, name: str, hosts: Iterable[str], now: float) -> Pair:
        """For a server that is reached under these names and addresses."""
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        return self._leaf(name, (), ExtendedKeyUsageOID.SERVER_AUTH, now, names)

    def client(self, name: str, groups: Iterable[str], now: float) -> Pair:
        """For a user: the common name is who, the organisations are the groups."""
        return self._leaf(name, groups, ExtendedKeyUsageOID.CLIENT_AUTH, now, None)

    def _leaf(
        self,
        name: str,
        groups: Iterable[str],
        usage: x509.ObjectIdentifier,
        now: float,
        names: x509.SubjectAlternativeName | None,
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(_name(name, groups), self._certificate.subject, key, now, LEAF_SECONDS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return _pair(builder.sign(self._key, hashes.SHA256()), key)


def new_authority(name: str, now: float) -> Authority:
    """A new authority that trusts itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name, ())
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        _builder(subject, subject, key, now, AUTHORITY_SECONDS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    return Authority(_pair(builder.sign(key, hashes.SHA256()), key))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: float,
    seconds: float,
) -> x509.CertificateBuilder:
    utc = datetime.UTC
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime.fromtimestamp(now - LEEWAY, utc))
        .not_valid_after(datetime.datetime.fromtimestamp(now + seconds, utc))
    )


def _name(name: str, groups: Iterable[str]) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    return Pair(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
