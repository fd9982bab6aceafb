"""Pods on a real node, driven by the real kubectl: how they run, talk, fail and end."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import socket
import stat
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from helpers.cluster import Cluster

pytestmark = pytest.mark.root
IMAGE = "localhost/busybox:1"


def pod(name: str, command: str, *, spec: Any = None, **container: Any) -> str:
    """A manifest of one container."""
    main = {"name": "main", "image": IMAGE, "command": ["sh", "-c", command], **container}
    body = {"terminationGracePeriodSeconds": 1, **(spec or {}), "containers": [main]}
    return json.dumps(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
         "spec": body}
    )  # fmt: skip


def start(cluster: Cluster, name: str, command: str, **more: Any) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=pod(name, command, **more))
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")


def waiting(cluster: Cluster, name: str) -> dict[str, str]:
    status = cluster.get("pod", name)["status"]
    state = (status.get("containerStatuses") or [{}])[0].get("state", {})
    found: dict[str, str] = state.get("waiting") or {}
    return found


def test_a_node_is_as_kubectl_shows_nodes(cluster: Cluster) -> None:
    (node,) = cluster.get("nodes")["items"]
    conditions = {each["type"]: each["status"] for each in node["status"]["conditions"]}
    assert conditions == {"Ready": "True", "MemoryPressure": "False", "DiskPressure": "False",
                          "PIDPressure": "False"}  # fmt: skip
    line = cluster.kubectl("get", "nodes", "-o", "wide", "--no-headers").split()
    assert line[1:3] == ["Ready", "control-plane"]
    lease = cluster.get("lease", "-n", "kube-node-lease", node["metadata"]["name"])
    assert lease["spec"]["holderIdentity"] == node["metadata"]["name"]


def test_logs_exec_and_exit_codes(cluster: Cluster) -> None:
    kubectl = cluster.kubectl
    start(cluster, "talker", "echo out; echo err >&2; sleep 600")
    assert set(kubectl("logs", "talker").split()) == {"out", "err"}
    stamped = kubectl("logs", "talker", "--timestamps", "--tail=1").split()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", stamped[0])
    assert kubectl("exec", "talker", "--", "hostname") == "talker\n"
    assert kubectl("exec", "-i", "talker", "--", "cat", stdin="to and fro") == "to and fro"
    done = kubectl.run("exec", "talker", "--", "sh", "-c", "echo no >&2; exit 7")
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr.splitlines() == ["no", "command terminated with exit code 7"]
    missing = kubectl.run("exec", "talker", "--", "no-such-program")
    assert missing.returncode != 0 and "no-such-program" in missing.stderr
    assert "container not found" in kubectl.refused(
        "exec", "talker", "-c", "main2", "--", "true"
    ) or ("main2" in kubectl.refused("exec", "talker", "-c", "main2", "--", "true"))


def test_a_log_is_followed_until_the_container_ends(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=pod(
        "counter", "for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done",
        spec={"restartPolicy": "Never"}))  # fmt: skip
    cluster.eventually(lambda: not waiting(cluster, "counter"), "it runs")
    assert cluster.kubectl("logs", "-f", "counter").splitlines() == [
        f"line {n}" for n in range(1, 6)
    ]
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/counter")
    line = cluster.kubectl("get", "pod", "counter", "--no-headers").split()
    assert line[1:3] == ["0/1", "Completed"]


def test_a_terminal(cluster: Cluster) -> None:
    """`kubectl exec -it` under script(1): a terminal of the right size, and Ctrl-D ends it."""
    start(cluster, "terminal", "sleep 600")
    words = [cluster.kubectl.program, "exec", "-it", "terminal", "--", "sh", "-c", "tty; stty size"]
    command = "stty rows 33 cols 111; exec " + " ".join(f"'{word}'" for word in words)
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"], stdin=subprocess.DEVNULL,
        env=cluster.kubectl.environment, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert "/dev/pts/0" in done.stdout, done.stdout + done.stderr
    assert "33 111" in done.stdout, done.stdout


PROTOCOLS = {"websocket": {}, "spdy": {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false",
                                       "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}}  # fmt: skip
"""How kubectl streams: since 1.31, and before."""
LARGE = 8 * 1024 * 1024


@pytest.fixture(scope="module")
def pages(cluster: Cluster) -> str:
    """A pod that serves a large page on port 8080, and says what it is sent."""
    start(cluster, "pages", f"mkdir /www; head -c {LARGE} /dev/urandom > /www/large; "
                            "httpd -p 8080 -h /www; cat", stdin=True)  # fmt: skip
    kubectl = cluster.kubectl
    kubectl("exec", "pages", "--", "sh", "-c",
            "for i in $(seq 200); do wget -qO /dev/null 127.0.0.1:8080/large && exit; sleep .05; "
            "done; exit 1")  # fmt: skip
    return kubectl("exec", "pages", "--", "sha256sum", "/www/large").split()[0]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_much_goes_both_ways(cluster: Cluster, pages: str, protocol: str) -> None:
    kubectl, how = cluster.kubectl, PROTOCOLS[protocol]
    assert (
        kubectl("exec", "-i", "pages", "--", "wc", "-c", stdin="x" * LARGE, **how) == f"{LARGE}\n"
    )
    done = subprocess.run(
        [kubectl.program, "exec", "pages", "--", "cat", "/www/large"],
        env={**kubectl.environment, **how}, capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert hashlib.sha256(done.stdout).hexdigest() == pages
    done_too = kubectl.run("exec", "pages", "--", "sh", "-c", "echo out; echo err >&2; exit 3",
                           **how)  # fmt: skip
    assert (done_too.stdout, done_too.returncode) == ("out\n", 3)
    assert done_too.stderr == "err\ncommand terminated with exit code 3\n"


def test_files_are_copied_out_and_in(cluster: Cluster, pages: str, tmp_path: Path) -> None:
    kubectl = cluster.kubectl
    kubectl("cp", "pages:www/large", str(tmp_path / "large"))
    assert hashlib.sha256((tmp_path / "large").read_bytes()).hexdigest() == pages
    kubectl("cp", str(tmp_path / "large"), "pages:/tmp/again")
    assert kubectl("exec", "pages", "--", "sha256sum", "/tmp/again").split()[0] == pages


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_port_is_forwarded(cluster: Cluster, pages: str, protocol: str) -> None:
    kubectl = cluster.kubectl
    with subprocess.Popen(
        [kubectl.program, "port-forward", "pod/pages", ":8080", ":1"],
        env={**kubectl.environment, **PROTOCOLS[protocol]}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as forwarding:  # fmt: skip
        try:
            ports: dict[str, int] = {}
            assert forwarding.stdout is not None
            for line in forwarding.stdout:
                if found := re.fullmatch(r"Forwarding from 127.0.0.1:(\d+) -> (\d+)\n", line):
                    ports[found[2]] = int(found[1])
                if {"8080", "1"} <= ports.keys():
                    break
            for _ in range(3):
                url = f"http://127.0.0.1:{ports['8080']}/large"
                with urllib.request.urlopen(url, timeout=20) as answer:
                    assert hashlib.sha256(answer.read()).hexdigest() == pages
            with socket.create_connection(("127.0.0.1", ports["1"]), timeout=20) as refused:
                refused.sendall(b"x")
                with contextlib.suppress(ConnectionResetError):
                    assert refused.recv(1) == b""
            said = forwarding.communicate(timeout=20)[1]  # kubectl ends at the first refusal
            assert (
                "failed to connect to localhost:1 inside the pod: 127.0.0.1: connection refused"
                in said
            )
        finally:
            forwarding.kill()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_attach(cluster: Cluster, protocol: str) -> None:
    name = f"attached-{protocol}"
    start(cluster, name, "cat; echo end; sleep 600", stdin=True, stdinOnce=True)
    words = [cluster.kubectl.program, "attach", "-i", name]
    environment = {**cluster.kubectl.environment, **PROTOCOLS[protocol]}
    with subprocess.Popen(
        words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as attached:
        try:
            assert attached.stdin is not None and attached.stdout is not None
            attached.stdin.write("to the pod\n")
            attached.stdin.close()
            assert attached.stdout.readline() == "to the pod\n"
            assert attached.stdout.readline() == "end\n"
        finally:
            attached.kill()


def test_what_a_pod_is_given(cluster: Cluster) -> None:
    """ConfigMap and Secret as variables and files, emptyDir, the pod's own fields."""
    kubectl = cluster.kubectl
    kubectl("create", "configmap", "settings", "--from-literal=colour=blue", "--from-literal=n=1")
    kubectl("create", "secret", "generic", "keys", "--from-literal=key=s3cr3t")
    manifest = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "given", "labels": {"a": "b"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {"name": "one", "image": IMAGE,
                 "command": ["sh", "-c", "echo shared > /box/note; sleep 600"],
                 "envFrom": [{"configMapRef": {"name": "settings"}}],
                 "env": [
                     {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "key"}}},
                     {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                     {"name": "BOTH", "value": "$(colour)-$(KEY)-$$(KEY)"},
                     {"name": "CPU", "valueFrom": {"resourceFieldRef": {
                         "resource": "limits.memory", "divisor": "1Mi"}}},
                 ],
                 "resources": {"limits": {"memory": "64Mi", "cpu": "500m"}},
                 "volumeMounts": [{"name": "box", "mountPath": "/box"},
                                  {"name": "settings", "mountPath": "/etc/settings"},
                                  {"name": "keys", "mountPath": "/etc/keys", "readOnly": True}]},
                {"name": "two", "image": IMAGE, "command": ["sleep", "600"],
                 "volumeMounts": [{"name": "box", "mountPath": "/box"}]},
            ],
            "volumes": [{"name": "box", "emptyDir": {}},
                        {"name": "settings", "configMap": {"name": "settings"}},
                        {"name": "keys", "secret": {"secretName": "keys", "defaultMode": 0o400}}],
        },
    }  # fmt: skip
    kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    kubectl("wait", "--for=condition=Ready", "pod/given", "--timeout=30s")

    def sh(command: str, container: str = "one") -> str:
        return kubectl("exec", "given", "-c", container, "--", "sh", "-c", command).strip()

    assert sh("echo $colour $n $KEY $BOTH $CPU") == "blue 1 s3cr3t blue-s3cr3t-$(KEY) 64"
    assert sh("echo $IP") == cluster.get("pod", "given")["status"]["podIP"]
    assert sh("cat /etc/settings/colour; ls -l /etc/keys/..data/key").startswith("blue")
    assert sh("stat -c %a /etc/keys/..data/key") == "400"
    assert sh("cat /box/note", "two") == "shared"
    assert "Read-only" in kubectl.refused(
        "exec", "given", "-c", "one", "--", "touch", "/etc/keys/x"
    )
    limit = sh("cat /sys/fs/cgroup/memory/memory.limit_in_bytes || cat /sys/fs/cgroup/memory.max")
    assert limit.splitlines()[-1] == str(64 * 2**20)


