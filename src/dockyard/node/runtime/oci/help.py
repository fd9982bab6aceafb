"""Turns verbs and flags into help texts, in the form that runc's have. Loaded when asked for."""

from __future__ import annotations

import importlib

from dockyard.node.runtime.oci.flags import HELP, Flag
from dockyard.node.runtime.oci.verb import PROGRAM, Verb

ABOUT = f"""{PROGRAM} makes Linux containers from bundles, as the specification of the Open
Container Initiative has them: a bundle is a folder with a config.json, which says what to
isolate and to limit, and with a root filesystem.

It takes runc's verbs and flags. The container's first process is a child of this program until
that ends, so that podman, containerd and other shims find it as their own.

To start a container from the bundle in the current folder:

    # {PROGRAM} run NAME"""


def of_verb(name: str, verb: Verb) -> str:
    """``VERB --help``."""
    parts = [f"NAME:\n   {PROGRAM} {name} - {verb.summary}"]
    words = [PROGRAM, name, *(["[command options]"] if verb.flags else []), verb.usage]
    parts.append("USAGE:\n   " + " ".join(words).rstrip())
    if verb.text:
        parts.append(verb.text)
    if verb.description:
        parts.append(f"DESCRIPTION:\n   {verb.description}")
    if verb.flags:
        parts.append("OPTIONS:\n" + _table(verb.flags))
    return "\n\n".join(parts) + "\n"


def of_program(table: dict[str, str], flags: tuple[Flag, ...], version: str) -> str:
    """``--help``."""
    rows = [(name, _summary(path)) for name, path in table.items()]
    rows.append(("help, h", "Shows a list of commands or help for one command"))
    widest = max(len(name) for name, _ in rows)
    commands = "\n".join(f"   {name.ljust(widest)}  {summary}" for name, summary in rows)
    parts = (
        f"NAME:\n   {PROGRAM} - Open Container Initiative runtime\n\n{ABOUT}",
        f"USAGE:\n   {PROGRAM} [global options] command [command options] [arguments...]",
        f"VERSION:\n   {version}",
        f"COMMANDS:\n{commands}",
        f"GLOBAL OPTIONS:\n{_table((*flags, HELP))}\n   --version, -v  print the version",
    )
    return "\n\n".join(parts) + "\n"


def _summary(module: str) -> str:
    verb: Verb = importlib.import_module(module).VERB
    return verb.summary


def _table(flags: tuple[Flag, ...]) -> str:
    rows = [(_names(flag), flag) for flag in flags]
    widest = max(len(names) for names, _ in rows)
    return "\n".join(
        f"   {names.ljust(widest)}  {flag.help}"
        + (f" (default: {flag.shown})" if flag.shown else "")
        for names, flag in rows
    )


def _names(flag: Flag) -> str:
    value = "" if flag.kind == "switch" else " value"
    return ", ".join(f"{'--' if len(name) > 1 else '-'}{name}{value}" for name in flag.names)
