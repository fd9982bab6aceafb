"""imagePullSecrets: which credentials are tried for an image, and what the pod says of them.

Expectations: kubernetes.io/docs/concepts/containers/images ("Interpretation of config.json"), and
the kubelet's keyring and image manager.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.errors import Invalid
from dockyard.cluster.client.resources import SECRETS, SERVICE_ACCOUNTS
from dockyard.cluster.kubelet.keyring import credentials_for
from dockyard.interfaces import cri
from dockyard.interfaces.cri import AuthConfig
from helpers.kubelets import Place, with_kubelet

JSON, OLDER = "kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"


def packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def secret(auths: dict[str, Any], name: str = "pull", kind: str = JSON) -> dict[str, Any]:
    """As ``kubectl create secret docker-registry`` makes it; ``kind``: or as it was made before."""
    value = {"auths": auths} if kind == JSON else auths
    key = ".dockerconfigjson" if kind == JSON else ".dockercfg"
    return {"metadata": {"name": name, "namespace": "default"}, "type": kind,
            "data": {key: packed(json.dumps(value))}}  # fmt: skip


def login(user: str) -> dict[str, str]:
    return {"username": user, "password": f"of {user}", "auth": packed(f"{user}:of {user}")}


def users(image: str, *secrets: dict[str, Any]) -> list[str]:
    return [each.username for each in credentials_for(image, secrets)]


@pytest.mark.parametrize(
    ("entry", "image", "matches"),
    [
        ("my-registry.example/images", "my-registry.example/images", True),
        ("my-registry.example/images", "my-registry.example/images/my-image", True),
        ("my-registry.example/images", "my-registry.example/images/another-image:1", True),
        ("my-registry.example/images", "my-registry.example/other", False),
        ("*.my-registry.example/images", "sub.my-registry.example/images/my-image", True),
        ("*.my-registry.example/images", "a.sub.my-registry.example/images/my-image", False),
        ("*.my-registry.example/images", "a.sub.my-registry.example/images", False),
        ("*.my-registry.example/images", "my-registry.example/images", False),
        ("*.*.kubernetes.example", "abc.def.kubernetes.example/x", True),
        ("prefix.*.example", "prefix.kubernetes.example/x", True),
        ("*-good.kubernetes.example", "prefix-good.kubernetes.example/x", True),
        ("r?.kubernetes.example", "r2.kubernetes.example/x", True),
        ("r[1-3].kubernetes.example", "r2.kubernetes.example/x", True),
        ("r[^1-3].kubernetes.example", "r2.kubernetes.example/x", False),
        ("reg.example:5000", "reg.example:5000/a/b@sha256:" + "0" * 64, True),
        ("reg.example:5000", "reg.example/a", False),
        ("reg.example", "reg.example:5000/a", False),
        ("*.example:5000", "reg.example:5000/a", True),
        ("https://reg.example", "reg.example/a", True),
        ("http://reg.example/", "reg.example/a", True),
        ("https://reg.example/v1/", "reg.example/a", True),
        ("https://reg.example/v2/team", "reg.example/team/a", True),
        ("https://reg.example/v2/team", "reg.example/a", False),
        ("https://index.docker.io/v1/", "busybox", True),
        ("index.docker.io", "docker.io/team/app:1", True),
        ("docker.io", "busybox", True),
        ("docker.io/team", "busybox", False),
        ("index.docker.io", "reg.example/a", False),
        ("reg.example:port", "reg.example/a", False),
    ],
)
def test_which_images_an_entry_is_for(entry: str, image: str, matches: bool) -> None:
    assert users(image, secret({entry: login("ann")})) == (["ann"] if matches else [])


def test_the_more_special_entry_comes_first_and_all_secrets_count() -> None:
    one = secret({"reg.example": login("all"), "reg.example/team/app": login("app")})
    two = secret({"reg.example/team": login("team"), "reg.example": login("other")}, kind=OLDER)
    assert users("reg.example/team/app:1", one, two) == ["app", "team", "all", "other"]
    assert users("reg.example/team/app:1", one, one) == ["app", "all"]


def test_auth_wins_padded_or_not_and_tokens_are_not_sent() -> None:
    entry = {"username": "shown", "password": "x", "auth": packed("ann:a:b").rstrip("="),
             "identitytoken": "t", "email": "a@b"}  # fmt: skip
    assert credentials_for("r.example/a", [secret({"r.example": entry})]) == [
        AuthConfig("ann", "a:b")
    ]
    plain = {"username": "ann", "password": "pw"}
    assert credentials_for("r.example/a", [secret({"r.example": plain})]) == [
        AuthConfig("ann", "pw")
    ]


def test_secrets_of_other_types_have_nothing() -> None:
    other = {**secret({"r.example": login("ann")}), "type": "Opaque"}
    empty = {"metadata": {"name": "e"}, "type": JSON}
    assert users("r.example/a", other, empty) == []


@pytest.mark.parametrize(
    "content", ["no json", "[]", '{"auths": []}', '{"auths": {"r.example": "x"}}',
                '{"auths": {"r.example": {"auth": "%%%"}}}',
                '{"auths": {"r.example": {"auth": "YW5u"}}}'],
)  # fmt: skip
def test_a_secret_that_is_broken_is_named_and_not_shown(content: str) -> None:
    broken = secret({})
    broken["data"] = {".dockerconfigjson": packed(content)}
    with pytest.raises(Invalid, match="secret default/pull"):
        users("r.example/a", broken)


def test_nobody_sees_a_password_in_a_log() -> None:
    assert "s3cret" not in repr(AuthConfig("ann", "s3cret"))


APP = "r.example/app:1"
CONTAINERS = [{"name": "c", "image": APP}]


def guarded(place: Place) -> None:
    place.cri.registry[APP] = cri.Image("sha256:1", (APP,), (), 12, "")
    place.cri.guarded[APP] = "ann"


async def keep(place: Place, *secrets: dict[str, Any]) -> None:
    for each in secrets:
        await place.client.create(SECRETS, each)


def test_a_pods_secret_opens_its_registry(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        guarded(place)
        await keep(place, secret({"r.example": login("ann")}))
        await place.create(containers=CONTAINERS, imagePullSecrets=[{"name": "pull"}])
        assert place.cri.running() == ["c/0"]
        assert [each and each.username for each in place.cri.shown] == ["ann"]

    with_kubelet(tmp_path, test)


def test_a_pod_without_one_is_nobody(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        guarded(place)
        await keep(place, secret({"r.example": login("ann")}))
        await place.create(containers=CONTAINERS)
        assert await place.waits() == ("ErrImagePull", f"{APP}: nobody may not")
        assert place.cri.shown == [None]

    with_kubelet(tmp_path, test)


def test_credentials_are_tried_one_after_the_other(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        guarded(place)
        await keep(place, secret({"r.example": login("bob"), "r.example/app": login("eve")}))
        await keep(place, secret({"r.example": login("ann")}, "later"))
        await place.create(containers=CONTAINERS, imagePullSecrets=[{"name": "pull"}])
        assert await place.waits() == (
            "ErrImagePull", f"[{APP}: eve may not, {APP}: bob may not]",
        )  # fmt: skip
        both = [{"name": "pull"}, {"name": "later"}]
        await place.create("two", containers=CONTAINERS, imagePullSecrets=both)
        assert place.cri.running() == ["c/0"]

    with_kubelet(tmp_path, test)


def test_a_secret_that_is_missing_is_told_and_looked_for_again(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        guarded(place)
        await place.create(containers=CONTAINERS, imagePullSecrets=[{"name": "pull"}])
        assert await place.waits() == ("ErrImagePull", f"{APP}: nobody may not")
        told = ("Warning", "FailedToRetrieveImagePullSecret",
                "Unable to retrieve some image pull secrets (pull); attempting to pull the image "
                "may not succeed.")  # fmt: skip
        assert told in await place.events()
        await keep(place, secret({"r.example": login("ann")}))
        await place.clock.advance(30)
        assert place.cri.running() == ["c/0"]

    with_kubelet(tmp_path, test)


def test_a_secret_that_is_broken_keeps_the_pod_waiting(tmp_path: Path) -> None:
    async def test(place: Place) -> None:
        guarded(place)
        broken = secret({"r.example": {"auth": packed("ann")}})
        await keep(place, broken)
        await place.create(containers=CONTAINERS, imagePullSecrets=[{"name": "pull"}])
        reason, message = await place.waits()
        assert reason == "ErrImagePull"
        assert "unable to parse auth field" in message
        assert place.cri.pulls == []

    with_kubelet(tmp_path, test)


def test_pods_get_their_accounts_secrets_unless_they_name_some(tmp_path: Path) -> None:
    """Admission (the ServiceAccount plugin) copies them into the pod."""

    async def test(place: Place) -> None:
        account = {"metadata": {"name": "robot", "namespace": "default"},
                   "imagePullSecrets": [{"name": "pull"}]}  # fmt: skip
        await place.client.create(SERVICE_ACCOUNTS, account)
        await place.create("one", serviceAccountName="robot")
        own = [{"name": "mine"}]
        await place.create("two", serviceAccountName="robot", imagePullSecrets=own)
        await place.create("three")
        found = {name: (await place.pod(name))["spec"].get("imagePullSecrets")
                 for name in ("one", "two", "three")}  # fmt: skip
        assert found == {"one": [{"name": "pull"}], "two": own, "three": None}

    with_kubelet(tmp_path, test)
