"""Pods as the CRI is asked for them: sandboxes, containers, rights, resources; and refusals."""

from typing import Any

import pytest

from dockyard.base.errors import Unsupported
from dockyard.cluster.kubelet.containerconfig import container_config
from dockyard.cluster.kubelet.environment import ConfigError
from dockyard.cluster.kubelet.podadmission import past_deadline, refusal
from dockyard.cluster.kubelet.resources import oom_score, resources
from dockyard.cluster.kubelet.sandboxconfig import dns_config, hostname, sandbox_config
from dockyard.cluster.kubelet.security import security
from dockyard.cluster.kubelet.volumes.podvolumes import Ready
from dockyard.interfaces.cri import DnsConfig, LinuxResources, Mount, PortMapping
from helpers.kubelets import DNS

GIB = 1024**3


def pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "namespace": "shop", "uid": "u"},
        "spec": {"containers": list(containers) or [{"name": "c", "image": "i"}], **spec},
    }


def asking(name: str = "c", **amounts: Any) -> dict[str, Any]:
    """``cpu="1"`` is a request; ``cpu_limit="1"`` a limit."""
    requests = {key: value for key, value in amounts.items() if not key.endswith("_limit")}
    limits = {key.removesuffix("_limit"): value for key, value in amounts.items()
              if key.endswith("_limit")}  # fmt: skip
    return {"name": name, "image": "i", "resources": {"requests": requests, "limits": limits}}


# resources


@pytest.mark.parametrize(
    ("amounts", "shares", "quota", "memory"),
    [
        ({}, 2, 0, 0),
        ({"cpu": "1m"}, 2, 0, 0),
        ({"cpu": "100m"}, 102, 0, 0),
        ({"cpu": "2"}, 2048, 0, 0),
        ({"cpu_limit": "500m"}, 512, 50_000, 0),  # a request that is not set is the limit's
        ({"cpu": "100m", "cpu_limit": "1500m"}, 102, 150_000, 0),
        ({"cpu_limit": "1m"}, 2, 1_000, 0),
        ({"cpu": "1000"}, 262_144, 0, 0),
        ({"memory": "1Gi", "memory_limit": "64Mi"}, 2, 0, 64 * 1024**2),
    ],
)
def test_limits(amounts: dict[str, str], shares: int, quota: int, memory: int) -> None:
    """The numbers of kubelet/cm MilliCPUToShares and MilliCPUToQuota."""
    container = asking(**amounts)
    found = resources(pod(container), container, 8 * GIB)
    assert found == LinuxResources(
        shares, quota, 100_000 if quota else 0, memory, found.oom_score_adj
    )


@pytest.mark.parametrize(
    ("amounts", "score"),
    [
        ({}, 1000),  # BestEffort
        ({"memory": "4Gi"}, 500),
        ({"memory": "8Gi"}, 3),
        ({"cpu": "1"}, 999),
        ({"cpu_limit": "1", "memory_limit": "1Gi", "cpu": "1", "memory": "1Gi"}, 0),
    ],
)
def test_who_is_killed_first(amounts: dict[str, str], score: int) -> None:
    """G11: kubelet/qos policy; a guaranteed pod comes last."""
    container = asking(**amounts)
    memory = {"4Gi": 4 * GIB, "8Gi": 8 * GIB}.get(amounts.get("memory", ""), 0)
    assert oom_score(pod(container), memory, 8 * GIB) == score


# rights


def rights(own: dict[str, Any], shared: dict[str, Any] | None = None, user: str = "") -> Any:
    container = {"name": "c", "image": "i", "securityContext": own}
    return security(pod(container, securityContext=shared or {}), container, user)


def test_a_containers_own_settings_win() -> None:
    found = rights({"runAsUser": 5}, {"runAsUser": 1, "runAsGroup": 2, "fsGroup": 7,
                                      "supplementalGroups": [3, 4]})  # fmt: skip
    assert (found.run_as_user, found.run_as_group, found.groups) == (5, 2, (3, 4, 7))


def test_what_a_process_may() -> None:
    found = rights({"capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
                    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True})  # fmt: skip
    assert (found.add_capabilities, found.drop_capabilities) == (("NET_ADMIN",), ("ALL",))
    assert (found.no_new_privileges, found.readonly_rootfs, found.unconfined) == (True, True, False)
    assert rights({"seccompProfile": {"type": "Unconfined"}}).unconfined
    assert rights({}, {"seccompProfile": {"type": "Unconfined"}}).unconfined
    assert rights({"privileged": True}).privileged


WHERE = '(pod: "p_shop(u)", container: c)'


