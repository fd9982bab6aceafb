"""Turns a machine into the numbers of its kernel calls (the kernel's asm/unistd.h)."""

import os

# The same on every architecture: they came after Linux 5.0.
EVERYWHERE = {
    "pidfd_send_signal": 424, "open_tree": 428, "move_mount": 429, "fsopen": 430,
    "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_open": 434, "clone3": 435,
    "close_range": 436, "openat2": 437, "pidfd_getfd": 438, "mount_setattr": 442,
    "statmount": 457, "listmount": 458,
}  # fmt: skip
BY_MACHINE = {
    "x86_64": {
        "add_key": 248, "bpf": 321, "capget": 125, "capset": 126, "fstatfs": 138, "getcpu": 309,
        "ioprio_get": 252, "ioprio_set": 251, "keyctl": 250, "memfd_create": 319, "mount": 165,
        "personality": 135, "pivot_root": 155, "prctl": 157, "request_key": 249,
        "sched_getattr": 315, "sched_setattr": 314, "seccomp": 317, "set_mempolicy": 238,
        "setdomainname": 171, "sethostname": 170, "setns": 308, "sync_file_range": 277,
        "umount2": 166, "unshare": 272,
    },
    "aarch64": {
        "add_key": 217, "bpf": 280, "capget": 90, "capset": 91, "fstatfs": 44, "getcpu": 168,
        "ioprio_get": 31, "ioprio_set": 30, "keyctl": 219, "memfd_create": 279, "mount": 40,
        "personality": 92, "pivot_root": 41, "prctl": 167, "request_key": 218, "sched_getattr": 275,
        "sched_setattr": 274, "seccomp": 277, "set_mempolicy": 237, "setdomainname": 162,
        "sethostname": 161, "setns": 268, "sync_file_range": 84, "umount2": 39,
        "unshare": 97,
    },
}  # fmt: skip
NUMBERS = {**EVERYWHERE, **BY_MACHINE.get(os.uname().machine, {})}
"""Those of this machine, by name."""
