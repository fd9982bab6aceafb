"""`exec`: starts a further process in a container."""

from __future__ import annotations

from dockyard.base import jsontext
from dockyard.base.errors import Invalid
from dockyard.node.runtime.oci import container, foreground, state
from dockyard.node.runtime.oci.flags import Flag, Values
from dockyard.node.runtime.oci.report import Report
from dockyard.node.runtime.oci.verb import (
    CONSOLE,
    DETACH,
    ID,
    PID_FILE,
    PIDFD_SOCKET,
    PRESERVE,
    PROGRAM,
    Globals,
    Verb,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

GRANTED = ("bounding", "effective", "permitted")


def act(found: Globals, values: Values, arguments: list[str]) -> int:
    """Start it, and wait for its end unless it is detached."""
    made = state.load(found.root, arguments[0])
    now = state.status(found.root, made)
    container.check_executable(made, now, paused_too=values["ignore-paused"])
    if values["process"]:
        process = read_process(values["process"])
    else:
        process = changed(made.spec.get("process") or {}, values, arguments[1:])
    chosen = container.Options(
        console_socket=values["console-socket"],
        pid_file=values["pid-file"],
        pidfd_socket=values["pidfd-socket"] or "",
        preserved=values["preserve-fds"],
        cgroup=tuple(values["cgroup"]),
        warn=Report(found).warning,
    )
    if values["detach"]:
        container.execute(found.root, made, process, chosen)
        return 0
    with foreground.Foreground(subreaper=not values["no-subreaper"]) as front:
        return front.wait(container.execute(found.root, made, process, chosen, front))


def read_process(path: str) -> dict[str, Any]:
    """A file with a ``process`` of the specification."""
    try:
        with open(path) as file:
            process = jsontext.loads(file.read())
    except ValueError as error:
        raise Invalid(f"--process: {path}: {error}") from error
    if not isinstance(process, dict):
        raise Invalid(f"--process: {path}: not an OCI process object")
    return process


def changed(base: dict[str, Any], values: Values, words: list[str]) -> dict[str, Any]:
    """The container's own process with what the flags say of this one. Pure."""
    if not words:
        raise Invalid("process args cannot be empty; name a command, or a file with --process")
    user = dict(base.get("user") or {})
    if values["user"]:
        uid, colon, gid = values["user"].partition(":")
        if not uid.isdecimal() or (colon and not gid.isdecimal()):
            raise Invalid(f"--user: {values['user']!r}: not <uid>[:<gid>] in numbers")
        user["uid"] = int(uid)
        if colon:
            user["gid"] = int(gid)
    if values["additional-gids"]:
        user["additionalGids"] = [*(user.get("additionalGids") or []), *values["additional-gids"]]
    process = {**base, "args": words, "terminal": values["tty"], "user": user}
    process["env"] = [*(base.get("env") or []), *values["env"]]
    for name, member in (
        ("cwd", "cwd"), ("apparmor", "apparmorProfile"), ("process-label", "selinuxLabel"),
    ):  # fmt: skip
        if values[name]:
            process[member] = values[name]
    if values["no-new-privs"] is not None:
        process["noNewPrivileges"] = values["no-new-privs"]
    if values["cap"]:
        process["capabilities"] = _granted(base.get("capabilities") or {}, values["cap"])
    return process


def _granted(sets: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Ambient ones need inheritable ones, which a command is not given: only with those."""
    kinds = (*GRANTED, "ambient") if sets.get("inheritable") else GRANTED
    return {**sets, **{kind: [*(sets.get(kind) or []), *names] for kind in kinds}}


VERB = Verb(
    summary="execute new process inside the container",
    usage=f"{ID} <command> [arguments...] || -p process.json {ID}",
    act=act,
    text=f"""Where "{ID}" is the name of a container and "<command>" what is executed in it, or
"process.json" a file with the process as the specification has it.

EXAMPLE:
To list the processes of the container "web":

       # {PROGRAM} exec web ps""",
    flags=(
        CONSOLE,
        Flag(("cwd",), "current working directory in the container"),
        Flag(("env", "e"), "set an environment variable; again and again", "texts"),
        Flag(("tty", "t"), "allocate a pseudo-TTY", "switch", False),
        Flag(("user", "u"), "UID (format: <uid>[:<gid>])"),
        Flag(("additional-gids", "g"), "add a group by its number; again and again", "numbers"),
        Flag(("process", "p"), "path to a process.json"),
        DETACH,
        PID_FILE,
        PIDFD_SOCKET,
        Flag(("process-label",), "SELinux label of the process"),
        Flag(("apparmor",), "AppArmor profile of the process"),
        Flag(("no-new-privs",), "the process cannot gain privileges", "switch", None),
        Flag(("cap", "c"), "add a capability to the process's; again and again", "texts"),
        PRESERVE,
        Flag(("cgroup",), "group below the container's to run it in: [CONTROLLER,...:]PATH",
             "texts"),
        Flag(("ignore-paused",), "start it in a paused container, to run when that is resumed",
             "switch", False),
        Flag(("no-subreaper",), "do not reap processes that the command leaves behind", "switch",
             False),
    ),
    most=None,
    ordered=True,
    failed="exec failed: ",
    code=255,
)  # fmt: skip
