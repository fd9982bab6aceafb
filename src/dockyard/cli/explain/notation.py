"""Turns a recorded call's arguments into the texts that strace(1) has for them. Pure.

The same notation, so that both can be read side by side, and held against each other.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Any

from dockyard.base.linux.capabilities import NAMES
from dockyard.cli.explain import flags
from dockyard.cli.explain.flags import named

Arguments = list[Any]
CWD = "AT_FDCWD"
UNFIT = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What a form raises for arguments that it does not expect."""
LONGEST = 80
"""Characters of a text that are shown; the others are three dots."""


def texts(call: str, args: Arguments) -> list[str]:
    """The arguments in the kernel's order; as they were given where no form fits them."""
    form = _FORMS.get(call)
    if form is not None:
        with contextlib.suppress(*UNFIT):
            return form(args)
    return [value(each) for each in args]


def value(found: Any) -> str:
    """A number, a text in quotes, NULL, or a list."""
    if found is None:
        return "NULL"
    if isinstance(found, str):
        return text(found)
    if isinstance(found, list):
        return f"[{', '.join(value(each) for each in found)}]"
    if isinstance(found, dict):
        return f"{{{', '.join(f'{key}={value(each)}' for key, each in found.items())}}}"
    return str(found)


def text(found: str, longest: int = 4096) -> str:
    """In quotes, with C's escapes: nothing in it steers a terminal."""
    shown = []
    for byte in os.fsencode(found[:longest]):
        letter = chr(byte)
        escaped = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}.get(letter)
        shown.append(escaped or (letter if 32 <= byte < 127 else f"\\{byte:o}"))
    return f'"{"".join(shown)}"{"..." if len(found) > longest else ""}'


def _clone(args: Arguments) -> list[str]:
    """fork(3): libc's own flags are of no meaning here."""
    if not args:
        return ["flags=SIGCHLD"]
    given = args[0]
    parts = [f"flags={named(given['flags'], flags.CLONE)}"]
    if given.get("exit_signal"):
        parts.append(f"exit_signal={signal.Signals(given['exit_signal']).name}")
    if given["flags"] & 0x200000000:
        parts.append(f"cgroup={given['cgroup']}")
    return [f"{{{', '.join(parts)}}}", str(args[1])]


def _mount(args: Arguments) -> list[str]:
    source, target, kind, bits, data = args
    return [*map(value, (source, target, kind)), named(bits, flags.MOUNT), value(data)]


def _mount_setattr(args: Arguments) -> list[str]:
    descriptor, path, bits, wanted, size = args
    fields = {
        "attr_set": named(wanted["set"], flags.ATTRIBUTES),
        "attr_clr": named(wanted["clear"], flags.ATTRIBUTES),
        "propagation": named(wanted["propagation"], flags.PROPAGATION),
        "userns_fd": str(wanted["userns"]),
    }
    inner = ", ".join(f"{key}={each}" for key, each in fields.items())
    return [str(descriptor), text(path), named(bits, flags.AT), f"{{{inner}}}", str(size)]


def _prctl(args: Arguments) -> list[str]:
    option, *rest = args
    name = flags.PRCTL.get(option, str(option))
    if name == "PR_SET_PDEATHSIG":
        return [name, signal.Signals(rest[0]).name]
    if name in ("PR_CAPBSET_DROP", "PR_CAPBSET_READ"):
        return [name, capability(rest[0])]
    if name == "PR_CAP_AMBIENT":
        raised = capability(rest[1]) if rest[0] != 4 else str(rest[1])
        return [name, flags.AMBIENT.get(rest[0], str(rest[0])), raised, *map(str, rest[2:])]
    if name == "PR_SET_NO_NEW_PRIVS":
        return [name, *map(str, rest)]
    if name == "PR_SET_DUMPABLE":
        return [name, ("SUID_DUMP_DISABLE", "SUID_DUMP_USER", "SUID_DUMP_ROOT")[rest[0]]]
    return [name, str(rest[0])]


def capability(number: int) -> str:
    """``CAP_CHOWN``."""
    return f"CAP_{NAMES[number]}" if number < len(NAMES) else str(number)


def capabilities(low: int, high: int) -> str:
    """A set, as strace shows it."""
    both = low | high << 32
    found = [f"1<<{capability(number)}" for number in range(64) if both >> number & 1]
    return "|".join(found) or "0"


def _capset(args: Arguments) -> list[str]:
    header, (low, high) = args
    sets = ", ".join(
        f"{kind}={capabilities(low[kind], high[kind])}"
        for kind in ("effective", "permitted", "inheritable")
    )
    return [f"{{version=_LINUX_CAPABILITY_VERSION_3, pid={header['pid']}}}", f"{{{sets}}}"]


def _openat(args: Arguments) -> list[str]:
    path, bits, *more = args
    mode, folder = (more[0], more[1]) if len(more) == 2 else (None, more[0] if more else CWD)
    bits |= os.O_CLOEXEC  # Python's own
    shown = named(bits, flags.OPEN)
    shown = shown if bits & (os.O_WRONLY | os.O_RDWR) else f"O_RDONLY|{shown}"
    created = [f"{mode:#03o}".replace("0o", "0")] if mode is not None and bits & os.O_CREAT else []
    return [str(folder), text(path), shown, *created]