@pytest.mark.long
def test_files_follow_their_configmap(cluster: Cluster) -> None:
    """Within the kubelet's sync period, a minute."""
    kubectl = cluster.kubectl
    kubectl("create", "configmap", "moving", "--from-literal=colour=blue")
    volume = {"name": "moving", "configMap": {"name": "moving"}}
    start(cluster, "follower", "sleep 600", spec={"volumes": [volume]},
          volumeMounts=[{"name": "moving", "mountPath": "/etc/moving"}])  # fmt: skip
    kubectl("patch", "configmap", "moving", "-p", '{"data": {"colour": "red"}}')

    def colour() -> str:
        return kubectl("exec", "follower", "--", "cat", "/etc/moving/colour")

    cluster.eventually(lambda: colour() == "red", "the file follows", 90)


def test_a_crash_backs_off(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=pod("crasher", "echo going down; exit 3"))
    found = cluster.eventually(
        lambda: (
            (state := waiting(cluster, "crasher")).get("reason") == "CrashLoopBackOff" and state
        ),
        "back-off",
    )
    assert re.search(r"^back-off 10s restarting failed container=main pod=crasher_default\(.*\)$",
                     found["message"])  # fmt: skip
    status = cluster.get("pod", "crasher")["status"]["containerStatuses"][0]
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert status["lastState"]["terminated"]["reason"] == "Error"
    assert cluster.kubectl("logs", "crasher", "--previous") == "going down\n"
    cluster.eventually(
        lambda: (
            "Back-off restarting failed container main in pod crasher_default"
            in cluster.kubectl("describe", "pod", "crasher")
        ),
        "the event",
    )
    cluster.kubectl("delete", "pod", "crasher")


