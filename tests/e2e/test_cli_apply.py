"""`dockyard apply` against `dockyard server`: it says and does what kubectl says and does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.dockyardcli import Dockyard
from helpers.kubectl import Kubectl, Server

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  replicas: 1
  selector: {matchLabels: {app: NAME}}
  strategy: {type: RollingUpdate}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      containers:
      - name: c
        image: nginx:1
        ports: [{containerPort: 80}]
        env: [{name: A, value: "x<y&z"}, {name: B, value: "2"}]
"""
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\ndata: {a: '1', b: '2'}\n"


@pytest.fixture(scope="module")
def dockyard(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Dockyard:
    return Dockyard(server.kubeconfig, tmp_path_factory.mktemp("home"))


def stored(dockyard: Dockyard, what: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(dockyard("get", what, "-o", "json"))
    return found


def test_created_configured_unchanged(dockyard: Dockyard, tmp_path: Path) -> None:
    folder = tmp_path / "k8s"
    folder.mkdir()
    (folder / "b.yaml").write_text(MAP.replace("NAME", "two"))
    (folder / "a.yml").write_text(f"---\n{MAP.replace('NAME', 'one')}---\n---\n")
    (folder / "c.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "in", "namespace": "shop"}},
    ]}))  # fmt: skip
    (folder / "notes.txt").write_text("no manifest")
    names = ["configmap/one", "configmap/two", "namespace/shop", "configmap/in"]
    told = dockyard("apply", "-f", str(folder))
    assert told == "".join(f"{name} created\n" for name in names)
    told = dockyard("apply", "-f", str(folder))
    assert told == "".join(f"{name} unchanged\n" for name in names)
    (folder / "b.yaml").write_text(MAP.replace("NAME", "two").replace("b: '2'", "c: '3'"))
    assert "configmap/two configured\n" in dockyard("apply", "-f", str(folder))
    assert stored(dockyard, "cm/two")["data"] == {"a": "1", "c": "3"}


def test_what_others_have_set_stays(dockyard: Dockyard) -> None:
    text = WEB.replace("NAME", "shared")
    dockyard("apply", "-f", "-", stdin=text)
    deployment = stored(dockyard, "deploy/shared")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]  # type: ignore[index]
    container["resources"] = {"limits": {"memory": "1Gi"}}
    sidecar = {"name": "sidecar", "image": "envoy:1"}
    deployment["spec"]["template"]["spec"]["containers"] = [sidecar, container]  # type: ignore[index]
    deployment["metadata"]["annotations"]["team"] = "blue"  # type: ignore[index]
    deployment["metadata"]["labels"] = {"extra": "yes"}  # type: ignore[index]
    said = deployment["metadata"]["annotations"]  # type: ignore[index]
    original = said.pop("kubectl.kubernetes.io/last-applied-configuration")
    assert json.loads(original)["metadata"]["name"] == "shared"
    deployment["metadata"].pop("resourceVersion")  # type: ignore[attr-defined]
    said["kubectl.kubernetes.io/last-applied-configuration"] = original
    _replace(dockyard, deployment)
    changed = text.replace("nginx:1", "nginx:2").replace(', {name: B, value: "2"}', "")
    assert dockyard("apply", "-f", "-", stdin=changed) == "deployment.apps/shared configured\n"
    found = stored(dockyard, "deploy/shared")
    first, second = found["spec"]["template"]["spec"]["containers"]  # type: ignore[index]
    assert first["name"] == "sidecar"
    assert second["image"] == "nginx:2"
    assert second["resources"] == {"limits": {"memory": "1Gi"}}
    assert second["env"] == [{"name": "A", "value": "x<y&z"}]
    assert found["metadata"]["labels"] == {"extra": "yes"}  # type: ignore[index]
    assert dockyard("apply", "-f", "-", stdin=changed) == "deployment.apps/shared unchanged\n"


