"""Variables of containers: all sources, ``$(NAME)``, Services' links, the downward API."""

from typing import Any

import pytest

from dockyard.base.errors import Invalid, Unsupported
from dockyard.cluster.kubelet import downward, servicelinks
from dockyard.cluster.kubelet.environment import ConfigError, expand, variables

VALUES = {"VAR_A": "A", "VAR_B": "B", "VAR_C": "C", "VAR_REF": "$(VAR_A)", "VAR_EMPTY": ""}
STATUS = {"podIP": "10.0.0.7", "hostIP": "192.0.2.1", "cpu": "4", "memory": "8Gi"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("\n", "\n"),
        ("$(VAR_A)", "A"),
        ("___$(VAR_B)___", "___B___"),
        ("$(VAR_A)_$(VAR_B)_$(VAR_C)", "A_B_C"),
        ("$$(VAR_B)_$(VAR_A)", "$(VAR_B)_A"),
        ("f000-$$VAR_A", "f000-$VAR_A"),
        ("foo\\$(VAR_C)bar", "foo\\Cbar"),
        ("$(VAR_A$(VAR_B))", "$(VAR_A$(VAR_B))"),
        ("$(VAR_A$(VAR_B)", "$(VAR_A$(VAR_B)"),
        ("$(VAR_REF)", "$(VAR_A)"),
        ("foo$(VAR_EMPTY)bar", "foobar"),
        ("foo$(VAR_Awhoops!", "foo$(VAR_Awhoops!"),
        ("f00__(VAR_A)__", "f00__(VAR_A)__"),
        ("$?_boo_$!", "$?_boo_$!"),
        ("$VAR_A", "$VAR_A"),
        ("$(VAR_DNE)", "$(VAR_DNE)"),
        ("$$$$$$(VAR_A)", "$$$(VAR_A)"),
        ("$$$$$$$(GOOD_ODDS)", "$$$$(GOOD_ODDS)"),
        ("$$$$$$$(VAR_A)", "$$$A"),
        ("$VAR_A)", "$VAR_A)"),
        ("${VAR_A}", "${VAR_A}"),
        ("$(VAR_C)_______$(", "C_______$("),
        ("$(VAR_A)foobarzab$", "Afoobarzab$"),
        ("--$($($($($--", "--$($($($($--"),
        ("$(foo$$var)", "$(foo$$var)"),
    ],
)
def test_references(text: str, expected: str) -> None:
    """The vectors of kubernetes' third_party/forked/golang/expansion."""
    assert expand(text, VALUES) == expected


def pod(**spec: Any) -> dict[str, Any]:
    metadata = {"name": "p", "namespace": "shop", "uid": "u-1",
                "labels": {"app": "web", "a": 'say "hi"'},
                "annotations": {"note": "two\nlines"}}  # fmt: skip
    return {"metadata": metadata, "spec": {"nodeName": "n", "serviceAccountName": "sa",
                                           "containers": [], **spec}}  # fmt: skip


CONFIG = {"metadata": {"name": "cfg"}, "data": {"colour": "red", "size.txt": "9"},
          "binaryData": {"raw": "AAE="}}  # fmt: skip
SECRET = {"metadata": {"name": "sec"}, "data": {"token": "czNjcjN0", "colour": "Ymx1ZQ=="}}


def lookup(kind: str, name: str) -> Any:
    return {("configmap", "cfg"): CONFIG, ("secret", "sec"): SECRET}.get((kind, name))


def of(*env: Any, sources: Any = (), services: Any = (), **spec: Any) -> dict[str, str]:
    container = {"name": "c", "env": list(env), "envFrom": list(sources)}
    return variables(pod(**spec), container, STATUS, lookup, services)


def test_later_sources_win_and_variables_win_over_sources() -> None:
    sources = [{"configMapRef": {"name": "cfg"}},
               {"prefix": "S_", "secretRef": {"name": "sec"}},
               {"secretRef": {"name": "sec"}}]  # fmt: skip
    found = of({"name": "token", "value": "mine"}, sources=sources)
    assert found == {"colour": "blue", "size.txt": "9", "S_token": "s3cr3t", "S_colour": "blue",
                     "token": "mine"}  # fmt: skip


