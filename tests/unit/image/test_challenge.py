"""WWW-Authenticate (RFC 9110, section 11.6.1) and where credentials may go."""

import pytest

from dockyard.node.image.image import RegistryDenied
from dockyard.node.image.registry.challenge import Challenge, check_realm, parse_challenges


def test_bearer_with_commas_in_quotes() -> None:
    header = 'Bearer realm="https://a/token",service="r",scope="repository:x:pull,push"'
    assert parse_challenges([header]) == [
        Challenge(
            "bearer",
            {"realm": "https://a/token", "service": "r", "scope": "repository:x:pull,push"},
        )
    ]


def test_several_in_one_header() -> None:
    found = parse_challenges(['Basic realm="x", Bearer realm="https://t", service=y', "Negotiate"])
    assert [challenge.scheme for challenge in found] == ["basic", "bearer", "negotiate"]
    assert found[1].parameters == {"realm": "https://t", "service": "y"}


def test_escapes_and_rubbish() -> None:
    assert parse_challenges([r'Basic realm="a\"b"'])[0].parameters == {"realm": 'a"b'}
    assert parse_challenges(["", "=,=", '"'] * 3) == []
    assert parse_challenges([f"{' ' * 8000}\x01"] * 8) == []
    lists = parse_challenges([", ,Basic  realm=x,, Negotiate"])  # RFC 9110, 5.6.1: empty elements
    assert lists == [Challenge("basic", {"realm": "x"}), Challenge("negotiate", {})]


@pytest.mark.parametrize(
    ("realm", "registry"),
    [
        ("https://auth.docker.io/token", "https://registry-1.docker.io"),
        ("http://127.0.0.1:5001/token", "http://127.0.0.1:5000"),
        ("https://127.0.0.1:5001/token", "https://localhost:5000"),
    ],
)
def test_good_realms(realm: str, registry: str) -> None:
    check_realm(realm, registry)


@pytest.mark.parametrize(
    "realm",
    [
        "http://auth.example/token", "https://127.0.0.1/token", "https://localhost/x",
        "https://169.254.169.254/latest", "https://[::1]/", "file:///etc/passwd", "ftp://x/y",
        "https://user@evil/", "//x", "https://[::1", "https://x:99999/", "https://\u2603/", "",
    ],
)  # fmt: skip
def test_c06_realms_that_get_no_credentials(realm: str) -> None:
    with pytest.raises(RegistryDenied):
        check_realm(realm, "https://registry.example")
