"""`dockyard get` against `dockyard server`: what it prints is what kubectl prints."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from helpers.dockyardcli import Dockyard
from helpers.kubectl import Kubectl, Server

OBJECTS = """\
apiVersion: v1
kind: List
items:
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: web, labels: {tier: front, app: web}}
  spec:
    replicas: 0
    selector: {matchLabels: {app: web}}
    template:
      metadata: {labels: {app: web}}
      spec: {containers: [{name: c, image: "nginx:1"}]}
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: words}
  data: {a: '1', b: "x\\ny", c: "true", d: "two\\nlines\\n", e: "", f: "null", g: "a: b", h: '"q"',
         i: "it's", j: "- x", k: "0x1f", l: "1e3", m: "yes", n: "y", o: "ü", p: "1:20", q: "~",
         r: "a #b", s: " lead", t: "2026-01-01", u: "trail ", v: "<&>", w: "tab\\there"}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: a-name-longer-than-the-heading}}
- apiVersion: v1
  kind: Service
  metadata: {name: web}
  spec: {selector: {app: web}, ports: [{port: 80}, {port: 443, name: tls}]}
"""
OBJECTS = OBJECTS.replace("ports: [{port: 80}", "ports: [{port: 80, name: plain}")


@pytest.fixture(scope="module")
def dockyard(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Dockyard:
    found = Dockyard(server.kubeconfig, tmp_path_factory.mktemp("home"))
    found("apply", "-f", "-", stdin=OBJECTS)
    return found


SAME = [
    "deploy", "deploy web -o wide", "deploy,cm,svc", "svc web -o wide", "all", "all -o name",
    "deploy web -o yaml", "cm words -o yaml", "cm words -o json", "cm -o yaml", "cm,svc -o json",
    "deploy/web cm/words", "deploy/web cm/words -o yaml", "deploy -A", "deploy,cm -A -o name",
    "cm -A -o wide", "ns", "Deployment", "deployments.apps", "deployments.v1.apps web",
    "deploy --show-labels", "deploy --no-headers", "nodes", "pods", "pods -A", "pods -n nowhere",
    "pods -l app=none -o yaml", "deploy -l tier=front,app!=api -o name", "cm words missing",
    "cm missing words -o name", "cm missing", "cm missing --ignore-not-found",
    "pods --ignore-not-found", "nothings", "deploy,nothings", "pod/a/b", "deploy/web words",
    "deploy web -A", "deploy -l a=b web", "svc -l a==b==c",
    "deploy web -o jsonpath={.spec.template.spec.containers[*].image}",
    "cm -o jsonpath={range.items[*]}{.metadata.name}{'\\t'}{.data.a}{'\\n'}{end}",
    "cm -o jsonpath={.items[?(@.metadata.name==\"words\")].data.e}{.nothing}",
    "deploy web -o jsonpath={.metadata.labels}{.spec.replicas}",
    "svc web -o jsonpath={.spec.ports[-1:].port}{.spec.ports[0]['name','port']}",
    "svc web -o jsonpath={..port}",
]  # fmt: skip


def steady(text: str) -> str:
    """The text without what time changes."""
    return re.sub(r"\b\d+(m\d+)?s\b", "AGE", text)


@pytest.mark.parametrize("words", SAME)
def test_it_prints_what_kubectl_prints(dockyard: Dockyard, kubectl: Kubectl, words: str) -> None:
    peer = kubectl.run("get", *words.split(" "))
    ours = dockyard.run("get", *words.split(" "))
    assert steady(ours.stdout) == steady(peer.stdout)
    assert steady(ours.stderr) == steady(peer.stderr)
    assert ours.returncode == peer.returncode


def test_a_form_that_is_not_there(dockyard: Dockyard) -> None:
    told = dockyard.refused("get", "cm", "-o", "frob")
    assert "unable to match a printer suitable for the output format 'frob'" in told
    told = dockyard.refused("get", "cm", "-o", "jsonpath={.a")
    assert "unclosed action" in told
    told = dockyard.refused("get", "svc", "web", "-o", "jsonpath={.spec.ports[7]}")
    assert "array index out of bounds: index 7, length 2" in told


class Watching:
    """``dockyard get -w``, line by line."""

    def __init__(self, dockyard: Dockyard, *words: str) -> None:
        self.process = subprocess.Popen(
            [dockyard.program, "get", *words],
            env=dockyard.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def __enter__(self) -> Watching:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.communicate()


def test_a_watch_goes_on_with_what_changes(dockyard: Dockyard) -> None:
    one = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: watched}\ndata: {a: '1'}\n"
    dockyard("apply", "-f", "-", stdin=one)
    with Watching(dockyard, "cm", "watched", "-w") as table:
        assert table.line().split() == ["NAME", "DATA", "AGE"]
        assert table.line().split()[:2] == ["watched", "1"]
        with Watching(dockyard, "cm", "watched", "-w", "-o", "jsonpath={.data}{'\\n'}") as path:
            assert path.line() == '{"a":"1"}\n'
            dockyard("apply", "-f", "-", stdin=one.replace("'1'", "'1', b: '2'"))
            assert path.line() == '{"a":"1","b":"2"}\n'
        assert table.line().split()[:2] == ["watched", "2"]
    told = dockyard.run("get", "cm", "missing", "-w").stderr
    assert told == 'Error from server (NotFound): configmaps "missing" not found\n'


def test_no_cluster_is_said_at_once(dockyard: Dockyard, tmp_path: Path) -> None:
    told = dockyard.run("get", "pods", KUBECONFIG=str(tmp_path / "none"))
    assert told.returncode == 1
    assert "is missing; `dockyard up` makes a cluster" in told.stderr
    (tmp_path / "config").write_text("clusters: [\n")
    told = dockyard.run("get", "pods", KUBECONFIG=str(tmp_path / "config"))
    assert told.returncode == 1
    assert "not YAML" in told.stderr
    told = dockyard.run("get", "pods", "--context", "nobody")
    assert "context 'nobody': is missing; there is: dockyard" in told.stderr


def test_the_data_root_is_the_way_in(server: Server, dockyard: Dockyard) -> None:
    told = dockyard("get", "cm", "words", "-o", "name", KUBECONFIG="",
                    DOCKYARD_ROOT=str(server.root))  # fmt: skip
    assert told == "configmap/words\n"
    assert dockyard("get", "ns", "default", "--kubeconfig", str(server.kubeconfig), "-o", "name",
                    KUBECONFIG="/nowhere") == "namespace/default\n"  # fmt: skip


def test_a_server_that_is_gone(dockyard: Dockyard, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        "{current-context: c, contexts: [{name: c, context: {cluster: c}}], clusters: "
        "[{name: c, cluster: {server: 'http://127.0.0.1:1'}}]}"
    )
    told = dockyard.run("get", "pods", KUBECONFIG=str(config))
    assert told.returncode == 1
    assert "127.0.0.1:1" in told.stderr
    assert "Traceback" not in told.stderr