def test_an_image_that_nobody_has(cluster: Cluster) -> None:
    cluster.kubectl("run", "nobody", "--image=127.0.0.1:9/none:1")
    cluster.eventually(
        lambda: waiting(cluster, "nobody").get("reason") == "ImagePullBackOff", "back-off"
    )
    described = cluster.kubectl("describe", "pod", "nobody")
    assert 'Failed to pull image "127.0.0.1:9/none:1"' in described
    assert "Connection refused" in described
    assert "Error: ErrImagePull" in described
    cluster.kubectl("delete", "pod", "nobody")


def test_probes_decide_who_gets_traffic_and_who_lives(cluster: Cluster) -> None:
    probe = {"exec": {"command": ["test", "-e", "/tmp/well"]}, "periodSeconds": 1,
             "failureThreshold": 1}  # fmt: skip
    cluster.kubectl("apply", "-f", "-", stdin=pod(
        "probed", "touch /tmp/alive; sleep 600", readinessProbe=probe,
        livenessProbe={**probe, "exec": {"command": ["test", "-e", "/tmp/alive"]}}))  # fmt: skip
    cluster.kubectl("expose", "pod", "probed", "--port=80")

    def ready() -> list[bool]:
        slices = cluster.get("endpointslices", "-l", "kubernetes.io/service-name=probed")["items"]
        return [e["conditions"]["ready"] for each in slices for e in each.get("endpoints") or ()]

    cluster.eventually(lambda: ready() == [False], "not ready")
    cluster.kubectl("exec", "probed", "--", "touch", "/tmp/well")
    cluster.eventually(lambda: ready() == [True], "ready")
    cluster.kubectl("exec", "probed", "--", "rm", "/tmp/alive")
    cluster.eventually(
        lambda: cluster.get("pod", "probed")["status"]["containerStatuses"][0]["restartCount"] == 1,
        "started again",
    )
    described = cluster.kubectl("describe", "pod", "probed")
    assert "Readiness probe failed" in described and "Liveness probe failed" in described
    assert "Container main failed liveness probe, will be restarted" in described
    cluster.kubectl("delete", "pod,service", "probed")


