"""Turns the compiled modules that a short command loads into one file, and that into modules.

Python finds a module with a dozen system calls and half as much interpreted code; a command of a
hundred modules waits longer for that than for what it does. A pack is a cache like ``__pycache__``,
beside it and trusted as it is: each module in it counts while its source has the size and the time
that it was made from; what is missing or has changed is found as always, and added at the end.

Asking finders for a module, with its locks, is longer than making it. So what a module imports
first of all is made before it: Python finds that in ``sys.modules`` then, and asks nobody.
"""

from __future__ import annotations

import _frozen_importlib_external as _External
import _thread
import marshal
import os
import sys

from dockyard.base import contexts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType
    from typing import Any

_Spec: Any = type(sys.__spec__)  # importlib.machinery is a module more to load
_Module = type(sys)
_STAMP = (2, sys.hexversion, sys.flags.optimize)
"""The first number is the format's."""
PACKAGE = __name__.partition(".")[0]

Entry = tuple[str, bool, int, int, tuple[str, ...], int, int]
"""Source, whether it is a package, its time and size; what it imports first of all
(:mod:`.packneeds`); where its code begins, counted from the end of the file, and its length."""
Found = tuple[tuple[str, bool, int, int], "bytes | memoryview"]
"""The first four of them, and the code."""


class Pack:
    """A finder and a loader of ``sys.meta_path``. The file is a list of what is in it, and then
    code: only what is asked for is parsed. In ``package`` no two modules import each other first
    of all: ``tests/house`` sees to ours."""

    def __init__(self, path: str, package: str = PACKAGE) -> None:
        self._path, self._package = path, package
        self._before: frozenset[str] = frozenset()
        self._entries: dict[str, Entry] = {}
        self._data = b""
        try:
            with open(path, "rb") as file:  # noqa: PTH123 - a module more to load
                self._data = file.read()
            stamp, size, entries = marshal.loads(self._data)  # noqa: S302 - as trusted as a .pyc
            if stamp == _STAMP and size < len(self._data) and isinstance(entries, dict):
                self._entries = entries
        except (OSError, ValueError, TypeError, EOFError):
            pass  # none yet, or a damaged one: it is written anew

    def install(self) -> None:
        """Ask it before the path is searched."""
        self._before = frozenset(sys.modules)
        sys.meta_path.insert(max(0, len(sys.meta_path) - 1), self)

    def forget(self) -> None:
        """Let go of it: the rest is found as always."""
        self._entries, self._data = {}, b""

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        """importlib.abc.MetaPathFinder."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        source, package, time, size, *_ = entry
        try:
            found = os.stat(source)  # noqa: PTH116
        except OSError:
            return None
        if (found.st_mtime_ns, found.st_size) != (time, size):
            return None
        spec = _Spec(name, self, origin=source, is_package=package)
        spec.has_location = True
        if package:
            spec.submodule_search_locations.append(os.path.dirname(source))  # noqa: PTH120
        return spec

    def create_module(self, spec: object) -> ModuleType | None:
        """importlib.abc.Loader: a module as usual."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """importlib.abc.Loader."""
        self._execute(module.__name__, module.__dict__)

    def _execute(self, name: str, values: dict[str, Any]) -> None:
        for need in self._entries[name][4]:
            # Of what another thread makes only importlib's locks know.
            if need not in sys.modules and not _thread._count():
                self._make(need)
        exec(marshal.loads(self._code(name)), values)  # noqa: S102, S302

    def _make(self, name: str) -> None:
        above, _, last = name.rpartition(".")
        spec = self.find_spec(name) if not above or above in sys.modules else None
        if spec is None:
            return  # it has changed, or what it is in: it is imported as always
        module: Any = _Module(name)
        values = module.__dict__
        values["__spec__"], values["__loader__"] = spec, self
        values["__package__"], values["__file__"] = spec.parent, spec.origin
        if spec.submodule_search_locations is not None:
            values["__path__"] = spec.submodule_search_locations
        sys.modules[name] = module
        try:
            self._execute(name, values)
        except BaseException:
            sys.modules.pop(name, None)
            raise
        if above:
            setattr(sys.modules[above], last, module)

    def get_code(self, name: str) -> CodeType | None:
        """importlib.abc.InspectLoader: a module's code as it is on disk."""
        origin: str = sys.modules[name].__spec__.origin  # type: ignore[union-attr,assignment]
        return _External.SourceFileLoader(name, origin).get_code(name)

    def _code(self, name: str) -> memoryview:
        *_, back, length = self._entries[name]
        begin = len(self._data) - back
        return memoryview(self._data)[begin : begin + length]

    def keep(self) -> None:
        """Add what had to be searched for, where this process may write."""
        if sys.dont_write_bytecode or not os.access(os.path.dirname(self._path), os.W_OK):  # noqa: PTH120
            return  # somebody else's installation: it works as well without
        added = {}
        for name, module in list(sys.modules.items()):
            spec = getattr(module, "__spec__", None)
            loader = getattr(spec, "loader", None)
            if name in self._before or loader is self or not getattr(spec, "cached", None):
                continue
            entry = _entry(name, spec, loader)
            if entry is not None:
                added[name] = entry
        if added:
            self._write({name: (entry[:4], self._code(name))
                         for name, entry in self._entries.items()} | added)  # fmt: skip

    def _write(self, wanted: dict[str, Found]) -> None:
        back = size = sum(len(code) for _, code in wanted.values())
        entries = {}
        for name, (about, code) in wanted.items():
            entries[name] = (*about, self._needs(name, about[0], wanted), back, len(code))
            back -= len(code)
        fresh = f"{self._path}.{os.getpid()}"
        try:
            with open(fresh, "wb") as file:  # noqa: PTH123
                file.write(marshal.dumps((_STAMP, size, entries)))
                file.writelines(code for _, code in wanted.values())
            os.replace(fresh, self._path)  # noqa: PTH105
        except OSError:  # a full disk
            with contexts.suppress(OSError):
                os.unlink(fresh)  # noqa: PTH108

    def _needs(self, name: str, source: str, known: dict[str, Found]) -> tuple[str, ...]:
        if name.partition(".")[0] != self._package:
            return ()
        from dockyard.base.packneeds import needs  # only who writes a pack reads sources

        with contexts.suppress(OSError), open(source, encoding="utf-8") as file:  # noqa: PTH123
            return needs(file.read(), self._package, known)
        return ()


def _entry(name: str, spec: Any, loader: Any) -> Found | None:
    try:
        found = os.stat(spec.origin)  # noqa: PTH116
        code = loader.get_code(name)
    except (OSError, AttributeError, ImportError, TypeError):
        return None
    if not isinstance(code, type(_entry.__code__)):
        return None
    package = spec.submodule_search_locations is not None
    return (spec.origin, package, found.st_mtime_ns, found.st_size), marshal.dumps(code)
