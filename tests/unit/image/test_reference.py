"""References: Docker's normal form. Cases follow distribution/reference's normalize and grammar."""

import pytest

from dockyard.base.errors import Invalid
from dockyard.base.oci.reference import parse_reference

HEX = "a" * 64


@pytest.mark.parametrize(
    ("text", "normal", "familiar"),
    [
        ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("index.docker.io/a/b", "docker.io/a/b:latest", "a/b:latest"),
        ("a/b/c", "docker.io/a/b/c:latest", "a/b/c:latest"),
        ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
        ("localhost:5000/x:1", "localhost:5000/x:1", "localhost:5000/x:1"),
        ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
        ("127.0.0.1:5000/a", "127.0.0.1:5000/a:latest", "127.0.0.1:5000/a:latest"),
        ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
        ("quay.io/a/b-c__d.e", "quay.io/a/b-c__d.e:latest", "quay.io/a/b-c__d.e:latest"),
        ("Upper/x", "Upper/x:latest", "Upper/x:latest"),
        (f"x@sha256:{HEX}", f"docker.io/library/x@sha256:{HEX}", f"x@sha256:{HEX}"),
        (f"x:1@sha256:{HEX}", f"docker.io/library/x:1@sha256:{HEX}", f"x:1@sha256:{HEX}"),
    ],
)
def test_normal_form(text: str, normal: str, familiar: str) -> None:
    found = parse_reference(text)
    assert str(found) == normal
    assert found.familiar == familiar
    assert parse_reference(normal) == found


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "a:", "a:b:c/", "-a", "a-", "a..b", "a___b", "A", "a/B", "a b", "a\0b", "a/",
        "/a", "a//b", "x:" + "t" * 129, "x:-t", HEX, f"x@sha256:{HEX[1:]}", f"x@md5:{HEX}",
        f"x@sha256:{HEX.upper()}", "x@sha256:../../etc", "a" * 256, "host:port/x",
        "../x", "quay.io/../x", "http://x/y", "x\n",
    ],
)  # fmt: skip
def test_b07_no_reference(text: str) -> None:
    with pytest.raises(Invalid):
        parse_reference(text)


def test_digest_decides_over_tag() -> None:
    assert parse_reference(f"x:1@sha256:{HEX}").target == f"sha256:{HEX}"
    assert parse_reference("x:1").target == "1"