def test_a_pod_ends_with_grace(cluster: Cluster) -> None:
    start(cluster, "graceful", "trap 'echo asked; exit 0' TERM; while :; do sleep 0.1; done",
          spec={"terminationGracePeriodSeconds": 30})  # fmt: skip
    began = time.monotonic()
    cluster.kubectl("delete", "pod", "graceful")
    assert time.monotonic() - began < 25, "it waited for the whole grace"
    assert "NotFound" in cluster.kubectl.refused("get", "pod", "graceful")


def test_services_names_and_the_way_out(cluster: Cluster) -> None:
    """A Service's address and name lead to ready pods, from a pod and from the node."""
    kubectl = cluster.kubectl
    serve = "mkdir -p /www; hostname > /www/index.html; httpd -f -p 8080 -h /www"
    for name in ("web-a", "web-b"):
        start(cluster, name, serve, ports=[{"containerPort": 8080, "name": "http"}])
        kubectl("label", "pod", name, "app=web", "--overwrite")
    kubectl("create", "service", "clusterip", "web", "--tcp=80:8080")
    start(cluster, "asker", "sleep 600")

    def sh(command: str) -> str:
        return kubectl("exec", "asker", "--", "sh", "-c", command)

    def ask(address: str) -> str:
        return sh(f"timeout 3 wget -qO- http://{address}/").strip()

    address = cluster.get("service", "web")["spec"]["clusterIP"]
    cluster.eventually(lambda: {ask(address) for _ in range(8)} == {"web-a", "web-b"}, "both")
    assert f"Address: {address}\n" in sh("nslookup web.default.svc.cluster.local 2>/dev/null")
    assert (
        "NXDOMAIN"
        in kubectl.run(
            "exec", "asker", "--", "nslookup", "no-such.default.svc.cluster.local"
        ).stdout
    )
    done = subprocess.run(["curl", "-sf", "-m", "3", f"http://{address}/"], capture_output=True,
                          text=True)  # fmt: skip
    assert done.stdout.strip() in ("web-a", "web-b"), "the node itself reaches a Service"
    kubectl("delete", "pod", "web-a")
    cluster.eventually(lambda: {ask(address) for _ in range(4)} == {"web-b"}, "one is left")


