"""What people do with kubectl against `dockyard server`: the real kubectl, a real process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from helpers.kubectl import DOCKYARD, Kubectl, Server, free_port

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  replicas: 2
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      containers: [{name: c, image: "nginx:1", ports: [{containerPort: 80}]}]
"""
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\ndata: {a: '1', b: '2'}\n"


@pytest.fixture
def web(kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[str]:
    """A deployment of the test's own."""
    name = request.node.name.replace("_", "-").replace("test-", "")[:40]
    kubectl("apply", "-f", "-", stdin=WEB.replace("NAME", name))
    yield name
    kubectl("delete", "deployment", name, "--ignore-not-found")


def test_versions_resources_and_fields(kubectl: Kubectl, server: Server) -> None:
    assert "Server Version: v1.33." in kubectl("version")
    lines = kubectl("api-resources", "--no-headers").splitlines()
    assert any(line.split() == ["deployments", "deploy", "apps/v1", "true", "Deployment"]
               for line in lines)  # fmt: skip
    assert "apps/v1" in kubectl("api-versions").splitlines()
    told = kubectl("explain", "deployment.spec.replicas")
    assert "FIELD: replicas <integer>" in told
    assert "selector\t<LabelSelector> -required-" in kubectl("explain", "deployment.spec")
    assert f"https://127.0.0.1:{server.port}" in kubectl("cluster-info")


def test_apply_creates_configures_and_leaves_alone(kubectl: Kubectl) -> None:
    text = CONFIG.replace("NAME", "applied")
    assert kubectl("apply", "-f", "-", stdin=text) == "configmap/applied created\n"
    assert kubectl("apply", "-f", "-", stdin=text) == "configmap/applied unchanged\n"
    other = text.replace("b: '2'", "c: '3'")
    done = kubectl.run("diff", "-f", "-", stdin=other)
    assert done.returncode == 1
    assert "\n+  c: \"3\"\n" in done.stdout  # fmt: skip
    assert kubectl("apply", "-f", "-", stdin=other) == "configmap/applied configured\n"
    assert json.loads(kubectl("get", "cm", "applied", "-o", "json"))["data"] == {"a": "1", "c": "3"}
    told = kubectl.refused("create", "-f", "-", stdin=text)
    assert 'Error from server (AlreadyExists)' in told  # fmt: skip
    kubectl("delete", "cm", "applied")
    assert '(NotFound): configmaps "applied" not found' in kubectl.refused("get", "cm", "applied")


def test_a_list_that_was_got_is_applied_again(kubectl: Kubectl) -> None:
    for name in ("one", "two"):
        kubectl("apply", "-f", "-", stdin=CONFIG.replace("NAME", name))
    listed = json.loads(kubectl("get", "cm", "one", "two", "-o", "json"))
    assert listed["kind"] == "List"
    for item in listed["items"]:
        for field in ("uid", "resourceVersion", "creationTimestamp"):
            del item["metadata"][field]
    kubectl("delete", "cm", "one", "two")
    told = kubectl("apply", "-f", "-", stdin=json.dumps(listed))
    assert told == "configmap/one created\nconfigmap/two created\n"
    assert kubectl("get", "cm", "one", "two", "-o", "name").split() == [
        "configmap/one", "configmap/two",
    ]  # fmt: skip
    wrong = {**listed, "items": [{**listed["items"][0], "dat": {}}]}
    told = kubectl.refused("apply", "-f", "-", stdin=json.dumps(wrong))
    assert 'unknown field "dat"' in told
    kubectl("delete", "cm", "one", "two")


def test_get_in_every_form(kubectl: Kubectl, web: str) -> None:
    head, line = kubectl("get", "deployment", web, "-o", "wide").splitlines()
    assert head.split() == [
        "NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR",
    ]  # fmt: skip
    assert line.split()[0] == web
    assert line.split()[-3:] == ["c", "nginx:1", f"app={web}"]
    assert "replicas: 2" in kubectl("get", "deploy", web, "-o", "yaml")
    assert json.loads(kubectl("get", "deploy", web, "-o", "json"))["kind"] == "Deployment"
    assert kubectl("get", "deploy", web, "-o", "jsonpath={.spec.replicas}") == "2"
    assert kubectl("get", "deploy", web, "-o", "name") == f"deployment.apps/{web}\n"
    assert kubectl("get", "deploy", web, "-o", "custom-columns=N:.metadata.name").split() == [
        "N", web,
    ]  # fmt: skip
    names = kubectl("get", "deploy,cm", "-A", "-o", "name", "--sort-by=.metadata.name")
    assert f"deployment.apps/{web}" in names.split()
    told = kubectl.run("get", "pods", "-l", "app=none").stderr
    assert told == "No resources found in default namespace.\n"


def test_describe(kubectl: Kubectl, web: str) -> None:
    told = kubectl("describe", "deployment", web)
    assert "Replicas:               2 desired" in told
    assert "RollingUpdateStrategy:  25% max unavailable, 25% max surge" in told


def test_a_watch_shows_changes(kubectl: Kubectl, web: str) -> None:
    watching = subprocess.Popen(
        [kubectl.program, "get", "deploy", web, "-w", "-o", "jsonpath={.spec.replicas}{'\\n'}"],
        env=kubectl.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert watching.stdout is not None
        assert watching.stdout.readline() == "2\n"
        kubectl("scale", "deploy", web, "--replicas=3")
        seen = [watching.stdout.readline()]
        while seen[-1] == "2\n":
            seen.append(watching.stdout.readline())
        assert seen[-1] == "3\n"
    finally:
        watching.terminate()
        watching.communicate()


def test_edit(kubectl: Kubectl, web: str) -> None:
    told = kubectl("edit", "deploy", web, EDITOR="sed -i s/nginx:1/nginx:2/g")
    assert told == f"deployment.apps/{web} edited\n"
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    assert kubectl("get", "deploy", web, "-o", path) == "nginx:2"
    told = kubectl.run("edit", "deploy", web, EDITOR="true")
    assert "Edit cancelled" in told.stdout + told.stderr


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("strategic", {"spec": {"template": {"spec": {"containers": [
            {"name": "c", "image": "nginx:2"}]}}}}),
        ("merge", {"spec": {"template": {"spec": {"containers": [
            {"name": "c", "image": "nginx:2"}]}}}}),
        ("json", [{"op": "replace", "path": "/spec/template/spec/containers/0/image",
                   "value": "nginx:2"}]),
    ],
)  # fmt: skip
def test_patch(kubectl: Kubectl, kind: str, patch: object) -> None:
    name = f"patch-{kind}"
    kubectl("apply", "-f", "-", stdin=WEB.replace("NAME", name))
    told = kubectl("patch", "deploy", name, "--type", kind, "-p", json.dumps(patch))
    assert told == f"deployment.apps/{name} patched\n"
    found = json.loads(kubectl("get", "deploy", name, "-o", "json"))
    (container,) = found["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "nginx:2"
    assert ("containerPort" in str(container)) == (kind != "merge")
    kubectl("delete", "deploy", name)


def test_scale_label_annotate_wait(kubectl: Kubectl, web: str) -> None:
    kubectl("scale", "deploy", web, "--replicas=5", "--current-replicas=2")
    kubectl("wait", "deploy", web, "--for=jsonpath={.spec.replicas}=5", "--timeout=10s")
    assert "labeled" in kubectl("label", "deploy", web, "tier=front")
    told = kubectl.refused("label", "deploy", web, "tier=back")
    assert "--overwrite is false" in told
    assert kubectl("get", "deploy", "-l", "tier in (front)", "-o", "name").split() == [
        f"deployment.apps/{web}"
    ]
    kubectl("label", "deploy", web, "tier-")
    assert kubectl("get", "deploy", "-l", "tier", "-o", "name") == ""
    assert "annotated" in kubectl("annotate", "deploy", web, "note=hello")
    told = kubectl.refused("label", "deploy", web, "a=not/a/value")
    assert "a valid label must be" in told


def test_rollouts(kubectl: Kubectl, web: str) -> None:
    kubectl("set", "image", f"deploy/{web}", "c=nginx:2")
    deadline = time.monotonic() + 20
    while len(kubectl("rollout", "history", f"deploy/{web}").split("\n")) < 6:
        assert time.monotonic() < deadline
    assert "rolled back" in kubectl("rollout", "undo", f"deploy/{web}")
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    assert kubectl("get", "deploy", web, "-o", path) == "nginx:1"
    assert "restarted" in kubectl("rollout", "restart", f"deploy/{web}")
    assert "paused" in kubectl("rollout", "pause", f"deploy/{web}")
    assert "resumed" in kubectl("rollout", "resume", f"deploy/{web}")


def test_a_service_and_a_pod(kubectl: Kubectl, web: str) -> None:
    assert kubectl("expose", "deploy", web, "--port=80") == f"service/{web} exposed\n"
    address = kubectl("get", "service", web, "-o", "jsonpath={.spec.clusterIP}")
    assert address.count(".") == 3
    assert kubectl("run", "one", "--image=nginx") == "pod/one created\n"
    kubectl("wait", "pod/one", "--for=jsonpath={.status.phase}=Pending", "--timeout=10s")
    assert "one" in kubectl("get", "pods", "--field-selector=status.phase=Pending")
    assert "does not have a host assigned" in kubectl.refused("logs", "one")
    kubectl("delete", "pod/one", f"service/{web}", "--timeout=10s")


def test_what_is_deleted_takes_its_dependents(kubectl: Kubectl, web: str) -> None:
    label = f"app={web}"
    deadline = time.monotonic() + 20
    while len(kubectl("get", "pods", "-l", label, "-o", "name").split()) < 2:
        assert time.monotonic() < deadline
    kubectl("delete", "deploy", web, "--cascade=foreground", "--timeout=20s")
    assert kubectl("get", "rs,pods", "-l", label, "-o", "name") == ""


def test_a_namespace_takes_what_is_in_it(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin="{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")
    kubectl("-n", "shop", "apply", "-f", "-", stdin=CONFIG.replace("NAME", "mine"))
    kubectl("delete", "namespace", "shop", "--timeout=20s")
    assert "NotFound" in kubectl.refused("get", "namespace", "shop")
    assert "NotFound" in kubectl.refused("-n", "shop", "get", "cm", "mine")


def test_mistakes_are_told(kubectl: Kubectl) -> None:
    wrong = WEB.replace("NAME", "wrong").replace("replicas: 2", "replicas: -2")
    told = kubectl.refused("apply", "-f", "-", stdin=wrong)
    assert "spec.replicas: Invalid value: -2: must be greater than or equal to 0" in told
    unknown = WEB.replace("NAME", "wrong").replace("replicas: 2", "replcas: 2")
    told = kubectl.refused("apply", "-f", "-", stdin=unknown)
    assert 'unknown field "spec.replcas"' in told
    told = kubectl.refused("get", "nothings")
    assert 'the server doesn\'t have a resource type "nothings"' in told


def test_ctrl_c_ends_a_server_and_its_watches(
    kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server = Server(tmp_path_factory.mktemp("stopped"))
    environment = {**kubectl.environment, "KUBECONFIG": str(server.kubeconfig)}
    watching = subprocess.Popen(
        [kubectl.program, "get", "ns", "-w", "--no-headers"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert watching.stdout is not None
        assert "Active" in watching.stdout.readline()
        server.process.send_signal(signal.SIGINT)
        out, told = server.process.communicate(timeout=10)
        assert (server.process.returncode, out, told) == (0, "", "")
        watching.communicate(timeout=10)
    finally:
        watching.kill()
        watching.communicate()
    again = server.spawn()
    try:
        assert again.stdout is not None
        assert again.stdout.readline() == server.greeting
    finally:
        again.terminate()
        assert again.communicate(timeout=10) == ("", "")
    assert again.returncode == 0


def test_a_port_that_is_taken_is_said(tmp_path_factory: pytest.TempPathFactory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ["server", "--data-dir", str(tmp_path_factory.mktemp("taken")), "--address",
                 f"127.0.0.1:{port}"]  # fmt: skip
        done = subprocess.run([DOCKYARD, *words], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"127.0.0.1:{port}" in done.stderr
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_server_on_the_same_data_is_refused(server: Server) -> None:
    before = server.kubeconfig.read_bytes()
    second = server.spawn(free_port())
    out, told = second.communicate(timeout=20)
    assert second.returncode != 0
    assert out == ""
    assert str(server.process.pid) in told
    assert "Traceback" not in told
    assert server.kubeconfig.read_bytes() == before
    os.kill(server.process.pid, 0)  # the first one goes on
