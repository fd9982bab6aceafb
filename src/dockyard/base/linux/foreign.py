"""Turns C's types and functions into Python's, as ``ctypes`` does: what of it every command needs.

The half of ``ctypes`` that is written in Python makes thirty types and two libraries when it is
loaded, 0.7 ms of each process; here are the few that are asked for, made of the half written in C.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ctypes import (
        CDLL,
        PYFUNCTYPE,
        Array,
        PyDLL,
        Structure,
        addressof,
        byref,
        c_char_p,
        c_int,
        c_long,
        c_size_t,
        c_uint,
        c_uint32,
        c_uint64,
        c_ushort,
        c_void_p,
        create_string_buffer,
        get_errno,
        sizeof,
    )
    from typing import Any
else:
    from _ctypes import (
        FUNCFLAG_CDECL,
        FUNCFLAG_PYTHONAPI,
        FUNCFLAG_USE_ERRNO,
        Array,
        CFuncPtr,
        Structure,
        _SimpleCData,
        addressof,
        byref,
        dlopen,
        dlsym,
        get_errno,
        sizeof,
    )

    def _simple(name: str, code: str) -> type:
        return type(_SimpleCData)(name, (_SimpleCData,), {"_type_": code})

    _char, c_char_p, c_void_p = (
        _simple("c_char", "c"),
        _simple("c_char_p", "z"),
        _simple("c_void_p", "P"),
    )
    c_int, c_uint, c_ushort = (
        _simple("c_int", "i"),
        _simple("c_uint", "I"),
        _simple("c_ushort", "H"),
    )
    c_long, c_size_t = _simple("c_long", "l"), _simple("c_size_t", "L")
    c_uint32, c_uint64 = c_uint, _simple("c_uint64", "Q")

    class _Function(CFuncPtr):
        """Others may run meanwhile."""

        _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO
        _restype_ = c_int

    class _Held(CFuncPtr):
        """With the interpreter's lock."""

        _flags_ = FUNCFLAG_CDECL | FUNCFLAG_PYTHONAPI | FUNCFLAG_USE_ERRNO
        _restype_ = c_int

    class CDLL:
        """``ctypes.CDLL(name, use_errno=True)``: functions that give a number."""

        _kind = _Function

        def __init__(self, name: str | None, *, use_errno: bool = True) -> None:
            self._handle = dlopen(name, 0)

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            found = self._kind(dlsym(self._handle, name))
            setattr(self, name, found)
            return found

    class PyDLL(CDLL):
        """The same, with the interpreter's lock."""

        _kind = _Held

    def PYFUNCTYPE(result: type, *arguments: type) -> type:
        """The type of a function at an address, called with the interpreter's lock."""
        members = {"_flags_": FUNCFLAG_CDECL | FUNCFLAG_PYTHONAPI, "_restype_": result,
                   "_argtypes_": arguments}  # fmt: skip
        return type(CFuncPtr)("CFunctionType", (CFuncPtr,), members)

    def create_string_buffer(init: int | bytes, size: int | None = None) -> Any:
        """Room for so many bytes, which may begin with some."""
        if isinstance(init, int):
            return (_char * init)()
        found = (_char * (len(init) + 1 if size is None else size))()
        found.value = init
        return found


__all__ = [
    "CDLL", "PYFUNCTYPE", "Array", "PyDLL", "Structure", "addressof", "byref", "c_char_p", "c_int",
    "c_long", "c_size_t", "c_uint", "c_uint32", "c_uint64", "c_ushort", "c_void_p",
    "create_string_buffer", "get_errno", "sizeof",
]  # fmt: skip
