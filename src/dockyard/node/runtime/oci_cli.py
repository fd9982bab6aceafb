"""Turns runc's command line into containers: `dockyard-oci`, for podman, containerd and people."""

from __future__ import annotations

import os
import sys

from dockyard.base.errors import DockyardError, Invalid
from dockyard.node.runtime.oci.flags import Flag, Usage, Values, parse
from dockyard.node.runtime.oci.report import Report
from dockyard.node.runtime.oci.verb import PROGRAM, SPEC_VERSION, Globals, Verb

_ROOM = "dockyard.node.runtime.oci.verbs"
VERBS = {
    name: f"{_ROOM}.{name}"
    for name in (
        "checkpoint", "create", "delete", "events", "exec", "kill", "list", "pause", "ps",
        "restore", "resume", "run", "spec", "start", "state", "update", "features",
    )
}  # fmt: skip
UNKNOWN_VERB = 3


def _default_root() -> str:
    """Of root, below /run; an ordinary user's own runtime folder where there is one."""
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    return f"{own if own and os.geteuid() else '/run'}/{PROGRAM}"


def _flags() -> tuple[Flag, ...]:
    root = _default_root()
    return (
        Flag(("debug",), "enable debug logging", "switch", False),
        Flag(("log",), "file to write the log to (default is standard error)"),
        Flag(("log-format",), "text or json", "text", "text", '"text"'),
        Flag(("root",), "folder of the containers' state (best in tmpfs)", "text", root,
             f'"{root}"'),
        Flag(("criu",), "not supported: there is no checkpoint and no restore"),
        Flag(("systemd-cgroup",), "let systemd make the control groups (v2)", "switch",
             False),
        Flag(("rootless",), "'true', 'false' or 'auto'; it is found out", "text", "auto", '"auto"'),
        Flag(("version", "v"), "print the version", "switch", False),
    )  # fmt: skip


def main() -> int:
    """The command line; its exit code is the container's for `run` and `exec`, else 0 or 1."""
    found = Globals(_default_root(), "", "text", False, False, "auto")
    code, before = 1, ""
    try:
        words = sys.argv[1:]
        values, rest = _parsed(words, _flags(), None, ordered=True)
        found = Globals(
            os.path.abspath(values["root"]), values["log"], values["log-format"], values["debug"],
            values["systemd-cgroup"], values["rootless"],
        )  # fmt: skip
        if values["version"]:
            print(version())
            return 0
        if values["log-format"] not in ("text", "json"):
            form, found = values["log-format"], found._replace(log_format="text")
            raise Invalid(f"invalid log-format: {form}; text or json")
        if found.rootless not in ("true", "false", "auto"):
            raise Invalid(f"--rootless: {found.rootless!r}; true, false or auto")
        if values["help"] or not rest or rest[0] in ("help", "h"):
            return _help(rest[1:] if not values["help"] else [])
        name = rest[0]
        if name not in VERBS:
            code = UNKNOWN_VERB
            raise Invalid(f"No help topic for '{name}'")
        verb = _verb(name)
        values, arguments = _parsed(rest[1:], verb.flags, (name, verb), ordered=verb.ordered)
        if values["help"]:
            return _help([name])
        _check_count(name, verb, arguments)
        code, before = verb.code, verb.failed
        Report(found).debug(f"{name}: {' '.join(arguments)}")
        return verb.act(found, values, arguments)
    except (DockyardError, OSError) as error:
        Report(found).error(f"{before}{_said(error)}")
        return code


def _said(error: DockyardError | OSError) -> str:
    """With the file that it is about, and without the error's number."""
    if isinstance(error, DockyardError):
        return str(error)
    what = f"{os.fsdecode(error.filename)}: " if error.filename else ""
    return f"{what}{error.strerror or error}".replace(
        os.strerror(error.errno or 0), os.strerror(error.errno or 0).lower()
    )


def _verb(name: str) -> Verb:
    __import__(VERBS[name])  # importlib is a module more to load
    verb: Verb = sys.modules[VERBS[name]].VERB
    return verb


def _parsed(
    words: list[str], flags: tuple[Flag, ...], verb: tuple[str, Verb] | None, *, ordered: bool
) -> tuple[Values, list[str]]:
    try:
        return parse(words, flags, ordered=ordered)
    except Usage as error:
        print(f"Incorrect Usage: {error}\n")
        _print_help(verb)
        raise


def _check_count(name: str, verb: Verb, arguments: list[str]) -> None:
    count = len(arguments)
    if count < verb.least or (verb.most is not None and count > verb.most):
        print("Incorrect Usage.\n")
        _print_help((name, verb))
        if verb.most == verb.least:
            need = f"exactly {verb.least}"
        else:
            need = f"a minimum of {verb.least}" if count < verb.least else f"at most {verb.most}"
        raise Usage(f'{PROGRAM}: "{name}" requires {need} argument(s)')


def _help(names: list[str]) -> int:
    if not names:
        _print_help(None)
        return 0
    if names[0] not in VERBS:
        print(f"No help topic for '{names[0]}'", file=sys.stderr)
        return UNKNOWN_VERB
    _print_help((names[0], _verb(names[0])))
    return 0


def _print_help(verb: tuple[str, Verb] | None) -> None:
    from dockyard.node.runtime.oci import help as texts

    if verb:
        print(texts.of_verb(*verb), end="")
    else:
        print(texts.of_program(VERBS, _flags(), version()), end="")


def version() -> str:
    """``--version``."""
    from dockyard.base.version import VERSION

    return f"{PROGRAM} version {VERSION}\nspec: {SPEC_VERSION}"