@pytest.mark.parametrize(
    ("own", "user", "message"),
    [
        ({"runAsUser": 0}, "", f"container's runAsUser breaks non-root policy {WHERE}"),
        ({}, "", f"container has runAsNonRoot and image will run as root {WHERE}"),
        ({}, "0:5", f"container has runAsNonRoot and image will run as root {WHERE}"),
        ({}, "web", "container has runAsNonRoot and image has non-numeric user (web), "
                    f"cannot verify user is non-root {WHERE}"),
    ],
)  # fmt: skip
def test_run_as_non_root(own: dict[str, Any], user: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rights(own, {"runAsNonRoot": True}, user)
    assert str(caught.value) == message


def test_users_that_are_not_root() -> None:
    assert rights({}, {"runAsNonRoot": True}, "1000:0").run_as_user is None
    assert rights({"runAsUser": 7}, {"runAsNonRoot": True}, "root").run_as_user == 7
    assert rights({"runAsNonRoot": False}, {"runAsNonRoot": True}, "").run_as_user is None


@pytest.mark.parametrize(
    "own",
    [{"seLinuxOptions": {"level": "s0"}}, {"procMount": "Unmasked"},
     {"seccompProfile": {"type": "Localhost", "localhostProfile": "x"}}],
)  # fmt: skip
def test_rights_that_are_not_implemented(own: dict[str, Any]) -> None:
    with pytest.raises(Unsupported, match="not implemented"):
        rights(own)


# containers


def config(container: dict[str, Any], **volumes: Ready) -> Any:
    container = {"name": "c", "image": "i", **container}
    return container_config(pod(container), container, 3, {"A": "1"}, volumes, "", GIB)


def test_a_container() -> None:
    found = config({"command": ["run", "$(A)"], "args": ["$$(A)", "$(B)"], "workingDir": "/w",
                    "tty": True, "stdin": True, "stdinOnce": True})  # fmt: skip
    assert (found.name, found.attempt, found.image) == ("c", 3, "i")
    assert (found.command, found.args) == (("run", "1"), ("$(A)", "$(B)"))
    assert (found.working_dir, found.log_path, found.envs) == ("/w", "c/3.log", (("A", "1"),))
    assert (found.tty, found.stdin, found.stdin_once) == (True, True, True)


def mounts(*given: dict[str, Any]) -> Any:
    return config({"volumeMounts": [{"name": "v", "mountPath": "/m", **each} for each in given]},
                  v=Ready("/host/v"), r=Ready("/host/r", readonly=True)).mounts  # fmt: skip


def test_mounts() -> None:
    assert mounts({}) == (Mount("/m", "/host/v"),)
    assert mounts({"readOnly": True, "mountPath": "/m/./x/"}) == (Mount("/m/x", "/host/v", True),)
    assert mounts({"name": "r"}) == (Mount("/m", "/host/r", True),)
    assert mounts({"subPath": "a/b"}) == (Mount("/m", "/host/v", False, "a/b"),)
    assert mounts({"subPathExpr": "x-$(A)"}) == (Mount("/m", "/host/v", False, "x-1"),)


@pytest.mark.parametrize(
    "given",
    [{"subPath": "../x"}, {"subPath": "a/../../x"}, {"subPath": "/etc"}, {"name": "none"},
     {"subPathExpr": "$(NONE)"}, {"subPathExpr": "$(A)/../.."}],
)  # fmt: skip
def test_mounts_that_are_refused(given: dict[str, Any]) -> None:
    """F23: a sub-path stays below its volume."""
    with pytest.raises(ConfigError):
        mounts(given)


# sandboxes


def test_a_sandbox() -> None:
    ports = [
        {"containerPort": 80, "hostPort": 8080},
        {"containerPort": 81},
        {"containerPort": 53, "hostPort": 53, "protocol": "UDP", "hostIP": "127.0.0.1"},
    ]
    wish = pod(
        {"name": "c", "image": "i", "ports": ports},
        hostname="h",
        subdomain="db",
        hostAliases=[{"ip": "10.1.2.3", "hostnames": ["a", "b"]}],
        securityContext={"sysctls": [{"name": "net.core.somaxconn", "value": "9"}]},
    )
    found = sandbox_config(wish, 2, "/logs", DNS, "node-1")
    assert (found.uid, found.attempt, found.hostname) == ("u", 2, "h")
    assert found.port_mappings == (PortMapping(8080, 80), PortMapping(53, 53, "UDP", "127.0.0.1"))
    assert found.domain == "db.shop.svc.cluster.local"
    assert found.host_aliases == (("10.1.2.3", ("a", "b")),)
    assert found.sysctls == {"net.core.somaxconn": "9"}
    own = sandbox_config(pod(hostNetwork=True, hostPID=True), 0, "/logs", DNS, "node-1")
    assert (own.hostname, own.host_network, own.host_pid) == ("node-1", True, True)


def test_long_names_are_cut_as_the_kernel_wants_them() -> None:
    wish = pod()
    wish["metadata"]["name"] = "a" * 62 + "-" + "b" * 20
    assert hostname(wish) == "a" * 62


CLUSTER = ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.org")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, DnsConfig(("10.96.0.10",), CLUSTER, ("ndots:5",))),
        ({"dnsPolicy": "Default"}, DNS.node),
        ({"hostNetwork": True}, DNS.node),
        ({"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"},
         DnsConfig(("10.96.0.10",), CLUSTER, ("ndots:5",))),
        ({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.9"], "searches": ["x.y"],
                                             "options": [{"name": "ndots", "value": "2"},
                                                         {"name": "edns0"}]}},
         DnsConfig(("192.0.2.9",), ("x.y",), ("ndots:2", "edns0"))),
        ({"dnsConfig": {"nameservers": ["192.0.2.9", "10.96.0.10"],
                        "options": [{"name": "ndots", "value": "1"}]}},
         DnsConfig(("10.96.0.10", "192.0.2.9"), CLUSTER, ("ndots:1",))),
    ],
)  # fmt: skip
def test_resolv_conf(spec: dict[str, Any], expected: DnsConfig) -> None:
    assert dns_config(pod(**spec), DNS) == expected


