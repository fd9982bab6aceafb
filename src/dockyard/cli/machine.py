"""``dockyard system start|stop|unit``: the containers that run while the machine does.

Without a daemon nobody is there when the machine starts: a unit of systemd runs `system start`
then, and `system stop` before the machine ends.
"""

from __future__ import annotations

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from dockyard.cli import common

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dockyard.node.engine.machine import Outcome

OWNER = "cli"
AT_ONCE = 16
UNIT = """\
# dockyard system unit{flag}
[Unit]
Description=Containers of {root} that run while the machine does
Wants=network-online.target
After=network-online.target local-fs.target
RequiresMountsFor={root}

[Service]
Type=oneshot
RemainAfterExit=yes
KillMode=process
TimeoutStopSec=infinity
ExecStart={program} --data-dir {root} system start
ExecStop={program} --data-dir {root} system stop

[Install]
WantedBy={target}
"""


def start(argv: list[str]) -> int:
    """What a restart policy starts with the machine."""
    parser = common.Parser(
        "system start", "",
        "Start the containers whose restart policy starts them with the machine: `always`;\n"
        "`unless-stopped` where nobody has stopped them; `on-failure` where they had failed.\n"
        "`dockyard system unit` prints a unit of systemd that does this.",
        "  dockyard system start\n",
    )  # fmt: skip
    parser.parse_args(argv)
    engine = common.engine()
    engine.tidy(OWNER)
    # one after the other: later ones may want what earlier ones are
    return _told(map(engine.start_with_machine, engine.starting(OWNER)))


def stop(argv: list[str]) -> int:
    """End all that run, as before a shutdown."""
    parser = common.Parser(
        "system stop", "[OPTIONS]",
        "Stop all containers before the machine ends. Their restart policies start them again\n"
        "with it: this is not as if somebody had stopped them.",
        "  dockyard system stop -t 5\n",
    )  # fmt: skip
    parser.add_argument("-t", "--timeout", type=int, default=None, metavar="SECONDS",
                        help="the grace (each container's own)")  # fmt: skip
    options = parser.parse_args(argv)
    engine = common.engine()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return _told(threads.map(lambda each: engine.stop_with_machine(each, options.timeout),
                                 engine.running(OWNER)))  # fmt: skip


def _told(outcomes: Iterable[Outcome]) -> int:
    failed = 0
    for found in outcomes:
        if found.error:
            print(f"dockyard: {found.container.name}: {found.error}", file=sys.stderr)
            failed = 1
        else:
            print(found.container.name, flush=True)
    return failed


def unit(argv: list[str]) -> int:
    """Print a unit of systemd."""
    parser = common.Parser(
        "system unit", "",
        "Print a unit of systemd that starts and stops the containers of this data root with the\n"
        "machine, or, for an ordinary user, with their session.",
        "  dockyard system unit | sudo tee /etc/systemd/system/dockyard.service\n"
        "  sudo systemctl enable --now dockyard\n"
        "  dockyard system unit >~/.config/systemd/user/dockyard.service  # and loginctl "
        "enable-linger\n",
    )  # fmt: skip
    parser.parse_args(argv)
    from dockyard.base.oci.instance import root_path

    root = os.geteuid() == 0
    print(UNIT.format(
        flag="" if root else ", of an ordinary user",
        root=_word(os.path.abspath(root_path())),
        program=_word(_program()),
        target="multi-user.target" if root else "default.target",
    ), end="")  # fmt: skip
    return 0


def _program() -> str:
    """This program's path."""
    return os.path.abspath(shutil.which(sys.argv[0]) or sys.argv[0])


def _word(text: str) -> str:
    """As a unit's command line has it: systemd.service(5), systemd.unit(5), "Specifiers"."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if any(letter in text for letter in " \t'\"\\;") else escaped
