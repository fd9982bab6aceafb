"""A system container where there is cgroup version 2 alone: systemd in it, and around it."""

import signal
from pathlib import Path
from typing import Any

from inside.boxes import GROUPS, MEGABYTE, PARENT, Box, box, prepare_root, until

from dockyard.base.linux import cgroupfs
from dockyard.base.oci.users import User
from dockyard.interfaces.ociruntime import Log
from dockyard.node.engine.config import ContainerConfig, Resources
from dockyard.node.engine.spec import Place, build_spec
from dockyard.node.engine.system import boot, groups

CONSOLE = Path("/tmp/console")
SYSTEMD = "/usr/lib/systemd/systemd"


ALONE = "[Unit]\nDefaultDependencies=no\n"
UNITS = {
    "box.target": f"{ALONE}Requires=own.service\n",
    "own.service": f"{ALONE}[Service]\nExecStart=/bin/sleep 1000\nStandardOutput=null\n",
    # what SIGRTMIN+3 starts; a distribution has it with a dozen of others around
    "halt.target": f"{ALONE}Requires=down.service\nAfter=down.service\n",
    "down.service": f"{ALONE}SuccessAction=poweroff-force\nConflicts=own.service\n"
    "[Service]\nType=oneshot\nExecStart=/bin/true\n",
}


def prepare() -> None:
    for name, text in UNITS.items():
        Path("/etc/systemd/system", name).write_text(text)
    if not Path("/lib/systemd").exists():  # where Debian's has its shutdown program
        Path("/lib/systemd").symlink_to("/usr/lib/systemd")
    prepare_root()


def system(spec: dict[str, Any]) -> None:
    """The specification that the engine makes of `--system -m 64m`."""
    cgroup = spec["linux"]["cgroupsPath"]
    own = groups(cgroup, cgroupfs.layout())
    assert own.writable
    assert not own.binds
    config = boot(
        ContainerConfig(command=(SYSTEMD, "--unit=box.target"), system=True,
                        resources=Resources(memory=64 * MEGABYTE)),
        ["/"],
    )  # fmt: skip
    assert config.stop_signal == "SIGRTMIN+3"
    place = Place(spec["root"]["path"], cgroup, (), (), delegated=True)
    spec.clear()
    spec.update(build_spec(config, User(0, 0, (), "/root"), "box", place))


def service(found: Box) -> Path:
    return GROUPS / PARENT / Path(found.cgroup).name / "system.slice/own.service/cgroup.procs"


def test_systemd_boots_keeps_services_apart_and_shuts_down() -> None:
    with box("unused", change=system) as found:
        found.launch = found.launch._replace(log=Log(str(CONSOLE), "json-file"))
        found.pid, _ = found.runtime.create(found.launch)
        found.runtime.start(found.launch.run_dir)
        try:
            until(lambda: service(found).exists() and service(found).read_text())
        except AssertionError:
            raise AssertionError(CONSOLE.read_text()) from None
        pid = int(service(found).read_text())
        until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")
        found.spec["process"]["terminal"] = False  # of what is executed from here on
        inside = found.exec("cat", "/proc/1/cgroup").out
        assert inside == "0::/init.scope\n", inside
        # it may make groups below its own, and not lift what limits its own (nsdelegate)
        made = found.exec("mkdir", "/sys/fs/cgroup/mine")
        assert made.code == 0, made.err
        lifted = found.exec("sh", "-c", "echo max > /sys/fs/cgroup/memory.max")
        assert lifted.code != 0
        assert found.file("memory.max") == str(64 * MEGABYTE)
        found.runtime.signal(found.launch.run_dir, signal.SIGRTMIN + 3)
        ended = found.runtime.wait(found.launch.run_dir, found.launch.state_dir, 30)
        said = CONSOLE.read_text()
        assert ended is not None, said
        assert ended.code == 0, said
        assert "Exiting container" in said, said
        assert not Path(f"/proc/{pid}").exists()