def test_search_lists_are_cut() -> None:
    many = {"searches": [f"n{i}.example.org" for i in range(60)]}
    assert len(dns_config(pod(dnsConfig=many), DNS).searches) == 32
    long = {"searches": ["a" * 60 + f".{i}" for i in range(40)]}
    assert len(" ".join(dns_config(pod(dnsConfig=long, dnsPolicy="None"), DNS).searches)) <= 2048


# refusals

CAPACITY = {"cpu": "2", "memory": "1Gi", "pods": "3"}
LABELS = {"kubernetes.io/os": "linux", "disk": "ssd"}


def why(wish: dict[str, Any], *others: dict[str, Any]) -> tuple[str, str]:
    found = refusal(wish, LABELS, CAPACITY, others)
    return tuple(found) if found else ("", "")


def test_what_fits_is_let_in() -> None:
    wish = pod(asking(cpu="500m"), nodeSelector={"disk": "ssd"}, os={"name": "linux"})
    assert why(wish, pod(asking(cpu="1500m"))) == ("", "")


def test_pods_for_another_system() -> None:
    assert why(pod(os={"name": "windows"}))[0] == "PodOSNotSupported"
    for label in ("kubernetes.io/os", "beta.kubernetes.io/os"):
        found = why(pod(nodeSelector={label: "windows"}))
        assert found[0] == "PodOSSelectorNodeLabelDoesNotMatch"
        assert "windows" in found[1]


def test_labels_of_the_node() -> None:
    assert why(pod(nodeSelector={"disk": "hdd"})) == (
        "NodeAffinity",
        "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
    )


def test_a_node_that_is_full() -> None:
    """The words of kubernetes' pkg/kubelet/lifecycle InsufficientResourceError."""
    assert why(pod(asking(cpu="600m")), pod(asking(cpu="1500m"))) == (
        "OutOfcpu",
        "Node didn't have enough resource: cpu, requested: 600, used: 1500, capacity: 2000",
    )
    assert why(pod(asking(memory="2Gi")))[0] == "OutOfmemory"
    assert why(pod(), pod(), pod(), pod()) == (
        "OutOfpods", "Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3",
    )  # fmt: skip
    alone = pod(asking(cpu="1"), initContainers=[asking("i", cpu="3")])
    assert why(alone)[0] == "OutOfcpu"  # an init container runs alone, and needs that much
    together = pod(
        asking("a", cpu="1"), asking("b", cpu="1"), initContainers=[asking("i", cpu="2")]
    )
    assert why(together) == ("", "")


def listening(port: int, ip: str = "", protocol: str = "TCP") -> dict[str, Any]:
    entry = {"containerPort": 1, "hostPort": port, "hostIP": ip, "protocol": protocol}
    return pod({"name": "c", "image": "i", "ports": [entry]})


@pytest.mark.parametrize(
    ("other", "taken"),
    [(listening(80), True), (listening(80, "192.0.2.1"), True), (listening(81), False),
     (listening(80, protocol="UDP"), False)],
)  # fmt: skip
def test_ports_of_the_host(other: dict[str, Any], taken: bool) -> None:
    assert (why(listening(80), other)[0] == "NodePorts") is taken
    assert why(listening(80, "192.0.2.1"), listening(80, "192.0.2.2")) == ("", "")


@pytest.mark.parametrize(
    "spec",
    [
        {"initContainers": [{"name": "i", "image": "i", "restartPolicy": "Always"}]},
        {"ephemeralContainers": [{"name": "e"}]},
        {"hostUsers": False},
        {"shareProcessNamespace": True},
        {"runtimeClassName": "kata"},
        {"setHostnameAsFQDN": True},
        {"containers": [{"name": "c", "image": "i", "livenessProbe": {"grpc": {"port": 1}}}]},
        {"containers": [{"name": "c", "image": "i", "volumeDevices": [{"name": "v"}]}]},
    ],
)
def test_what_is_not_implemented_is_refused_by_name(spec: dict[str, Any]) -> None:
    reason, message = why({**pod(), "spec": {**pod()["spec"], **spec}})
    assert reason == "Unsupported"
    assert message.endswith(": not implemented")


def test_deadlines() -> None:
    wish = {**pod(activeDeadlineSeconds=60), "status": {"startTime": "1970-01-01T00:01:00Z"}}
    assert past_deadline(wish, 100.0) == 20.0
    assert past_deadline(wish, 130.0) == -10.0
    assert past_deadline({**wish, "status": {}}, 130.0) is None
    assert past_deadline({**pod(), "status": wish["status"]}, 130.0) is None
