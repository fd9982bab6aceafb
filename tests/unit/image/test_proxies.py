"""Which hosts a proxy is not asked for: the rules of Go's httpproxy, which docker follows."""

import pytest

from dockyard.base.errors import Invalid, Unsupported
from dockyard.node.image.registry.reach import proxy_of


@pytest.mark.parametrize(
    ("no_proxy", "host", "direct"),
    [
        ("", "example.com", False),
        ("example.com", "example.com", True),
        ("example.com", "registry.example.com", True),
        (".example.com", "registry.example.com", True),
        (".example.com", "example.com", False),
        ("*.example.com", "registry.example.com", True),
        ("*.example.com", "example.com", False),
        ("EXAMPLE.com", "Example.COM", True),
        ("fd00::/8", "fd00::1", True),
        ("[fd00::1]:443", "fd00::1", True),
        ("[fd00::1]:80", "fd00::1", False),
        (".", "example.com", False),
        (",,", "example.com", False),
        ("example.com", "notexample.com", False),
        ("other, example.com", "example.com", True),
        ("example.com:443", "example.com", True),
        ("example.com:5000", "example.com", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("*", "anything.org", True),
        ("", "localhost", True),
        ("", "127.0.0.1", True),
    ],
)
def test_no_proxy(no_proxy: str, host: str, direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    found = proxy_of("https", host, 443)
    assert (found is None) == direct
    if found:
        assert (found.host, found.port, found.headers) == ("proxy", 3128, {})


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [("https://proxy", "proxy", 443, True), ("https://proxy:8443", "proxy", 8443, True),
     ("http://proxy", "proxy", 80, False), ("proxy:3128", "proxy", 3128, False)],
)  # fmt: skip
def test_where_a_proxy_is(
    url: str, host: str, port: int, tls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", url)
    assert proxy_of("https", "example.com", 443) == (host, port, {}, tls, False, None)


@pytest.mark.parametrize("url", ["http://me:s3cret@", "http://me:s3cret@proxy:99999", "http://["])
def test_a_broken_proxy_is_told_without_its_password(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(Invalid, match="proxy: https_proxy: ") as caught:
        proxy_of("https", "example.com", 443)
    assert "s3cret" not in str(caught.value)


def test_other_kinds_of_proxies_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks4://proxy:1080")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(Unsupported, match="socks4: not implemented"):
        proxy_of("https", "example.com", 443)


def test_one_proxy_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """As curl reads it: where the scheme has none of its own."""
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", "socks5h://me:p%40ss@proxy")
    found = proxy_of("https", "example.com", 443)
    assert found == ("proxy", 1080, {}, False, True, ("me", "p@ss"))
    monkeypatch.setenv("HTTP_PROXY", "http://other:3128")
    assert proxy_of("http", "example.com", 80) == ("other", 3128, {}, False, False, None)
