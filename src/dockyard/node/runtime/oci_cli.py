"""Turns runc's command line into containers: `dockyard-oci`, for podman, containerd and people."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from dockyard.base.aio.now import stamp, wall
from dockyard.base.errors import DockyardError, Invalid, NotFound, Unsupported
from dockyard.node.runtime.oci import container, state

WIDTH = 100
DEFAULT_ROOT = "/run/dockyard-oci"
LATER = ("checkpoint", "events", "features", "pause", "ps", "restore", "resume", "spec", "update")


def _options(arguments: argparse.Namespace) -> container.Options:
    return container.Options(arguments.console_socket, arguments.pid_file)


def create(arguments: argparse.Namespace) -> int:
    made = (arguments.root, arguments.id, arguments.bundle, _options(arguments))
    container.create(*made)
    return 0


def start(arguments: argparse.Namespace) -> int:
    container.start(arguments.root, state.load(arguments.root, arguments.id))
    return 0


def run(arguments: argparse.Namespace) -> int:
    made = container.create(arguments.root, arguments.id, arguments.bundle, _options(arguments))
    try:
        container.start(arguments.root, made)
    except BaseException:
        container.delete(arguments.root, made, force=True)
        raise
    if arguments.detach:
        return 0
    code = _wait(made.pid)
    if not arguments.keep:
        container.delete(arguments.root, made, force=True)
    return code


def show(arguments: argparse.Namespace) -> int:
    found = state.load(arguments.root, arguments.id)
    _print_json(state.describe(arguments.root, found))
    return 0


def kill(arguments: argparse.Namespace) -> int:
    found = state.load(arguments.root, arguments.id)
    container.kill(arguments.root, found, signal_number(arguments.signal), everyone=arguments.all)
    return 0


def delete(arguments: argparse.Namespace) -> int:
    try:
        found = state.load(arguments.root, arguments.id)
    except NotFound:
        if not arguments.force:
            raise
        return 0
    container.delete(arguments.root, found, force=arguments.force)
    return 0


def execute(arguments: argparse.Namespace) -> int:
    found = state.load(arguments.root, arguments.id)
    process = _process(arguments, found.spec.get("process") or {})
    pid = container.execute(arguments.root, found, process, _options(arguments))
    return 0 if arguments.detach else _wait(pid)


def _process(arguments: argparse.Namespace, base: dict[str, Any]) -> dict[str, Any]:
    """The container's process with what the flags change, or the file's."""
    if arguments.process:
        with open(arguments.process) as file:
            found = json.load(file)
        if not isinstance(found, dict):
            raise Invalid(f"{arguments.process}: not an OCI process object")
        return found
    if not arguments.args:
        raise Invalid("exec: no command; name one, or a file with --process")
    process = {**base, "args": arguments.args, "terminal": arguments.tty}
    process["env"] = [*(base.get("env") or []), *arguments.env]
    if arguments.cwd:
        process["cwd"] = arguments.cwd
    if arguments.user:
        uid, _, gid = arguments.user.partition(":")
        if not uid.isdecimal() or (gid and not gid.isdecimal()):
            raise Invalid(f"--user: {arguments.user!r}: numbers like 1000:1000")
        process["user"] = {"uid": int(uid), "gid": int(gid or 0)}
    return process


def show_all(arguments: argparse.Namespace) -> int:
    found = [state.describe(arguments.root, one) for one in state.every(arguments.root)]
    if arguments.quiet:
        print("\n".join(row["id"] for row in found))
    elif arguments.format == "json":
        _print_json(found)
    else:
        columns = ("id", "pid", "status", "bundle", "created", "owner")
        for row in [{name: name.upper() for name in columns}, *found]:
            print("  ".join(str(row[name]).ljust(12) for name in columns).rstrip())
    return 0


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def signal_number(text: str) -> int:
    """``9``, ``KILL`` or ``SIGKILL``."""
    if text.isdecimal() and 0 < int(text) < signal.NSIG:
        return int(text)
    name = text.upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    if name not in signal.Signals.__members__:
        raise Invalid(f"signal: {text!r}: unknown")
    return int(signal.Signals[name])


def _wait(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


class _Parser(argparse.ArgumentParser):
    """argparse asks ``shutil``, which loads every compressor, for the width at each option, and
    ``gettext`` for a catalogue at each word of its own."""

    def _get_formatter(self) -> argparse.HelpFormatter:
        return argparse.HelpFormatter(self.prog, width=WIDTH)


setattr(argparse, "_", str)  # noqa: B010 - it has no such name for a type checker


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("dockyard-oci", description="An OCI runtime.")
    parser.add_argument("--root", default=DEFAULT_ROOT)
    parser.add_argument("--log", default="")
    parser.add_argument("--log-format", choices=("text", "json"), default="text")
    parser.add_argument("--debug", action="store_true")
    parser.add_argument("--systemd-cgroup", action="store_true")
    parser.add_argument("--version", "-v", action="version", version="dockyard-oci\nspec: 1.2.0")
    verbs = parser.add_subparsers(dest="verb", required=True)

    def verb(name: str, act: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        added = verbs.add_parser(name)
        added.set_defaults(act=act)
        return added

    for name, act in (("create", create), ("run", run)):
        made = verb(name, act)
        made.add_argument("--bundle", "-b", default=".")
        made.add_argument("--console-socket", default="")
        made.add_argument("--pid-file", default="")
        if act is run:
            made.add_argument("--detach", "-d", action="store_true")
            made.add_argument("--keep", action="store_true")
        made.add_argument("id")
    verb("start", start).add_argument("id")
    verb("state", show).add_argument("id")
    killing = verb("kill", kill)
    killing.add_argument("--all", "-a", action="store_true")
    killing.add_argument("id")
    killing.add_argument("signal", nargs="?", default="SIGTERM")
    deleting = verb("delete", delete)
    deleting.add_argument("--force", "-f", action="store_true")
    deleting.add_argument("id")
    executing = verb("exec", execute)
    for flags in (("--cwd",), ("--user", "-u"), ("--process", "-p"), ("--pid-file",),
                  ("--console-socket",)):  # fmt: skip
        executing.add_argument(*flags, default="")
    executing.add_argument("--env", "-e", action="append", default=[])
    executing.add_argument("--tty", "-t", action="store_true")
    executing.add_argument("--detach", "-d", action="store_true")
    executing.add_argument("id")
    executing.add_argument("args", nargs=argparse.REMAINDER)
    listing = verb("list", show_all)
    listing.add_argument("--format", "-f", choices=("table", "json"), default="table")
    listing.add_argument("--quiet", "-q", action="store_true")
    for name in LATER:
        verb(name, _not_implemented).add_argument("rest", nargs=argparse.REMAINDER)
    return parser


def _not_implemented(arguments: argparse.Namespace) -> int:
    raise Unsupported(f"dockyard-oci {arguments.verb}: not implemented")


def _report(arguments: argparse.Namespace, text: str) -> None:
    """To standard error, and to the log that shims read."""
    print(f"dockyard-oci: {text}", file=sys.stderr)
    if arguments.log:
        line = json.dumps({"level": "error", "msg": text, "time": stamp(wall())})
        if arguments.log_format == "text":
            line = f'time="{stamp(wall())}" level=error msg={json.dumps(text)}'
        with open(arguments.log, "a") as file:
            file.write(line + "\n")


def main() -> int:
    """The command line; its exit code is the container's for `run` and `exec`, else 0 or 1."""
    arguments = _parser().parse_args()
    try:
        if arguments.systemd_cgroup:
            raise Unsupported("--systemd-cgroup: not implemented; the cgroupfs driver is")
        code: int = arguments.act(arguments)
    except (DockyardError, OSError) as error:
        _report(arguments, str(error))
        return error.exit_code if isinstance(error, DockyardError) else 1
    return code
