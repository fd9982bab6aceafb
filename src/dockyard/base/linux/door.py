"""Turns a kernel call's name and arguments into its result, or an ``OSError`` that names both.

The one door to the kernel for whatever makes a container: calls that Python lacks go through
:func:`call`, those that it has through :func:`through`. So somebody can watch how a container is
made: :data:`recorder` is None unless one has asked, and costs nothing then.
"""

from __future__ import annotations

import errno
import os

from dockyard.base.linux import foreign
from dockyard.base.linux.callnumbers import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    T = TypeVar("T")
    Recorder = Callable[[str, tuple[object, ...], object], None]
    """Gets a call's name, its arguments and its result: a value, the ``OSError``, or None where the
    call does not come back (:func:`last`). In the process that made it, in the order of the calls;
    forks inherit it. A path is bytes or text; a structure is a ``ctypes.Structure``."""

recorder: Recorder | None = None
descriptor = -1
"""Where the recorder writes: stays open, close-on-exec, where every other descriptor is closed."""

_syscall = foreign.CDLL(None, use_errno=True).syscall
_syscall.restype = foreign.c_long
# words of the machine's width: numbers of either sign, bytes, arrays and None
_syscall.argtypes = [foreign.c_long, *[foreign.c_void_p] * 6]
_SIX = (0, 0, 0, 0, 0, 0)


class Bits(int):
    """Flags: shown as hexadecimal."""

    def __str__(self) -> str:
        return hex(self)


def call(name: str, *arguments: object) -> int:
    """A system call by its name: at most six numbers, paths, byte strings or structures.

    Raises ``OSError``. Nothing is retried: EINTR and EAGAIN are the caller's.
    """
    number = NUMBERS.get(name)
    if number is None:
        raise OSError(errno.ENOSYS, f"{name}: not known on {os.uname().machine}")
    words = [_word(argument) for argument in arguments]
    result = int(_syscall(number, *words, *_SIX[len(words) :]))
    if result >= 0:
        if recorder is not None:
            recorder(name, arguments, result)
        return result
    error = failure(name, arguments, foreign.get_errno())
    if recorder is not None:
        recorder(name, arguments, error)
    raise error


def _word(argument: object) -> object:
    if isinstance(argument, str):
        if "\0" in argument:
            raise ValueError(f"{argument!r}: a path with a NUL")
        return os.fsencode(argument)
    if isinstance(argument, foreign.Structure):
        return foreign.byref(argument)
    return argument


def through(name: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function of the standard library that makes this kernel call, and no other."""
    if recorder is None:
        return function(*args, **kwargs)
    arguments = (*args, *kwargs.values())
    try:
        result = function(*args, **kwargs)
    except OSError as error:
        recorder(name, arguments, error)
        raise
    recorder(name, arguments, result)
    return result


def last(name: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As :func:`through`, for a call that does not come back: it is recorded before it is made."""
    if recorder is not None:
        recorder(name, (*args, *kwargs.values()), None)
    return function(*args, **kwargs)


def failure(name: str, arguments: tuple[object, ...], code: int) -> OSError:
    """The error of a call: its class is the errno's (``FileNotFoundError``...)."""
    shown = ", ".join(_shown(argument) for argument in arguments)
    return OSError(code, f"{name}({shown}): {os.strerror(code)}")


def _shown(argument: object) -> str:
    if isinstance(argument, bytes):
        argument = os.fsdecode(argument)
    if isinstance(argument, foreign.Structure):
        fields = (f"{field[0]}={getattr(argument, field[0])}" for field in argument._fields_)
        return f"{{{', '.join(fields)}}}"
    if isinstance(argument, foreign.Array):
        return "..."
    text = str(argument)
    return text if len(text) <= 200 else f"{text[:200]}..."