def test_references_see_what_came_before() -> None:
    found = of(
        {"name": "LATE", "value": "$(EARLY)"},
        {"name": "EARLY", "value": "$(colour)"},
        {"name": "BOTH", "value": "$(EARLY)-$(LATE)"},
        {"name": "NOTHING"},
        sources=[{"configMapRef": {"name": "cfg"}}],
    )
    assert found["LATE"] == "$(EARLY)"
    assert found["BOTH"] == "red-$(EARLY)"
    assert found["NOTHING"] == ""


def reference(kind: str, name: str, key: str, **more: Any) -> dict[str, Any]:
    return {"name": "X", "valueFrom": {kind: {"name": name, "key": key, **more}}}


def test_keys() -> None:
    assert of(reference("configMapKeyRef", "cfg", "size.txt"))["X"] == "9"
    assert of(reference("secretKeyRef", "sec", "token"))["X"] == "s3cr3t"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (reference("configMapKeyRef", "no", "k"), 'configmap "no" not found'),
        (reference("secretKeyRef", "no", "k"), 'secret "no" not found'),
        (reference("configMapKeyRef", "cfg", "k"), "couldn't find key k in ConfigMap shop/cfg"),
        (reference("secretKeyRef", "sec", "k"), "couldn't find key k in Secret shop/sec"),
        (reference("configMapKeyRef", "cfg", "raw"), "couldn't find key raw in ConfigMap shop/cfg"),
    ],
)
def test_what_is_not_there(entry: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        of(entry)
    assert str(caught.value) == message
    kind, content = next(iter(entry["valueFrom"].items()))
    optional = {"name": "X", "valueFrom": {kind: {**content, "optional": True}}}
    assert of(optional) == {}


@pytest.mark.parametrize(("ref", "word"), [("configMapRef", "configmap"), ("secretRef", "secret")])
def test_a_source_that_is_not_there(ref: str, word: str) -> None:
    with pytest.raises(ConfigError, match=f'^{word} "no" not found$'):
        of(sources=[{ref: {"name": "no"}}])
    assert of(sources=[{ref: {"name": "no", "optional": True}}]) == {}


def test_bytes_that_are_no_text_are_only_in_volumes() -> None:
    assert "raw" not in of(sources=[{"configMapRef": {"name": "cfg"}}])


def test_a_secret_that_is_no_base64() -> None:
    broken = {"metadata": {"name": "s"}, "data": {"k": "%"}}
    with pytest.raises(Invalid, match="secret s: no base64"):
        variables(pod(), {"name": "c", "envFrom": [{"secretRef": {"name": "s"}}]}, STATUS,
                  lambda kind, name: broken, ())  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "p"),
        ("metadata.namespace", "shop"),
        ("metadata.uid", "u-1"),
        ("metadata.labels['app']", "web"),
        ("metadata.labels['none']", ""),
        ("metadata.annotations['note']", "two\nlines"),
        ("spec.nodeName", "n"),
        ("spec.serviceAccountName", "sa"),
        ("status.podIP", "10.0.0.7"),
        ("status.podIPs", "10.0.0.7"),
        ("status.hostIP", "192.0.2.1"),
    ],
)
def test_fields(path: str, value: str) -> None:
    entry = {"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}
    assert of(entry)["X"] == value


def test_all_labels_as_a_volume_shows_them() -> None:
    """kubernetes' fieldpath.FormatMap: sorted, quoted as Go quotes."""
    assert downward.field("metadata.labels", pod(), STATUS) == 'a="say \\"hi\\""\napp="web"'
    assert downward.field("metadata.annotations", pod(), STATUS) == 'note="two\\nlines"'


def test_a_field_that_is_not_known() -> None:
    with pytest.raises(Unsupported, match=r"spec\.priority"):
        downward.field("spec.priority", pod(), STATUS)


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        ("limits.cpu", None, "1"),  # 250m, rounded up
        ("limits.cpu", "1m", "250"),
        ("requests.cpu", "1m", "100"),
        ("limits.memory", None, "67108864"),
        ("limits.memory", "1Mi", "64"),
        ("requests.memory", "1Mi", "64"),  # the limit's, where no request is
        ("limits.ephemeral-storage", None, "0"),
    ],
)
def test_resources(resource: str, divisor: str | None, value: str) -> None:
    container = {"name": "c", "resources": {"limits": {"cpu": "250m", "memory": "64Mi"},
                                            "requests": {"cpu": "100m"}}}  # fmt: skip
    given = {"resource": resource, **({"divisor": divisor} if divisor else {})}
    assert downward.resource(given, pod(), container, STATUS) == value


