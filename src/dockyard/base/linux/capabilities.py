"""Turns capability names into the five sets of a process (capabilities(7))."""

from dockyard.base.linux import foreign, syscalls
from dockyard.base.linux.door import call

NAMES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID",
    "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW",
    "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
    "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD",
    "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
    "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
)  # fmt: skip
NUMBERS = {f"CAP_{name}": number for number, name in enumerate(NAMES)}

_VERSION_3 = 0x20080522


class CapabilityHeader(foreign.Structure):
    """Whose capabilities: capget(2)."""

    _fields_ = [("version", foreign.c_uint32), ("pid", foreign.c_int)]


class CapabilityData(foreign.Structure):
    """Half of the three sets: the first structure has the lower 32."""

    _fields_ = [
        ("effective", foreign.c_uint32),
        ("permitted", foreign.c_uint32),
        ("inheritable", foreign.c_uint32),
    ]


def mask(names: list[str]) -> int:
    """The bit mask of capability names (``CAP_CHOWN``); ``ValueError`` for an unknown one."""
    bits = 0
    for name in names:
        if name not in NUMBERS:
            raise ValueError(f"capability {name!r}: unknown; names are like CAP_CHOWN")
        bits |= 1 << NUMBERS[name]
    return bits


def permitted() -> int:
    """What this process may have at most, as a mask."""
    header, data = CapabilityHeader(_VERSION_3, 0), (CapabilityData * 2)()
    call("capget", header, data)
    return int(data[0].permitted) | int(data[1].permitted) << 32


def effective() -> int:
    """What this process may do now, as a mask."""
    header, data = CapabilityHeader(_VERSION_3, 0), (CapabilityData * 2)()
    call("capget", header, data)
    return int(data[0].effective) | int(data[1].effective) << 32


def set_bounding(allowed: int) -> None:
    """Drop everything else from the bounding set; needs CAP_SETPCAP."""
    for number in range(len(NAMES)):
        if not allowed >> number & 1:
            syscalls.prctl(syscalls.PR_CAPBSET_DROP, number)


def set_process(effective: int, permitted_: int, inheritable: int) -> None:
    """Set the three sets of this thread: capset(2)."""
    header, data = CapabilityHeader(_VERSION_3, 0), (CapabilityData * 2)()
    for index in (0, 1):
        shift = 32 * index
        data[index].effective = effective >> shift & 0xFFFFFFFF
        data[index].permitted = permitted_ >> shift & 0xFFFFFFFF
        data[index].inheritable = inheritable >> shift & 0xFFFFFFFF
    call("capset", header, data)


def set_ambient(wanted: int) -> None:
    """Replace the ambient set."""
    syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
    for number in range(len(NAMES)):
        if wanted >> number & 1:
            syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_RAISE, number)
