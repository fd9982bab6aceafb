"""A container's specification: what Docker's defaults are, and what each flag changes
(opencontainers/runtime-spec, config.md and config-linux.md; moby's default specification)."""

from __future__ import annotations

from typing import Any

import pytest

from dockyard.base.errors import Invalid
from dockyard.base.oci import runtimespec
from dockyard.base.oci.users import User
from dockyard.node.engine.config import ContainerConfig, MountSpec, Resources
from dockyard.node.engine.spec import Place, build_spec, environment

ROOT = User(0, 0, (), "/root")
APP = User(1000, 1000, (2000,), "/home/app")


def spec(user: User = ROOT, *, binds: Any = (), joined: Any = (), **config: Any) -> dict[str, Any]:
    config.setdefault("command", ("true",))
    found = build_spec(
        ContainerConfig(**config), user, "box", Place("/root", "dockyard/i/c", binds, joined)
    )
    runtimespec.parse(found)  # what the runtime would refuse is no specification
    return found


def mount(found: dict[str, Any], target: str) -> dict[str, Any]:
    [one] = [each for each in found["mounts"] if each["destination"] == target]
    return dict(one)


def test_the_defaults() -> None:
    found = spec()
    assert found["process"]["args"] == ["true"]
    assert found["process"]["cwd"] == "/"
    assert found["process"]["env"] == [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOSTNAME=box",
        "HOME=/root",
    ]
    assert found["hostname"] == "box"
    assert found["root"] == {"path": "/root", "readonly": False}
    assert {each["type"] for each in found["linux"]["namespaces"]} == {
        "mount", "pid", "network", "ipc", "uts", "cgroup",
    }  # fmt: skip
    assert "CAP_NET_RAW" in found["process"]["capabilities"]["effective"]
    assert "CAP_SYS_ADMIN" not in found["process"]["capabilities"]["bounding"]
    assert found["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"
    assert "/proc/kcore" in found["linux"]["maskedPaths"]


def test_a_user_who_is_not_root_starts_without_rights() -> None:
    process = spec(APP, groups=(7,))["process"]
    assert process["user"] == {"uid": 1000, "gid": 1000, "additionalGids": [7, 1000, 2000]}
    assert process["capabilities"]["effective"] == []
    assert process["capabilities"]["bounding"]


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        (("A=1",), "A=1"),
        (("A=1", "A=2"), "A=2"),
        (("HOME=/x",), "HOME=/x"),
        (("HOSTNAME=y",), "HOSTNAME=y"),
        (("EMPTY=",), "EMPTY="),
        (("SIGN=a=b",), "SIGN=a=b"),
    ],
)
def test_variables(env: tuple[str, ...], expected: str) -> None:
    found = environment(ContainerConfig(env=env), "box", "/root")
    assert expected in found
    names = [each.partition("=")[0] for each in found]
    assert len(names) == len(set(names))


def test_a_name_without_a_value_removes_a_variable() -> None:
    config = ContainerConfig(env=("A=1", "A", "PATH"))
    assert environment(config, "box", "/root") == ["HOSTNAME=box", "HOME=/root"]


def test_a_terminal_brings_its_kind_and_size() -> None:
    process = spec(terminal=True, size=(24, 80))["process"]
    assert process["terminal"] is True
    assert process["consoleSize"] == {"height": 24, "width": 80}
    assert "TERM=xterm" in process["env"]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Resources(memory=64 << 20), {"memory": {"limit": 64 << 20}}),
        (Resources(nano_cpus=1_500_000_000), {"cpu": {"quota": 150_000, "period": 100_000}}),
        (Resources(cpu_shares=512), {"cpu": {"shares": 512}}),
        (Resources(cpuset="0-1"), {"cpu": {"cpus": "0-1"}}),
        (Resources(pids=10), {"pids": {"limit": 10}}),
    ],
)
def test_limits(limits: Resources, expected: dict[str, Any]) -> None:
    found = spec(resources=limits)["linux"]["resources"]
    del found["devices"]
    assert found == expected


def test_a_callers_mount_replaces_a_default_one() -> None:
    found = spec(
        binds=(("/a", "/etc/hosts", ("rbind",)), ("/mine", "/etc/hosts", ("rbind", "ro"))),
        mounts=(MountSpec("tmpfs", "", "/dev/shm", options=("size=1m",)),),
    )
    assert mount(found, "/etc/hosts")["source"] == "/mine"
    # a tmpfs is hard unless it is asked to be soft: docker's default options
    assert mount(found, "/dev/shm")["options"] == ["noexec", "nosuid", "nodev", "size=1m"]


def test_outer_mounts_come_before_inner_ones() -> None:
    found = spec(binds=(("/a", "/x/y/z", ()), ("/b", "/x", ()), ("/c", "/x/y", ())))
    targets = [each["destination"] for each in found["mounts"]]
    assert targets.index("/x") < targets.index("/x/y") < targets.index("/x/y/z")


def test_shm_size() -> None:
    assert "size=1048576" in mount(spec(shm_bytes=1 << 20), "/dev/shm")["options"]


def test_namespaces_of_others_and_of_the_host() -> None:
    found = spec(network="host", joined=(("ipc", "/proc/7/ns/ipc"),), join=(("pid", "host"),))
    kinds = {each["type"]: each.get("path") for each in found["linux"]["namespaces"]}
    assert "network" not in kinds
    assert "pid" not in kinds
    assert kinds["ipc"] == "/proc/7/ns/ipc"


def test_privileged_and_unconfined() -> None:
    found = spec(privileged=True)
    assert "seccomp" not in found["linux"]
    assert found["linux"]["maskedPaths"] == []
    assert "CAP_SYS_ADMIN" in found["process"]["capabilities"]["bounding"]
    assert "seccomp" not in spec(security_opt=("seccomp=unconfined",))["linux"]
    assert spec(security_opt=("no-new-privileges",))["process"]["noNewPrivileges"] is True


@pytest.mark.parametrize(
    ("add", "drop", "present", "absent"),
    [
        (("SYS_PTRACE",), (), "CAP_SYS_PTRACE", "CAP_SYS_ADMIN"),
        (("cap_net_admin",), ("ALL",), "CAP_NET_ADMIN", "CAP_CHOWN"),
        (("ALL",), ("MKNOD",), "CAP_SYS_ADMIN", "CAP_MKNOD"),
    ],
)
def test_capabilities(
    add: tuple[str, ...], drop: tuple[str, ...], present: str, absent: str
) -> None:
    found = spec(cap_add=add, cap_drop=drop)["process"]["capabilities"]["bounding"]
    assert present in found
    assert absent not in found


@pytest.mark.parametrize(
    "config",
    [
        {"cap_add": ("FLY",)},
        {"security_opt": ("label=off",)},
        {"security_opt": ("seccomp=/profile.json",)},
    ],
)
def test_what_is_no_confinement_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        spec(**config)