def test_what_does_not_fit_waits_with_the_schedulers_words(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=pod(
        "huge", "true", resources={"requests": {"cpu": "1000"}}))  # fmt: skip
    cluster.eventually(
        lambda: "0/1 nodes are available: 1 Insufficient cpu." in cluster.kubectl(
            "describe", "pod", "huge"), "the event",
    )  # fmt: skip
    assert cluster.get("pod", "huge")["status"]["phase"] == "Pending"
    cluster.kubectl("delete", "pod", "huge")


def test_a_manifest_that_breaks_the_schema_stores_nothing(cluster: Cluster) -> None:
    broken = pod("broken", "true").replace('"main"', '"Not A Name"')
    said = cluster.kubectl.refused("apply", "-f", "-", stdin=broken)
    assert 'spec.containers[0].name: Invalid value: "Not A Name"' in said
    assert "NotFound" in cluster.kubectl.refused("get", "pod", "broken")


def test_a_second_up_is_refused_naming_the_first(cluster: Cluster) -> None:
    done = cluster.run("up")
    pid = cluster.status()["processes"]["supervisor"]
    assert done.returncode != 0
    assert f"pid {pid} runs this cluster already" in done.stderr
    assert f"stop it with `dockyard down --data-dir {cluster.root}`" in done.stderr


def test_the_way_in_and_how_it_is(cluster: Cluster) -> None:
    path = str(cluster.root / "cluster" / "kubeconfig")
    assert cluster.dockyard("kubeconfig", "--path") == f"{path}\n"
    other = cluster.run("--data-dir", "/nowhere", "kubeconfig", "--path")
    assert (other.returncode, other.stdout) == (1, "")
    assert "there is no cluster; `dockyard up` makes one" in other.stderr
    words = ("--data-dir", "/nowhere", "kubeconfig", "--data-dir", str(cluster.root))
    assert cluster.dockyard(*words) == Path(path).read_text()
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    found = cluster.status()
    assert (found["running"], found["node_state"], found["kubeconfig"]) == (True, "Ready", path)
    assert set(found["processes"]) == {"supervisor", "control", "agent"}
    gone = cluster.run("status", "--data-dir", "/nowhere", "--output", "json")
    assert (gone.returncode, json.loads(gone.stdout)["running"]) == (1, False)
