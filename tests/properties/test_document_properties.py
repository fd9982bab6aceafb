"""Documents that come from elsewhere, with a wrong value anywhere: read, or refused by name."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from dockyard.base.errors import DockyardError, Invalid
from dockyard.base.linux import seccomp
from dockyard.base.oci import manifest as m
from dockyard.base.oci import runtimespec
from dockyard.base.oci.defaultspec import default_spec
from dockyard.base.oci.imageconfig import parse_config
from dockyard.base.oci.meaning import meaning_of
from dockyard.base.oci.platform import host_platform
from dockyard.base.oci.strictjson import decode_object
from dockyard.node.engine import health, seccompprofile
from dockyard.node.image.registry.credentials import find_credentials
from dockyard.node.image.registry.hosts import Hosts
from dockyard.node.image.registry.server.access import parse_rules
from dockyard.node.image.registry.server.documents import parse_pushed
from dockyard.node.image.registry.server.refusal import Refusal
from dockyard.node.image.registry.tokens import basic
from dockyard.node.image.trust import payload
from dockyard.node.image.trust.policy import parse_policy
from dockyard.node.runtime import hooks
from dockyard.node.runtime.oci.document import known_capabilities, passed_on
from helpers.mutated import changed, mutated

SHA = "sha256:" + "0" * 64


def descriptor(kind: str) -> dict[str, Any]:
    return {"mediaType": kind, "digest": SHA, "size": 3, "annotations": {"a": "b"},
            "urls": ["http://x"],
            "platform": {"os": "linux", "architecture": "amd64", "variant": "v8"}}  # fmt: skip


MANIFEST = {
    "schemaVersion": 2, "mediaType": m.OCI_MANIFEST, "config": descriptor(m.OCI_CONFIG),
    "layers": [descriptor(m.OCI_LAYER + "+gzip")], "annotations": {"a": "b"},
    "subject": descriptor(m.OCI_MANIFEST), "artifactType": "a/b",
}  # fmt: skip
INDEX = {
    "schemaVersion": 2, "mediaType": m.OCI_INDEX, "manifests": [descriptor(m.OCI_MANIFEST)],
    "annotations": {"a": "b"}, "subject": descriptor(m.OCI_MANIFEST), "artifactType": "a/b",
}  # fmt: skip
CONFIG = {
    "created": "2020-01-01T00:00:00Z", "author": "x", "architecture": "amd64", "os": "linux",
    "config": {
        "User": "1", "ExposedPorts": {"80/tcp": {}}, "Env": ["A=b"], "Entrypoint": ["a"],
        "Cmd": ["b"], "Volumes": {"/v": {}}, "WorkingDir": "/", "Labels": {"a": "b"},
        "StopSignal": "9", "OnBuild": ["RUN x"], "Shell": ["a"],
        "Healthcheck": {"Test": ["CMD", "x"], "Interval": 1, "Timeout": 2, "StartPeriod": 3,
                        "StartInterval": 4, "Retries": 5},
    },
    "rootfs": {"type": "layers", "diff_ids": [SHA]},
    "history": [{"created": "x", "created_by": "x", "comment": "c", "empty_layer": True}],
}  # fmt: skip
POLICY = {
    "default": [{"type": "reject"}],
    "transports": {"docker": {"a.b": [
        {"type": "sigstoreSigned", "keyPath": "/x",
         "signedIdentity": {"type": "exactRepository", "dockerRepository": "a.b/c"}},
        {"type": "sigstoreSigned", "keyDatas": ["QQ=="],
         "signedIdentity": {"type": "remapIdentity", "prefix": "a.b", "signedPrefix": "c.d"}},
    ]}},
}  # fmt: skip
CLAIM = {
    "critical": {"identity": {"docker-reference": "a.b/c"},
                 "image": {"docker-manifest-digest": SHA}, "type": payload.TYPE},
    "optional": {"creator": "x", "timestamp": 1},
}  # fmt: skip
RULES = {"rules": [{"users": ["a"], "repositories": ["*"], "actions": ["pull"]}]}
PROFILE = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
    "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [],
                  "includes": {"caps": ["CAP_X"], "arches": ["amd64"], "minKernel": "4.8"},
                  "excludes": {"caps": ["CAP_Y"]}}],
}  # fmt: skip


def _document(data: bytes) -> None:
    found = m.parse_document(data, None, "x")
    meaning_of(found)
    if isinstance(found, m.Index):
        m.choose(found, host_platform(), "x")


def _config(data: bytes) -> None:
    found = parse_config(data, "x")
    assert parse_config(found.encode(), "x") == found
    health.merged(None, found.healthcheck)


def _profile(data: bytes) -> None:
    machine = seccompprofile.Machine("x86_64", (6, 1))
    seccompprofile.convert(seccompprofile.parse(data.decode()), {"CAP_X"}, machine)


READERS: dict[str, tuple[dict[str, Any], Callable[[bytes], object]]] = {
    "manifest": (MANIFEST, _document),
    "index": (INDEX, _document),
    "configuration": (CONFIG, _config),
    "pushed manifest": (MANIFEST, lambda data: parse_pushed(data, m.OCI_MANIFEST)),
    "pushed index": (INDEX, lambda data: parse_pushed(data, "")),
    "policy": (POLICY, lambda data: parse_policy(data, "x")),
    "claim": (CLAIM, lambda data: payload.parse_claim(data, "x")),
    "rules": (RULES, lambda data: parse_rules(data, "x")),
    "seccomp profile": (PROFILE, _profile),
}


@pytest.mark.parametrize("name", READERS)
def test_b09_documents_are_read_or_refused(name: str) -> None:
    good, read = READERS[name]
    read(json.dumps(good).encode())

    @settings(max_examples=80)
    @given(mutated(good))
    def wrong(data: bytes) -> None:
        with contextlib.suppress(DockyardError, Refusal):
            read(data)

    wrong()


@pytest.mark.parametrize(
    ("good", "place", "value"),
    [
        (CONFIG, ("config", "Healthcheck", "Interval"), "1s"),
        (CONFIG, ("config", "Healthcheck", "Timeout"), 2**63),
        (CONFIG, ("config", "Healthcheck", "Test"), 1),
        (CONFIG, ("history",), 1),
    ],
)
def test_b09_a_configuration_says_what_is_wrong(
    good: Any, place: tuple[str, ...], value: Any
) -> None:
    with pytest.raises(Invalid, match=place[-1]):
        parse_config(changed(good, [(place, value)]), "x")


def test_a_policy_whose_identity_has_no_type() -> None:
    place = ("transports", "docker", "a.b", 0, "signedIdentity", "type")
    with pytest.raises(Invalid, match="signedIdentity"):
        parse_policy(changed(POLICY, [(place, [])]), "x")


AUTHS = {
    "auths": {"a.b": {"auth": "dTpw"}, "c.d": {"identitytoken": "x"}, "g.h": {"registrytoken": "x"},
              "e.f": {"username": "a", "password": "b"}},
    "credHelpers": {}, "credsStore": "",
}  # fmt: skip


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutated(AUTHS))
def test_credentials_are_found_or_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(data)
    for registry in AUTHS["auths"]:
        with contextlib.suppress(DockyardError):
            found = find_credentials(Hosts(auth_file=str(path)), registry)
            assert found is None or basic(found).isascii()


def bundle() -> dict[str, Any]:
    """A config.json with whatever the specification knows."""
    spec = default_spec(args=["a", "b"], env=["A=b"], cwd="/", root="/x", cgroup="/c")
    names = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart")
    hook = {"path": "/bin/x", "args": ["x"], "env": ["A=b"], "timeout": 3}
    ids = [{"containerID": 0, "hostID": 1000, "size": 10}]
    spec |= {"ociVersion": "1.2.0", "hostname": "h", "domainname": "d", "annotations": {"a": "b"},
             "hooks": {name: [hook] for name in names}}  # fmt: skip
    spec["mounts"] = [*spec["mounts"][:2], {
        "destination": "/m", "type": "bind", "source": "/s", "options": ["rbind", "ro", "idmap"],
        "uidMappings": ids, "gidMappings": ids,
    }]  # fmt: skip
    spec["process"] |= {
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 5, "soft": 4}], "oomScoreAdj": 5,
        "scheduler": {"policy": "SCHED_OTHER", "nice": 1}, "apparmorProfile": "",
        "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 1},
        "execCPUAffinity": {"initial": "0", "final": "0-1"},
        "consoleSize": {"height": 1, "width": 2},
        "user": {"uid": 1, "gid": 2, "additionalGids": [3], "umask": 18},
        "capabilities": {kind: ["CAP_KILL", "CAP_X"] for kind in (
            "bounding", "permitted", "effective", "inheritable", "ambient")},
    }  # fmt: skip
    spec["linux"] |= {
        "namespaces": [*spec["linux"]["namespaces"], {"type": "user"}, {"type": "time"}],
        "uidMappings": ids, "gidMappings": ids, "rootfsPropagation": "rslave", "mountLabel": "x",
        "timeOffsets": {"monotonic": {"secs": 5, "nanosecs": 1}},
        "sysctl": {"net.core.somaxconn": "5"}, "personality": {"domain": "LINUX32", "flags": []},
        "devices": [{"path": "/dev/a", "type": "c", "major": 1, "minor": 3, "fileMode": 438,
                     "uid": 0, "gid": 0}],
        "intelRdt": {"closID": "a", "l3CacheSchema": "L3:0=f"},
        "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": []},
        "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "listenerPath": "/x",
            "flags": ["SECCOMP_FILTER_FLAG_LOG"], "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["read", "clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": 2,
                          "args": [{"index": 0, "value": 5, "valueTwo": 0,
                                    "op": "SCMP_CMP_MASKED_EQ"}]}],
        },
    }  # fmt: skip
    return spec


def _container(data: bytes) -> None:
    document = decode_object(data, "config.json", limit=1 << 20)
    process = known_capabilities(document.get("process"), lambda text: None)
    document["process"] = passed_on(process, 1)
    spec = runtimespec.parse(document)
    if spec.seccomp:
        seccomp.compile_profile(spec.seccomp)
    hooks.state(hooks.identity("c", "/b", spec), "created", 1)
    for text in (*spec.process.args, *spec.process.env, *(str(each) for each in spec.mounts)):
        os.fsencode(text)


BUNDLE = bundle()
_CALL = ("linux", "seccomp", "syscalls", 0)


@settings(max_examples=150)
@given(mutated(BUNDLE))
def test_a13_a_bundle_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(DockyardError):
        _container(data)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("linux", "seccomp", "flags"), 1),
        (("linux", "seccomp", "flags"), [[]]),
        (("linux", "seccomp", "architectures"), 5),
        (("linux", "seccomp", "syscalls"), ["read"]),
        ((*_CALL, "action"), []),
        ((*_CALL, "names"), True),
        ((*_CALL, "args"), 5),
        ((*_CALL, "args", 0, "value"), 2**64),
        (("process", "env"), 5),
        (("process", "capabilities", "ambient"), 5),
    ],
)
def test_a13_a_bundle_says_what_is_wrong(place: tuple[str | int, ...], value: Any) -> None:
    _container(json.dumps(BUNDLE).encode())
    with pytest.raises(Invalid, match=str(place[1] if "ambient" not in place else "ambient")):
        _container(changed(BUNDLE, [(place, value)]))