def test_a_limit_that_is_not_set_is_the_nodes() -> None:
    container: dict[str, Any] = {"name": "c"}
    assert downward.resource({"resource": "limits.cpu"}, pod(), container, STATUS) == "4"
    given = {"resource": "limits.memory", "divisor": "1Gi"}
    assert downward.resource(given, pod(), container, STATUS) == "8"
    assert downward.resource({"resource": "requests.cpu"}, pod(), container, STATUS) == "0"


def test_a_volume_names_the_container() -> None:
    found = pod(containers=[{"name": "x", "resources": {"limits": {"cpu": "2"}}}])
    given = {"containerName": "x", "resource": "limits.cpu"}
    assert downward.resource(given, found, None, STATUS) == "2"
    with pytest.raises(Invalid, match="'y' not found"):
        downward.resource({**given, "containerName": "y"}, found, None, STATUS)


def service(name: str, namespace: str, ip: str, *ports: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace},
            "spec": {"clusterIP": ip, "ports": list(ports)}}  # fmt: skip


KUBERNETES = service("kubernetes", "default", "10.96.0.1", {"port": 443, "name": "https"})
SHOP = service(
    "redis-primary", "shop", "10.96.0.9", {"port": 6379, "name": "p-1"},
    {"port": 53, "protocol": "UDP"},
)  # fmt: skip
OTHER = service("web", "elsewhere", "10.96.0.3", {"port": 80})
HEADLESS = service("db", "shop", "None", {"port": 5432})


def test_links_of_services() -> None:
    """What the documentation of "Accessing Services" lists for redis-primary."""
    assert servicelinks.variables([SHOP]) == {
        "REDIS_PRIMARY_SERVICE_HOST": "10.96.0.9",
        "REDIS_PRIMARY_SERVICE_PORT": "6379",
        "REDIS_PRIMARY_SERVICE_PORT_P_1": "6379",
        "REDIS_PRIMARY_PORT": "tcp://10.96.0.9:6379",
        "REDIS_PRIMARY_PORT_6379_TCP": "tcp://10.96.0.9:6379",
        "REDIS_PRIMARY_PORT_6379_TCP_PROTO": "tcp",
        "REDIS_PRIMARY_PORT_6379_TCP_PORT": "6379",
        "REDIS_PRIMARY_PORT_6379_TCP_ADDR": "10.96.0.9",
        "REDIS_PRIMARY_PORT_53_UDP": "udp://10.96.0.9:53",
        "REDIS_PRIMARY_PORT_53_UDP_PROTO": "udp",
        "REDIS_PRIMARY_PORT_53_UDP_PORT": "53",
        "REDIS_PRIMARY_PORT_53_UDP_ADDR": "10.96.0.9",
    }


def test_who_sees_which_service() -> None:
    every = [KUBERNETES, SHOP, OTHER, HEADLESS]
    found = of({"name": "URL", "value": "$(REDIS_PRIMARY_PORT)"}, services=every)
    assert found["URL"] == "tcp://10.96.0.9:6379"
    assert found["KUBERNETES_SERVICE_HOST"] == "10.96.0.1"
    assert not [name for name in found if name.startswith(("WEB_", "DB_"))]
    without = of(services=every, enableServiceLinks=False)
    assert "KUBERNETES_SERVICE_HOST" in without
    assert "REDIS_PRIMARY_SERVICE_HOST" not in without


def test_an_own_variable_wins_over_a_link() -> None:
    found = of({"name": "KUBERNETES_SERVICE_HOST", "value": "mine"}, services=[KUBERNETES])
    assert found["KUBERNETES_SERVICE_HOST"] == "mine"


def test_a_service_of_the_same_name_in_the_pods_namespace_wins() -> None:
    own = service("kubernetes", "shop", "10.96.0.77", {"port": 1})
    for order in ([own, KUBERNETES], [KUBERNETES, own]):
        assert of(services=order)["KUBERNETES_SERVICE_HOST"] == "10.96.0.77"
