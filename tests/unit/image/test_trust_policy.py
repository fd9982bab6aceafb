"""policy.json: containers-policy.json(5), member by member, and which scope of it applies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dockyard.base.errors import Invalid
from dockyard.base.oci.reference import parse_reference
from dockyard.node.image.trust.identity import parse_identity
from dockyard.node.image.trust.policy import Policy, parse_policy, scopes_of

REJECT = [{"type": "reject"}]
ACCEPT = [{"type": "insecureAcceptAnything"}]


def policy(value: Any) -> Policy:
    return parse_policy(json.dumps(value).encode(), "policy.json")


def test_scopes_go_from_the_image_to_everything() -> None:
    """The manual: the reference itself, then its prefixes, then *.domain, then the transport."""
    assert list(scopes_of(parse_reference("a.b.example:5000/team/app:1"))) == [
        "a.b.example:5000/team/app:1", "a.b.example:5000/team/app", "a.b.example:5000/team",
        "a.b.example:5000", "*.b.example", "*.example", "",
    ]  # fmt: skip
    digest = "sha256:" + "0" * 64
    assert next(scopes_of(parse_reference(f"busybox@{digest}"))) == (
        f"docker.io/library/busybox@{digest}"
    )


def test_the_most_specific_scope_alone_applies() -> None:
    found = policy(
        {"default": REJECT,
         "transports": {"docker": {"docker.io": REJECT, "docker.io/library/busybox": ACCEPT,
                                   "*.example": ACCEPT},
                        "docker-archive": {"": ACCEPT}}}
    )  # fmt: skip

    def kinds(name: str) -> list[str]:
        return [each.kind for each in found.for_image(parse_reference(name)).requirements]

    assert kinds("busybox") == ["insecureAcceptAnything"]
    assert kinds("docker.io/library/busyboxes") == ["reject"]
    assert kinds("hub.example/x:1") == ["insecureAcceptAnything"]
    assert kinds("example/x:1") == ["reject"]
    assert kinds("quay.io/x:1") == ["reject"]
    assert found.for_archive("docker-archive").requirements[0].kind == "insecureAcceptAnything"
    assert found.for_archive("oci-archive").requirements[0].kind == "reject"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({}, "`default` is required"),
        ({"default": []}, "at least one requirement"),
        ({"default": ACCEPT, "defualt": REJECT}, "unknown member 'defualt'"),
        ({"default": [{"type": "accept"}]}, "type 'accept'"),
        ({"default": [{"type": "reject", "more": 1}]}, "unknown member 'more'"),
        ({"default": [{"type": "sigstoreSigned"}]}, "exactly one of"),
        ({"default": [{"type": "sigstoreSigned", "keyPath": "/a", "keyData": "YQ=="}]}, "exactly"),
        ({"default": [{"type": "sigstoreSigned", "keyPath": 7}]}, "text is expected"),
        ({"default": [{"type": "sigstoreSigned", "keyPath": "/a",
                       "signedIdentity": {"type": "matchAnything"}}]}, "matchAnything"),
        ({"default": [{"type": "sigstoreSigned", "keyPath": "/a",
                       "signedIdentity": {"type": "exactReference",
                                          "dockerReference": "example/x"}}]}, "has no tag"),
        ({"default": ACCEPT, "transports": {"docker": {"x": []}}}, "at least one"),
        ([], "a JSON object is expected"),
    ],
)  # fmt: skip
def test_a_policy_with_a_mistake_is_refused_whole(value: Any, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        policy(value)


def test_a_doubled_member_is_refused() -> None:
    with pytest.raises(Invalid, match="appears twice"):
        parse_policy(b'{"default": [{"type":"reject"}], "default": [{"type":"reject"}]}', "p")


@pytest.mark.parametrize(
    ("rule", "wanted", "signed", "accepted"),
    [
        (None, "h.io/a:1", "h.io/a:1", True),
        (None, "h.io/a:1", "h.io/a:2", False),
        (None, "h.io/a:1", "h.io/a", False),
        (None, "h.io/a@DIGEST", "h.io/a:1", True),
        (None, "h.io/a@DIGEST", "h.io/b:1", False),
        (None, "h.io/a:latest", "h.io/a", False),
        ({"type": "matchExact"}, "h.io/a@DIGEST", "h.io/a:1", False),
        ({"type": "matchExact"}, "h.io/a:1", "h.io/a:1", True),
        ({"type": "matchRepository"}, "h.io/a:1", "h.io/a", True),
        ({"type": "matchRepository"}, "h.io/a:1", "h.io/a:9", True),
        ({"type": "matchRepository"}, "h.io/a:1", "h.io/ab:1", False),
        ({"type": "exactReference", "dockerReference": "v.io/a:1"}, "h.io/z:7", "v.io/a:1", True),
        ({"type": "exactReference", "dockerReference": "v.io/a:1"}, "h.io/z:7", "v.io/a", False),
        ({"type": "exactRepository", "dockerRepository": "v.io/a"}, "h.io/z:7", "v.io/a:5", True),
        ({"type": "remapIdentity", "prefix": "m.io/v", "signedPrefix": "v.io"},
         "m.io/v/a:1", "v.io/a:1", True),
        ({"type": "remapIdentity", "prefix": "m.io/v", "signedPrefix": "v.io"},
         "m.io/vv/a:1", "v.io/a:1", False),
        ({"type": "remapIdentity", "prefix": "m.io/v", "signedPrefix": "v.io"},
         "m.io/w/a:1", "m.io/w/a:1", True),
        (None, "h.io/a:1", "not a name", False),
    ],
)  # fmt: skip
def test_signed_identity(rule: Any, wanted: str, signed: str, accepted: bool) -> None:
    """As the manual describes each type."""
    name = parse_reference(wanted.replace("DIGEST", "sha256:" + "1" * 64))
    assert parse_identity(rule, "policy").accepts(name, signed) is accepted