def _openat2(args: Arguments) -> list[str]:
    folder, path, how, size = args
    shown = named(how["flags"], flags.OPEN)
    shown = shown if how["flags"] & (os.O_WRONLY | os.O_RDWR) else f"O_RDONLY|{shown}"
    mode = f", mode={octal(how['mode'])}" if how["mode"] or how["flags"] & os.O_CREAT else ""
    return [str(folder), text(path),
            f"{{flags={shown}{mode}, resolve={named(how['resolve'], flags.RESOLVE)}}}",
            str(size)]  # fmt: skip


def octal(mode: int) -> str:
    """``0755``."""
    return f"0{mode:o}" if mode else "000"


def umask(mask: int) -> str:
    """``022``, ``000``: three digits at least."""
    return f"0{mask:02o}"


def _mknodat(args: Arguments) -> list[str]:
    name, mode, device, folder = args
    kind = flags.FILE_TYPES.get(mode & 0o170000, octal(mode & 0o170000))
    number = f"makedev({_hex(os.major(device))}, {_hex(os.minor(device))})"
    return [str(folder), text(name), f"{kind}|{octal(mode & 0o7777)}", number]


def _hex(number: int) -> str:
    return hex(number) if number else "0"


def _write(args: Arguments) -> list[str]:
    descriptor, data = args
    return [str(descriptor), text(data, LONGEST), str(len(os.fsencode(data)))]


def _prlimit(args: Arguments) -> list[str]:
    resource, (soft, hard) = args
    limit = ", ".join(
        f"{name}={'RLIM64_INFINITY' if found < 0 else found}"
        for name, found in (("rlim_cur", soft), ("rlim_max", hard))
    )
    return ["0", flags.LIMITS[resource], f"{{{limit}}}", "NULL"]


def _seccomp(args: Arguments) -> list[str]:
    operation, bits, program = args
    shown = f"{{len={program['length']}, filter=...}}"
    return [flags.SECCOMP.get(operation, str(operation)), named(bits, flags.SECCOMP_FLAGS), shown]


def _execve(args: Arguments) -> list[str]:
    program, words, environment = args
    count = environment["variables"]
    variables = f"/* {count} var{'' if count == 1 else 's'} */"
    return [value(program), value(words), variables]


def _sendto(args: Arguments) -> list[str]:
    """A request over netlink(7), by the name of its type and in our words."""
    descriptor, protocol, kind, what, size = args
    name = flags.ROUTE_MESSAGES.get(kind) if protocol == 0 else None
    return [str(descriptor), f"{{nlmsg_type={name or hex(kind)}, {text(what)}}}", str(size)]


def _fchownat(args: Arguments) -> list[str]:
    path, uid, gid, folder, follows = args
    return [str(folder), text(path), str(uid), str(gid), "0" if follows else "AT_SYMLINK_NOFOLLOW"]


_FORMS: dict[str, Callable[[Arguments], list[str]]] = {
    "clone": _clone,
    "clone3": _clone,
    "unshare": lambda a: [named(a[0], flags.CLONE)],
    "setns": lambda a: [str(a[0]), named(a[1], flags.CLONE)],
    "mount": _mount,
    "umount2": lambda a: [text(a[0]), named(a[1], flags.UMOUNT)],
    "open_tree": lambda a: [_at(a[0]), text(a[1]), named(a[2], flags.OPEN_TREE)],
    "move_mount": lambda a: [*map(value, a[:4]), named(a[4], flags.MOVE_MOUNT)],
    "mount_setattr": _mount_setattr,
    "fsopen": lambda a: [text(a[0]), named(a[1], flags.FSOPEN)],
    "fsconfig": lambda a: [str(a[0]), flags.FSCONFIG[a[1]], *map(value, a[2:])],
    "fsmount": lambda a: [str(a[0]), named(a[1], flags.FSMOUNT), named(a[2], flags.ATTRIBUTES)],
    "prctl": _prctl,
    "capset": _capset,
    "capget": lambda a: [f"{{version=_LINUX_CAPABILITY_VERSION_3, pid={a[0]['pid']}}}", "..."],
    "seccomp": _seccomp,
    "keyctl": lambda a: [flags.KEYCTL.get(a[0], str(a[0])), *map(value, a[1:])],
    "openat": _openat,
    "openat2": _openat2,
    "mkdir": lambda a: [text(a[0]), octal(a[1]) if len(a) > 1 else "0777"],
    "mkdirat": lambda a: [str(a[2]), text(a[0]), octal(a[1])],
    "mknodat": _mknodat,
    "fchownat": _fchownat,
    "sendto": _sendto,
    "symlinkat": lambda a: [text(a[0]), str(a[2]), text(a[1])],
    "umask": lambda a: [umask(a[0])],
    "write": _write,
    "setgroups": lambda a: [str(len(a[0])), value(a[0])],
    "prlimit64": _prlimit,
    "memfd_create": lambda a: [text(a[0]), named(a[1], flags.MEMFD)],
    "close_range": lambda a: [*map(str, a[:2]), named(a[2], flags.CLOSE_RANGE)],
    "ioctl": lambda a: [str(a[0]), {0x8914: "SIOCSIFFLAGS"}.get(a[1], str(a[1])), "..."],
    "pidfd_open": lambda a: [str(a[0]), "0"],
    "execve": _execve,
    "execveat": lambda a: [str(a[0]), '""', *_execve(a)[1:], "AT_EMPTY_PATH"],
}


def _at(folder: int) -> str:
    return CWD if folder == -100 else str(folder)
