"""C's types and functions without the Python half of ``ctypes``: the same as with it."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys

import pytest

from dockyard.base.linux import foreign

SIMPLE = ("c_char_p", "c_int", "c_long", "c_size_t", "c_uint", "c_uint32", "c_uint64", "c_ushort",
          "c_void_p")  # fmt: skip


@pytest.mark.parametrize("name", SIMPLE)
def test_a_type_has_the_size_and_the_values_of_its_namesake(name: str) -> None:
    ours, theirs = getattr(foreign, name), getattr(ctypes, name)
    assert foreign.sizeof(ours) == ctypes.sizeof(theirs)
    for value in (0, -1, 2**16 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1):
        if name != "c_char_p":
            assert ours(value).value == theirs(value).value


def test_a_structure_lies_as_theirs_does() -> None:
    names = [name for name in SIMPLE if name.startswith("c_u")]

    class Ours(foreign.Structure):
        _fields_ = [(name, getattr(foreign, name)) for name in names]

    class Theirs(ctypes.Structure):
        _fields_ = [(name, getattr(ctypes, name)) for name in names]

    assert [getattr(Ours, name).offset for name in names] == [
        getattr(Theirs, name).offset for name in names
    ]
    assert bytes(Ours(*range(1, 5))) == bytes(Theirs(*range(1, 5)))


@pytest.mark.parametrize("kind", [foreign.CDLL, foreign.PyDLL])
def test_a_function_gives_a_number_and_errno(kind: type[foreign.CDLL]) -> None:
    library = kind(None, use_errno=True)
    assert library.getpid() == os.getpid()
    assert library.close(-1) == -1
    assert foreign.get_errno() == errno.EBADF == ctypes.get_errno()
    library.strtoull.restype = foreign.c_uint64
    library.strtoull.argtypes = [foreign.c_char_p, foreign.c_void_p, foreign.c_int]
    assert library.strtoull(b"18446744073709551615", None, 10) == 2**64 - 1


def test_what_is_not_there() -> None:
    with pytest.raises(OSError, match="no-such-library"):
        foreign.CDLL("no-such-library.so.1")
    with pytest.raises((AttributeError, OSError), match="no_such_function"):
        foreign.CDLL(None).no_such_function  # noqa: B018 - it is looked for now


def test_a_function_at_an_address() -> None:
    library = ctypes.PyDLL(None)
    address = ctypes.cast(library.PyLong_AsLong, ctypes.c_void_p).value
    as_long = foreign.PYFUNCTYPE(foreign.c_long, ctypes.py_object)(address)
    assert as_long(-5) == -5


def test_room_for_bytes() -> None:
    assert foreign.create_string_buffer(3).raw == b"\0\0\0"
    assert foreign.create_string_buffer(b"ab").raw == b"ab\0"
    assert foreign.create_string_buffer(b"ab", 2).raw == b"ab"
    with pytest.raises(ValueError, match="too long"):
        foreign.create_string_buffer(b"abc", 2)


def test_it_needs_no_other() -> None:
    script = "from dockyard.base.linux import door; import sys; print('ctypes' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
