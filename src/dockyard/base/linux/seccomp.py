"""Turns a seccomp profile (``linux.seccomp`` of the OCI runtime specification) into a filter.

libseccomp compiles it; the compiled program is kept in a file named by the profile's hash, because
compiling costs more than the rest of a container's start.
"""

from __future__ import annotations

import errno
import marshal
import os
import struct
from _blake2 import blake2b  # hashlib loads OpenSSL, which every monitor would carry

from dockyard.base import jsontext
from dockyard.base.errors import Invalid, Unsupported
from dockyard.base.linux import foreign
from dockyard.base.linux.door import Bits, call
from dockyard.base.linux.seccompnewer import preamble
from dockyard.base.remembered import remembered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000, "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000, "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000, "SCMP_ACT_TRACE": 0x7FF00000, "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_LOG": 0x7FFC0000, "SCMP_ACT_ALLOW": 0x7FFF0000,
}  # fmt: skip
NOTIFY = "SCMP_ACT_NOTIFY"
WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
OPERATORS = {
    "SCMP_CMP_NE": 1, "SCMP_CMP_LT": 2, "SCMP_CMP_LE": 3, "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5, "SCMP_CMP_GT": 6, "SCMP_CMP_MASKED_EQ": 7,
}  # fmt: skip
ARCHITECTURES = tuple(f"SCMP_ARCH_{name}" for name in """
X86 X86_64 X32 ARM AARCH64 LOONGARCH64 M68K MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC
PPC64 PPC64LE S390 S390X SH SHEB PARISC PARISC64 RISCV64
""".split())  # fmt: skip
FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1, "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 32,
}  # fmt: skip
NEW_LISTENER, TSYNC_ESRCH = 8, 16

_EEXIST = 17
_ATTRIBUTE_OPTIMISE = 8
_SECCOMP_SET_MODE_FILTER = 1
_EPERM = 1
_X32 = 0x4000_003E
_PERMISSIVE = (ACTIONS["SCMP_ACT_ALLOW"], ACTIONS["SCMP_ACT_LOG"],
               ACTIONS["SCMP_ACT_ERRNO"] | errno.ENOSYS)  # fmt: skip
"""Default actions that a call which nobody has named may meet."""
_WITHOUT_REFERENCES = 2
"""Version of :mod:`marshal` in which equal values are equal bytes."""
CACHE_VERSION = b"4"
_HEAD = struct.Struct("=II")
"""Before the instructions: flags of seccomp(2), and how many instructions follow."""


class _Comparison(foreign.Structure):
    _fields_ = [
        ("argument", foreign.c_uint),
        ("operator", foreign.c_int),
        ("first", foreign.c_uint64),
        ("second", foreign.c_uint64),
    ]


class _Program(foreign.Structure):
    _fields_ = [("length", foreign.c_ushort), ("instructions", foreign.c_char_p)]


def filter_for(profile: dict[str, Any], cache: str) -> bytes:
    """The BPF program of a profile, from the cache folder if it is there."""
    return _filter_for(marshal.dumps(profile, _WITHOUT_REFERENCES), cache)


@remembered(8)
def _filter_for(packed: bytes, cache: str) -> bytes:
    profile = marshal.loads(packed)  # noqa: S302 - from right above
    text = jsontext.dumps(profile).encode()
    digest = blake2b(CACHE_VERSION + os.uname().machine.encode() + text, digest_size=32).hexdigest()
    path = f"{cache}/{digest}.bpf"
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        program = compile_profile(profile)
    os.makedirs(cache, 0o700, exist_ok=True)
    fresh = f"{path}.{os.getpid()}"
    with open(fresh, "wb") as file:
        file.write(program)
    os.replace(fresh, path)
    return program


def load(packed: bytes) -> int:
    """Put this thread under the filter: seccomp(2). Needs no_new_privs or CAP_SYS_ADMIN.

    Returns the descriptor on which somebody is asked, close-on-exec, or -1 where nobody is.
    """
    flags, length = _HEAD.unpack_from(packed)
    program = _Program(length, packed[_HEAD.size :])
    result = call("seccomp", _SECCOMP_SET_MODE_FILTER, Bits(flags), program)
    return result if flags & NEW_LISTENER else -1


