"""The flags of ``registry serve``: what they mean, and what is refused before anything listens."""

from __future__ import annotations

import pytest

from dockyard.base.errors import Invalid
from dockyard.boot.registry import Settings
from dockyard.cli import registry
from dockyard.node.image.registry.server.quota import Quota


def parse(*flags: str) -> Settings:
    return registry.parse(registry._parser().parse_args(["--root", "/r", *flags]))


def test_the_defaults_are_those_of_the_documentation() -> None:
    settings = parse()
    assert (settings.root, settings.host, settings.port) == ("/r", "127.0.0.1", 5000)
    assert settings.tls is None
    assert settings.policy.grace == settings.upload_seconds == 86_400
    assert (settings.policy.untagged, settings.policy.unused) == (False, None)
    assert settings.collect_seconds == 3600
    assert settings.rules.largest_blob == 100 << 30
    assert settings.rules.deletes
    assert settings.origin is None


def test_values_have_units_and_patterns() -> None:
    settings = parse("--quota", "team/*=20g", "--quota", "*=1m", "--max-blob-size", "512m",
                     "--upload-expiry", "1h30m", "--address", "[::1]:0", "--no-delete")  # fmt: skip
    assert settings.quotas == (Quota("team/*", 20 << 30), Quota("*", 1 << 20))
    assert settings.rules.largest_blob == 512 << 20
    assert settings.upload_seconds == 5400
    assert (settings.host, settings.port) == ("::1", 0)
    assert not settings.rules.deletes


@pytest.mark.parametrize(
    ("named", "registry_name", "insecure"),
    [
        ("docker.io", "docker.io", False),
        ("https://mirror.example:8443", "mirror.example:8443", False),
        ("http://10.0.0.1:5000/", "10.0.0.1:5000", True),
    ],
)
def test_the_origin_of_a_cache(named: str, registry_name: str, insecure: bool) -> None:
    origin = parse("--proxy", named, "--proxy-keep", "168h").origin
    assert origin is not None
    assert origin.registry == registry_name
    assert (registry_name in origin.hosts.insecure) is insecure


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--root", ""], "--root DIR is missing"),
        (["--address", "5000"], "not HOST:PORT"),
        (["--address", "x:70000"], "not HOST:PORT"),
        (["--tls-cert", "x"], "needs both"),
        (["--tls-client-ca", "x"], "needs both"),
        (["--tokens"], "for whom?"),
        (["--token-key", "x"], "need --token-realm"),
        (["--quota", "5g"], "not PATTERN=SIZE"),
        (["--quota", "a=many"], "many"),
        (["--gc-grace", "1m"], "at least 15m"),
        (["--gc-interval", "often"], "a time like 30s"),
        (["--proxy", "ftp://x"], "a registry's host"),
        (["--proxy", "https://x/path"], "a registry's host"),
    ],
)
def test_mistakes_are_told(flags: list[str], told: str) -> None:
    with pytest.raises(Invalid, match=told.replace("?", r"\?")):
        parse(*flags)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], None),
        (["--address", "localhost:1"], None),
        (["--address", "0.0.0.0:1"], "everybody who reaches 0.0.0.0"),
        (["--address", "0.0.0.0:1", "--htpasswd", "x"], "in the clear"),
        (["--address", "0.0.0.0:1", "--htpasswd", "x", "--tls-cert", "x", "--tls-key", "x"], None),
    ],
)
def test_what_was_perhaps_not_meant_is_said(flags: list[str], told: str | None) -> None:
    lines = registry.warnings(parse(*flags))
    assert len(lines) == (told is not None)
    assert told is None or told in lines[0]
