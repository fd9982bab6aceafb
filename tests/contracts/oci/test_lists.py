"""docs/conformance/oci-runtime.md names every entry of both lists, and tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
PAGE = (PROJECT / "docs/conformance/oci-runtime.md").read_text()
VALIDATION = """
config_updates_without_affect create default delete delete_only_create_resources delete_resources
hooks hooks_stdin hostname kill kill_no_effect killsig linux_cgroups_blkio linux_cgroups_cpus
linux_cgroups_devices linux_cgroups_hugetlb linux_cgroups_memory linux_cgroups_network
linux_cgroups_pids linux_cgroups_relative_blkio linux_cgroups_relative_cpus
linux_cgroups_relative_devices linux_cgroups_relative_hugetlb linux_cgroups_relative_memory
linux_cgroups_relative_network linux_cgroups_relative_pids linux_devices linux_masked_paths
linux_mount_label linux_ns_itype linux_ns_nopath linux_ns_path linux_ns_path_type
linux_process_apparmor_profile linux_readonly_paths linux_rootfs_propagation linux_seccomp
linux_sysctl linux_uid_mappings misc_props mounts pidfile poststart poststart_fail poststop
poststop_fail prestart prestart_fail process process_capabilities process_capabilities_fail
process_oom_score_adj process_rlimits process_rlimits_fail process_user root_readonly_true start
state
""".split()
TOPICS = """
capabilities cgroup_delegation cgroups checkpoint cpu_affinity create cwd debug delete dev env
events exec help hooks hooks_so host-mntns idmap ioprio kill list mask memorypolicy mounts
mounts_propagation mounts_propagation_unsafe mounts_recursive mounts_sshfs netdev no_pivot pause
personality pidfd-socket ps rlimits root run scheduler seccomp-notify-compat seccomp-notify seccomp
selinux spec start start_detached start_hello state timens tty umask update userns version
""".split()


def table(heading: str) -> dict[str, tuple[str, str]]:
    """Name -> state, and what it is shown by."""
    part = PAGE.partition(f"## {heading}")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")]
    return {row[0]: (row[1], row[2]) for row in rows[1:]}


def test_every_entry_of_both_lists_has_its_state() -> None:
    assert list(table("OCI runtime-tools")) == VALIDATION
    assert len(VALIDATION) == 58
    assert list(table("runc's integration tests")) == TOPICS


def test_what_is_named_is_there() -> None:
    files = [
        path
        for folder in ("contracts/oci", "integration/runtime", "unit/runtime")
        for path in (PROJECT / "tests" / folder).glob("test_*.py")
    ]
    names, everything = {path.stem for path in files}, "".join(path.read_text() for path in files)
    for heading in ("OCI runtime-tools", "runc's integration tests"):
        for name, (state, shown) in table(heading).items():
            assert state in ("pass", "part", "none"), name
            words = re.findall(r"test_\w+", shown)
            assert words, name
            for word in words:
                assert word in names or f"def {word}(" in everything, (name, word)