def _replace(dockyard: Dockyard, obj: dict[str, object]) -> None:
    """What somebody else does: a PUT of the whole object."""
    import http.client
    import ssl

    from dockyard.cluster.client import kubeconfig

    access = kubeconfig.load([Path(dockyard.environment["KUBECONFIG"])])
    assert isinstance(access.tls, ssl.SSLContext)
    host, _, port = access.server.removeprefix("https://").partition(":")
    connection = http.client.HTTPSConnection(host, int(port), context=access.tls)
    name = obj["metadata"]["name"]  # type: ignore[index]
    path = f"/apis/apps/v1/namespaces/default/deployments/{name}"
    connection.request("PUT", path, json.dumps(obj), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    connection.close()


def test_kubectl_goes_on_where_dockyard_was(dockyard: Dockyard, kubectl: Kubectl) -> None:
    path = "jsonpath={.metadata.annotations}"
    for name in ("web", "words"):
        text = (WEB if name == "web" else MAP).replace("NAME", name)
        kind = "deploy" if name == "web" else "cm"
        dockyard("apply", "-f", "-", stdin=text)
        ours = kubectl("get", kind, name, "-o", path)
        assert kubectl.run("diff", "-f", "-", stdin=text).returncode == 0
        kubectl("delete", kind, name)
        kubectl("apply", "-f", "-", stdin=text)
        assert kubectl("get", kind, name, "-o", path) == ours
        assert dockyard("apply", "-f", "-", stdin=text).endswith(f"/{name} unchanged\n")


REFUSED = {
    "several faults": WEB.replace("replicas: 1", "replicas: -1").replace("name: c\n", "name: C\n"),
    "a name": MAP.replace("NAME", "A_b"),
    "an unknown field": MAP.replace("\ndata:", "\ndat:"),
    "a wrong type": MAP.replace("'1'", "1"),
    "a missing namespace": MAP.replace("NAME}", "x, namespace: nowhere}"),
    "no objects": "",
    "a taken field": WEB.replace("NAME", "kept").replace("{app: kept}", "{app: other}"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refusals_are_kubectls(dockyard: Dockyard, kubectl: Kubectl, what: str) -> None:
    dockyard("apply", "-f", "-", stdin=WEB.replace("NAME", "kept"))
    before = dockyard("get", "deploy,cm", "-A", "-o", "yaml")
    peer = kubectl.run("apply", "-f", "-", stdin=REFUSED[what])
    ours = dockyard.run("apply", "-f", "-", stdin=REFUSED[what])
    assert (ours.returncode, ours.stdout, ours.stderr) == (1, "", peer.stderr)
    assert peer.returncode == 1
    assert dockyard("get", "deploy,cm", "-A", "-o", "yaml") == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [\n", "error parsing STDIN: not YAML"),
        ("[]\n", "a document is no object"),
        ("kind: ConfigMap\nmetadata: {name: a}\n", "apiVersion not set"),
        ("apiVersion: v1\nmetadata: {name: a}\n", "kind not set"),
        (MAP.replace("{name: NAME}", "{}"), "metadata.name: is missing"),
        (MAP.replace("name: NAME", "generateName: a-"), "cannot use generate name with apply"),
        (MAP.replace("ConfigMap", "Nothing"), 'no matches for kind "Nothing" in version "v1"'),
    ],
)
def test_what_is_no_manifest(dockyard: Dockyard, text: str, told: str) -> None:
    good = MAP.replace("NAME", "never")
    found = dockyard.run("apply", "-f", "-", stdin=f"{good}---\n{text}")
    assert found.returncode == 1
    assert told in found.stderr
    if "no matches" not in told:  # a file that can't be read: nothing of it is applied
        assert dockyard.run("get", "cm", "never").returncode == 1


def test_places_and_flags(dockyard: Dockyard, tmp_path: Path) -> None:
    text = MAP.replace("NAME", "placed")
    told = dockyard("apply", "-f", "-", "-n", "kube-system", stdin=text)
    assert told == "configmap/placed created\n"
    elsewhere = text.replace("placed}", "placed, namespace: kube-public}")
    told = dockyard.refused("apply", "-f", "-", "-n", "default", stdin=elsewhere)
    assert "does not match the namespace \"default\"" in told  # fmt: skip
    for mode, said in (("client", "dry run"), ("server", "server dry run")):
        told = dockyard("apply", "-f", "-", f"--dry-run={mode}", stdin=text)
        assert told == f"configmap/placed created ({said})\n"
        assert dockyard.run("get", "cm", "placed").returncode == 1
    assert "does not exist" in dockyard.refused("apply", "-f", str(tmp_path / "none.yaml"))
    assert "file extensions" in dockyard.refused("apply", "-f", str(tmp_path))
    assert "curl" in dockyard.refused("apply", "-f", "https://example.com/a.yaml")
    assert dockyard.run("apply", "-f", "-", "--server-side", stdin=text).returncode != 0
    assert dockyard.run("apply").returncode != 0
    told = dockyard("apply", "-f", "-", "-o", "jsonpath={.data.b}", stdin=text)
    assert told == "2"
    wrong = text.replace("\ndata:", "\ndat:")
    found = dockyard.run("apply", "-f", "-", "--validate=warn", stdin=wrong)
    assert found.stderr == 'Warning: unknown field "dat"\n'
    assert found.returncode == 0
