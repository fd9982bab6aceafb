"""``dockyard chroot``: a directory comes in; a program that sees nothing but it takes this place.

The oldest step to a container, on its own, as chroot(8) has it: the same options, the same exit
codes (125, 126, 127). The program keeps the network, the processes, the host name and the rights of
whoever asked: ``docs/from-scratch.md`` builds those walls one by one.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from typing import NamedTuple, NoReturn

from dockyard.base.errors import DockyardError, Invalid
from dockyard.cli import common
from dockyard.cli.plainwords import REST
from dockyard.cli.userspec import Identity, Names, identity, read_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass


FAILED, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127
EXAMPLES = """  dockyard chroot ./tree                       # a shell in it
  dockyard chroot ./tree /bin/busybox ls -l /
  dockyard chroot --userspec=app:app ./tree id # names by its /etc/passwd, else the host's
  dockyard chroot --userspec=1000:1000 --groups= ./tree sh -c 'id; pwd'
"""


class Wish(NamedTuple):
    """What the words of the command line ask for."""

    root: str
    words: tuple[str, ...]
    """Empty: a shell."""
    userspec: str
    groups: str | None
    """None: those of the user."""
    skip_chdir: bool


def run(argv: list[str]) -> int:
    """Become the program. Returns only where that fails."""
    wish = _parse(argv)
    try:
        _enter(wish)
        _execute(wish.words or _shell())
    except (DockyardError, OSError) as error:
        print(f"dockyard: chroot: {_said(error)}", file=sys.stderr)
        return FAILED


def _parse(argv: list[str]) -> Wish:
    parser = common.Parser(
        "chroot", "[OPTIONS] DIR [COMMAND [ARG...]]",
        "Run a command that has DIR as its root: chroot(8). Without one, an interactive shell:\n"
        "$SHELL -i, or /bin/sh -i where DIR has no such file. No other wall is built.",
        EXAMPLES,
    )  # fmt: skip
    add = parser.add_argument
    add("--userspec", default="", metavar="USER:GROUP", help="who it runs as; +N is a number")
    add("--groups", default=None, metavar="G,...", help="its further groups; empty: none")
    parser.flag("--skip-chdir", help="stay in the working directory; only where DIR is /")
    add("words", nargs=REST, metavar="DIR [COMMAND [ARG...]]")
    found = parser.parse_args(argv)
    if found.words[:1] == ["--"]:
        del found.words[0]
    if not found.words:
        parser.error("needs a directory")
    root, *words = found.words
    if found.skip_chdir and os.path.realpath(root) != "/":
        parser.error("--skip-chdir: only where DIR is the root that there is already")
    return Wish(root, tuple(words), found.userspec, found.groups, found.skip_chdir)


def _enter(wish: Wish) -> None:
    """The root changes between the two look-ups: a name counts inside first, as in chroot(8)."""
    wanted = bool(wish.userspec or wish.groups)
    outside = read_names("/") if wanted else Names("", "")
    os.chroot(wish.root)
    if not wish.skip_chdir:
        os.chdir("/")
    inside = read_names("/") if wanted else outside
    _become(identity(wish.userspec, wish.groups, inside, outside))


def _become(who: Identity) -> None:
    if who.groups is not None:
        os.setgroups(who.groups)
    if who.gid is not None:
        os.setgid(who.gid)
    if who.uid is not None:
        os.setuid(who.uid)


def _shell() -> tuple[str, ...]:
    """An interactive shell that is there."""
    wanted = os.environ.get("SHELL") or "/bin/sh"
    return (wanted if os.path.exists(wanted) else "/bin/sh", "-i")


def _execute(words: tuple[str, ...]) -> NoReturn:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # this interpreter ignores them, and an exec
        signal.signal(number, signal.SIG_DFL)  # would hand that on
    try:
        os.execvp(words[0], words)  # noqa: S606 - no shell is meant
    except ValueError:
        raise Invalid("a NUL byte in the command") from None
    except OSError as error:
        missing = error.errno == errno.ENOENT
        print(f"dockyard: chroot: failed to run command '{words[0]}': {error.strerror}"
              f"{_hint(words[0]) if missing else ''}", file=sys.stderr)  # fmt: skip
        raise SystemExit(NOT_FOUND if missing else NOT_EXECUTABLE) from None


def _hint(program: str) -> str:
    """Why a file that is there cannot be found: execve(2) says so of what it needs, too."""
    if "/" in program and os.path.exists(program):
        return (
            "; the file is there, but not the loader or interpreter that it names: copy that "
            "(`ldd` lists it) into the directory, or take a static program"
        )
    return "" if "/" in program else "; looked for in PATH, below the new root"


def _said(error: Exception) -> str:
    if not isinstance(error, OSError):
        return str(error)
    where = f"'{error.filename}': " if error.filename else ""
    return f"cannot change root directory to {where}{error.strerror}"
