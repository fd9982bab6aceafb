"""What kubectl does with pods, through the API server, on a node whose kubelet is a fake."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dockyard.cluster.client.kubeconfig import load
from helpers.fakekubelet import FakeKubelet
from helpers.kubectl import Kubectl, Server

POD: dict[str, Any] = {
    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
    "spec": {"nodeName": "fake", "containers": [
        {"name": "c", "image": "nginx:1", "ports": [{"containerPort": 80}]}]},
}  # fmt: skip
READY = {
    "phase": "Running",
    "conditions": [{"type": "Ready", "status": "True"}],
    "containerStatuses": [{"name": "c", "ready": True, "restartCount": 0, "image": "nginx:1",
                           "imageID": "", "state": {"running": {
                               "startedAt": "2026-01-01T00:00:00Z"}}}],
}  # fmt: skip


@pytest.fixture(scope="module")
def kubelet(server: Server, kubectl: Kubectl) -> Iterator[FakeKubelet]:
    with FakeKubelet(server.root / "cluster" / "pki") as found:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "fake"}}
        kubectl("apply", "-f", "-", stdin=json.dumps(node))
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": found.port}},
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime":
                            "2026-01-01T00:00:00Z", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}],
            "allocatable": {"pods": "10", "cpu": "4", "memory": "8Gi"},
        }  # fmt: skip
        _set_status(kubectl, "node", "fake", status)
        kubectl("apply", "-f", "-", stdin=json.dumps(POD))
        _set_status(kubectl, "pod", "web", READY)
        yield found


def _set_status(kubectl: Kubectl, kind: str, name: str, status: dict[str, Any]) -> None:
    patch = json.dumps({"status": status})
    kubectl("patch", kind, name, "--subresource=status", "--type=merge", "-p", patch)


def test_logs(kubectl: Kubectl, kubelet: FakeKubelet) -> None:
    assert kubectl("logs", "web") == "one\ntwo\n"
    path, query = kubelet.asked[-1]
    assert path == "/containerLogs/default/web/c"
    kubectl("logs", "web", "-c", "c", "--tail=5", "--previous", "--timestamps", "--since=60s")
    path, query = kubelet.asked[-1]
    assert path == "/containerLogs/default/web/c"
    assert dict(query) == {
        "previous": "true", "sinceSeconds": "60", "tailLines": "5", "timestamps": "true",
    }  # fmt: skip
    before = len(kubelet.asked)
    assert "container x is not valid for pod web" in kubectl.refused("logs", "web", "-c", "x")
    assert "not found" in kubectl.refused("logs", "nobody")
    assert len(kubelet.asked) == before


def test_exec(kubectl: Kubectl, kubelet: FakeKubelet) -> None:
    assert kubectl("exec", "web", "--", "echo", "a b", "&c=d") == "echo a b &c=d\n"
    path, query = kubelet.asked[-1]
    assert path == "/exec/default/web/c"
    assert query == [("command", "echo"), ("command", "a b"), ("command", "&c=d"),
                     ("error", "1"), ("output", "1")]  # fmt: skip
    done = kubectl.run("exec", "web", "--", "false")
    assert done.returncode == 3
    assert "command terminated with exit code 3" in done.stderr


def test_a_port_is_passed_on_byte_for_byte(server: Server, kubelet: FakeKubelet) -> None:
    with upgrading(server) as tunnel:
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += tunnel.recv(65536)
        assert answer.startswith(b"HTTP/1.1 101 ")
        sent = bytes(range(256)) * 4096
        tunnel.sendall(sent)
        came = answer.partition(b"\r\n\r\n")[2]
        while len(came) < len(sent):
            came += tunnel.recv(65536)
        assert came == sent.upper()
    assert kubelet.asked[-1][0] == "/portForward/default/web"


@pytest.mark.parametrize(
    ("status", "headers", "code"),
    [
        (302, b"Location: https://127.0.0.1:1/elsewhere\r\n", 500),
        (307, b"Location: https://127.0.0.1:1/elsewhere\r\n", 500),
        (200, b"", 502),
        (403, b"", 403),
        (400, b"", 400),
    ],
)
def test_f07_a_refused_upgrade_leaves_no_way_in(
    server: Server, kubelet: FakeKubelet, status: int, headers: bytes, code: int
) -> None:
    before = len(kubelet.asked)
    kubelet.refusal = status, headers
    try:
        with upgrading(server) as tunnel:
            tunnel.sendall(b"GET /containerLogs/kube-system/other/c HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = b""
            while data := tunnel.recv(65536):
                answer += data
    finally:
        kubelet.refusal = None
    first = answer.partition(b"\r\n")[0]
    assert int(first.split(b" ")[1]) == code, answer
    assert b"Location" not in answer
    assert len(kubelet.asked) == before + 1  # what the client sent behind it went nowhere
    found = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert found["kind"] == "Status"


@contextmanager
def upgrading(server: Server) -> Iterator[ssl.SSLSocket]:
    """A connection on which an upgrade for port-forward has been asked for."""
    access = load([server.kubeconfig])
    assert access.tls is not None
    request = (
        "POST /api/v1/namespaces/default/pods/web/portforward HTTP/1.1\r\nHost: localhost\r\n"
        "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
        "X-Stream-Protocol-Version: portforward.k8s.io\r\nContent-Length: 0\r\n\r\n"
    )
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as raw,
        access.tls.wrap_socket(raw, server_hostname="localhost") as tunnel,
    ):
        tunnel.sendall(request.encode())
        yield tunnel


def test_a_rollout_is_followed_to_its_end(kubectl: Kubectl, kubelet: FakeKubelet) -> None:
    kubectl("create", "deployment", "roll", "--image=nginx:1", "--replicas=2")
    with _running(kubectl, "rollout", "status", "deploy/roll", "--timeout=30s") as status:
        for name in _pods(kubectl, "app=roll", 2):
            _set_status(kubectl, "pod", name, READY)
        out, err = status.communicate(timeout=40)
    assert status.returncode == 0, err
    assert out.endswith('deployment "roll" successfully rolled out\n')
    kubectl("wait", "deploy/roll", "--for=condition=Available", "--timeout=20s")
    kubectl("set", "image", "deploy/roll", "nginx=nginx:2")
    _until(lambda: len(kubectl("rollout", "history", "deploy/roll").strip().split("\n")) == 4)
    told = kubectl("rollout", "history", "deploy/roll", "--revision=2")
    assert "nginx:2" in told
    assert kubectl("rollout", "undo", "deploy/roll") == "deployment.apps/roll rolled back\n"
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    assert kubectl("get", "deploy", "roll", "-o", path) == "nginx:1"
    kubectl("delete", "deploy", "roll", "--cascade=foreground", "--wait=false")


def test_drain_and_cordon(kubectl: Kubectl, kubelet: FakeKubelet) -> None:
    assert kubectl("cordon", "fake") == "node/fake cordoned\n"
    assert "SchedulingDisabled" in kubectl("get", "node", "fake", "--no-headers")
    lonely = {**POD, "metadata": {"name": "lonely"}}
    kubectl("apply", "-f", "-", stdin=json.dumps(lonely))
    told = kubectl.refused("drain", "fake")
    assert "cannot delete Pods that declare no controller" in told
    told = kubectl.run("drain", "fake", "--force", "--timeout=1s", "--grace-period=1")
    assert "evicting pod default/lonely" in told.stdout + told.stderr
    marked = kubectl("get", "pod", "lonely", "-o", "jsonpath={.metadata.deletionTimestamp}")
    assert marked
    kubectl("delete", "pod", "lonely", "--force", "--grace-period=0")
    assert kubectl("uncordon", "fake") == "node/fake uncordoned\n"


def _pods(kubectl: Kubectl, label: str, count: int) -> list[str]:
    """The pods, once there are so many and each has its node."""
    path = "jsonpath={range .items[?(@.spec.nodeName)]}{.metadata.name} {end}"
    found: list[str] = []

    def there() -> bool:
        found[:] = kubectl("get", "pods", "-l", label, "-o", path).split()
        return len(found) == count

    _until(there)
    return found


def _until(there: Any) -> None:
    deadline = time.monotonic() + 20
    while not there():
        assert time.monotonic() < deadline


@contextmanager
def _running(kubectl: Kubectl, *words: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([kubectl.program, *words], env=kubectl.environment, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