def compile_profile(profile: dict[str, Any]) -> bytes:
    """The profile as :func:`load` takes it: flags and BPF.

    Raises :class:`Invalid` for what the specification does not allow; never unconfined.
    """
    try:
        return _compiled(profile)
    except (TypeError, AttributeError) as error:
        raise Invalid(
            f"config: linux.seccomp: {error}: not of its form (config-linux.md)"
        ) from error


def _compiled(profile: dict[str, Any]) -> bytes:
    library = _library()
    name = profile.get("defaultAction")
    if name == NOTIFY:
        raise Invalid(f"config: linux.seccomp.defaultAction: {NOTIFY}: nobody could start")
    default = _action(name, profile.get("defaultErrnoRet"), "defaultErrnoRet")
    flags = _flags(profile)
    context = foreign.c_void_p(library.seccomp_init(foreign.c_uint32(default)))
    if not context:
        raise Invalid(f"config: linux.seccomp.defaultAction: {profile.get('defaultAction')!r}")
    try:
        library.seccomp_attr_set(context, _ATTRIBUTE_OPTIMISE, foreign.c_uint32(2))
        listed = profile.get("architectures") or ()
        tokens = [_add_architecture(library, context, name) for name in listed]
        tokens.insert(0, library.seccomp_arch_native())
        for index, rule in enumerate(profile.get("syscalls") or ()):
            _add_rule(library, context, rule, default, f"config: linux.seccomp.syscalls[{index}]")
        program = _export(library, context)
        if default not in _PERMISSIVE:
            program = preamble(_newest(library, tokens, profile)) + program
    finally:
        library.seccomp_release(context)
    from dockyard.base.linux import seccompruns  # once for each profile: then the file is there

    program = seccompruns.shorter(program)
    return _HEAD.pack(flags, len(program) // 8) + program


def _flags(profile: dict[str, Any]) -> int:
    """Of seccomp(2). Somebody who is asked about calls has to be named."""
    flags = 0
    for name in profile.get("flags") or ():
        if name not in FLAGS:
            raise Invalid(f"config: linux.seccomp.flags: {name!r}; one of {', '.join(FLAGS)}")
        flags |= FLAGS[name]
    path, metadata = profile.get("listenerPath"), profile.get("listenerMetadata")
    if metadata and not path:
        raise Invalid("config: linux.seccomp.listenerMetadata: without a listenerPath")
    asked = [rule for rule in profile.get("syscalls") or () if rule.get("action") == NOTIFY]
    if asked:
        if not isinstance(path, str) or not path.startswith("/"):
            raise Invalid(f"config: linux.seccomp.listenerPath: {path!r}: {NOTIFY} needs a socket")
        if any("sendmsg" in (rule.get("names") or ()) for rule in asked):
            raise Unsupported(f"config: linux.seccomp: {NOTIFY} for sendmsg: the listener itself"
                              " is sent by it")  # fmt: skip
        flags |= NEW_LISTENER
        if flags & FLAGS["SECCOMP_FILTER_FLAG_TSYNC"]:
            flags |= TSYNC_ESRCH
    elif flags & FLAGS["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]:
        raise Invalid(
            "config: linux.seccomp.flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: only with "
            f"{NOTIFY}"
        )
    return flags


def _newest(library: foreign.CDLL, tokens: list[int], profile: dict[str, Any]) -> dict[int, int]:
    """The highest number of a call that is named, of each architecture but x32."""
    names = {
        str(name) for rule in profile.get("syscalls") or () for name in rule.get("names") or ()
    }
    newest: dict[int, int] = {}
    for token in tokens:
        numbers = [
            library.seccomp_syscall_resolve_name_arch(foreign.c_uint32(token), name.encode())
            for name in names
        ]
        if token != _X32 and max(numbers, default=-1) >= 0:
            newest[token] = max(numbers)
    return newest


def _add_architecture(library: foreign.CDLL, context: foreign.c_void_p, name: Any) -> int:
    where = "config: linux.seccomp.architectures"
    if name not in ARCHITECTURES:
        raise Invalid(f"{where}: {name!r}: unknown")
    short = name.removeprefix("SCMP_ARCH_").lower()
    library.seccomp_arch_resolve_name.restype = foreign.c_uint32
    token = library.seccomp_arch_resolve_name(short.encode())
    if not token:
        raise Unsupported(f"{where}: {name}: not known to this libseccomp; install a newer one")
    code = library.seccomp_arch_add(context, foreign.c_uint32(token))
    if code not in (0, -_EEXIST):
        raise Invalid(f"{where}: {name}: {os.strerror(-code)}")
    return int(token)


def _library() -> foreign.CDLL:
    try:
        library = foreign.CDLL("libseccomp.so.2")
    except OSError as error:
        raise Unsupported(
            "seccomp: libseccomp.so.2 is not installed; install libseccomp2"
        ) from error
    library.seccomp_init.restype = foreign.c_void_p
    library.seccomp_arch_native.restype = foreign.c_uint32
    return library


def _action(name: Any, number: Any, member: str = "errnoRet") -> int:
    if name not in ACTIONS:
        raise Invalid(f"config: linux.seccomp: action {name!r}; one of {', '.join(ACTIONS)}")
    if name not in WITH_ERRNO:
        if number is not None:
            raise Invalid(f"config: linux.seccomp: {member} {number!r}: {name} has none")
        return ACTIONS[name]
    chosen = _EPERM if number is None else number
    if not isinstance(chosen, int) or isinstance(chosen, bool) or not 0 <= chosen <= 0xFFFF:
        raise Invalid(f"config: linux.seccomp: {member} {chosen!r}: not between 0 and 65535")
    return ACTIONS[name] | chosen


def _add_rule(
    library: foreign.CDLL, context: foreign.c_void_p, rule: dict[str, Any], default: int, where: str
) -> None:
    action = _action(rule.get("action"), rule.get("errnoRet"))
    if not rule.get("names"):
        raise Invalid(f"{where}.names: empty; name at least one system call")
    if action == default:
        return
    comparisons = [_comparison(argument, where) for argument in rule.get("args") or ()]
    alternatives = [comparisons]
    if len({one.argument for one in comparisons}) < len(comparisons):
        alternatives = [[one] for one in comparisons]  # of one argument any of them, as runc has it
    for name in rule.get("names") or ():
        number = library.seccomp_syscall_resolve_name(str(name).encode())
        if number == -1:  # a call that this libseccomp does not know cannot be allowed by it
            continue
        for chosen in alternatives:
            packed = (_Comparison * len(chosen))(*chosen)
            code = library.seccomp_rule_add_array(
                context, foreign.c_uint32(action), number, len(chosen), packed
            )
            if code not in (0, -_EEXIST):
                raise Invalid(f"{where}: {name}: {os.strerror(-code)}")


def _comparison(argument: dict[str, Any], where: str) -> _Comparison:
    try:
        operator = OPERATORS[argument["op"]]
        index, value = int(argument["index"]), int(argument["value"])
        second = int(argument.get("valueTwo") or 0)
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid(f"{where}.args: {argument!r}: {error}") from error
    if not 0 <= index <= 5:
        raise Invalid(f"{where}.args: index {index}: a system call has six arguments")
    if not 0 <= min(value, second) <= max(value, second) < 1 << 64:
        raise Invalid(f"{where}.args: value {value}, {second}: an argument has 64 bits")
    return _Comparison(index, operator, value, second)


def _export(library: foreign.CDLL, context: foreign.c_void_p) -> bytes:
    descriptor = os.memfd_create("seccomp")
    try:
        code = library.seccomp_export_bpf(context, descriptor)
        if code:
            raise Unsupported(f"seccomp: libseccomp cannot export: {os.strerror(-code)}")
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    finally:
        os.close(descriptor)
