"""Turns a container's own devpts into a terminal: a master for the monitor, a slave for init."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

from dockyard.base.errors import Denied
from dockyard.base.linux.door import through
from dockyard.base.linux.openat2 import open_in_root
from dockyard.node.runtime import rootpath

DEVPTS_SUPER_MAGIC = 0x1CD1

TIOCSPTLCK, TIOCGPTPEER = 0x40045431, 0x5441
"""ioctl_tty(2); the peer is opened without a path (Linux 4.13), so none can be swapped."""


def open_pair(root: int) -> tuple[int, int]:
    """A new terminal of the devpts that is mounted in this root: (master, slave)."""
    master = open_in_root(root, "/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
    try:
        if rootpath.magic(master) != DEVPTS_SUPER_MAGIC:
            raise Denied("terminal: /dev/pts of the container is not a devpts; mount one there")
        fcntl.ioctl(master, TIOCSPTLCK, struct.pack("i", 0))
        slave = open_slave(master)
    except BaseException:
        os.close(master)
        raise
    return master, slave


def open_slave(master: int) -> int:
    """The other side of a terminal, once more."""
    return fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def resize(terminal: int, rows: int, columns: int) -> None:
    """Tell the terminal its size, and the programs on it that it changed."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def take(slave: int, control: bool) -> None:
    """Make it the three standard streams and, with ``control``, this session's terminal."""
    if control:
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for descriptor in (0, 1, 2):
        through("dup2", os.dup2, slave, descriptor)
