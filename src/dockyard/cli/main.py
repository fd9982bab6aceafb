"""Turns the first word of a command line into the module that knows the verb, and runs that only.

A verb module has ``run(argv: list[str]) -> int``: what follows the verb comes in, the exit code
goes out. It raises :class:`DockyardError` for what a person can act on; it is printed here.
"""

from __future__ import annotations

import gc
import io
import os
import sys

from dockyard.base.errors import DockyardError
from dockyard.base.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


# verb: (module in dockyard.cli, what it does, needs root)
VERBS: dict[str, tuple[str, str, bool]] = {
    "run": ("ahead", "Create and start a container", True),
    "create": ("run", "Create a container", True),
    "ps": ("ps", "List containers", True),
    "logs": ("logs", "Show what a container has printed", True),
    "exec": ("exec", "Run a command in a running container", True),
    "attach": ("attach", "Connect the terminal to a running container", True),
    "start": ("start", "Start stopped containers", True),
    "stop": ("lifecycle", "Stop running containers", True),
    "kill": ("lifecycle", "Send a signal to running containers", True),
    "wait": ("lifecycle", "Wait until containers end, then print their exit codes", True),
    "rm": ("lifecycle", "Remove containers", True),
    "restart": ("lifecycle", "Stop containers and start them", True),
    "pause": ("lifecycle", "Freeze all processes of containers", True),
    "unpause": ("lifecycle", "Let frozen containers go on", True),
    "rename": ("rename", "Rename a container", True),
    "update": ("update", "Change limits and restart policies", True),
    "top": ("top", "Show the processes of a container", True),
    "stats": ("stats", "Show what containers use, as they run", True),
    "port": ("port", "Show where a container's ports are published", True),
    "diff": ("diff", "Show what a container has changed of its root", True),
    "cp": ("cp", "Copy files between a container and this machine", True),
    "export": ("export", "Write a container's root as a tar stream", True),
    "commit": ("commit", "Make an image of what a container has changed", True),
    "events": ("events", "Show what happens to containers", True),
    "container": ("container", "The verbs above, and prune", True),
    "inspect": ("inspect", "Show all that is known of containers, images, volumes", True),
    "namespaces": ("namespaces", "Show who lives in which namespace", True),
    "chroot": ("chroot", "Run a command in a directory: the oldest wall alone", True),
    "volume": ("volume", "List, create, remove volumes", True),
    "network": ("network", "List, create, remove networks", True),
    "build": ("build", "Build an image from a Dockerfile", True),
    "images": ("images", "List images", True),
    "pull": ("pull", "Fetch an image from a registry", True),
    "push": ("push", "Send an image to a registry", True),
    "history": ("imageverb", "Show how an image came to be", True),
    "tag": ("imageverb", "Give an image one more name", True),
    "save": ("imageverb", "Write images as a tar that docker, podman and skopeo read", True),
    "load": ("imageverb", "Load images that docker save, or podman save, wrote", True),
    "import": ("imageverb", "Make an image of the tar of a root file system", True),
    "system": ("system", "Disk space, and what runs with the machine", True),
    "login": ("login", "Log in to a registry", False),
    "logout": ("logout", "Forget a registry's password", False),
    "rmi": ("rmi", "Remove images", True),
    "image": ("image", "Import, load, save, list, tag, bootstrap images", True),
    "registry": ("registry", "Serve a registry of images", False),
    "up": ("up", "Start a cluster on this machine", True),
    "down": ("down", "Stop the cluster; --purge removes its data", True),
    "status": ("status", "Show how the cluster is", True),
    "kubeconfig": ("kubeconfig", "Print the administrator's kubeconfig", True),
    "server": ("server", "Run an API server with controllers, in the foreground", False),
    "apply": ("apply", "Create or change what manifests describe", False),
    "get": ("get", "List objects of the cluster", False),
    "completion": ("completion", "Print a completion script for bash, zsh or fish", False),
}
GROUPS = (
    ("Containers", ("run", "create", "ps", "logs", "exec", "attach", "start", "stop", "restart",
                    "kill", "wait", "rm", "pause", "unpause", "rename", "update", "top", "stats",
                    "port", "diff", "cp", "export", "commit", "events", "inspect", "container",
                    "volume", "network", "namespaces", "chroot")),
    ("Images", ("build", "images", "pull", "push", "login", "logout", "rmi", "tag", "save",
                "load", "import", "history", "image", "registry", "system")),
    ("Cluster", ("up", "down", "status", "kubeconfig", "server", "apply", "get")),
    ("Other", ("completion",)),
)  # fmt: skip
WITHOUT_ROOT = {
    "run", "create", "ps", "logs", "exec", "attach", "start", "stop", "kill", "wait", "rm",
    "restart", "rename", "top", "port", "diff", "cp", "export", "events", "container", "inspect",
    "volume", "namespaces", "images", "image", "pull", "push", "rmi",
    "history", "tag", "save", "load", "import", "system", "pause", "unpause", "update", "stats",
}  # fmt: skip
"""What an ordinary user may do too, in a data root of their own."""
YOUNG = 50_000
"""Objects between two collections: a command makes fewer, and each collection visits them all."""
SEVERAL = ("lifecycle", "ahead", "run", "imageverb")
"""Modules of several verbs: their ``argv[0]`` is the verb."""
PACKED = ("run", "exec", "ps", "logs", "stop", "rm")
"""Verbs that somebody waits for, and often."""
EXIT_USAGE, EXIT_UNKNOWN, EXIT_INTERRUPTED = 125, 1, 130


def program() -> NoReturn:
    """The ``dockyard`` program."""
    from dockyard.base.leave import leave  # before the verb: after a chroot nothing is found

    verb = next((word for word in sys.argv[1:] if word in PACKED), "")
    if not verb:
        leave(main())
    from dockyard.cli import packed

    if verb != "run":  # which forks first
        packed.begin(VERBS[verb][0])
    code = main()
    packed.end()
    leave(code)


def main() -> int:
    """What the program does, but for its end: the exit code."""
    words = sys.argv[1:]
    gc.set_threshold(YOUNG)
    _open_standard()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the locale lacks ends no listing
            stream.reconfigure(errors="replace")
    try:
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except DockyardError as error:
        print(f"dockyard: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except (BrokenPipeError, ConnectionResetError):  # the reader of our output has left: head(1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except OSError as error:  # no space left, a file that may not be read
        where = f": {error.filename}" if error.filename else ""
        print(f"dockyard: {error.strerror or error}{where}", file=sys.stderr)
        return 1


def _open_standard() -> None:
    """Where the caller has closed a standard descriptor, the next file that is opened would take
    its place, and a container's output would go into a database."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            mode = "r" if descriptor == 0 else "w"
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - for as long as we run


def _dispatch(words: list[str]) -> int:
    while words and words[0].startswith("-"):
        option, _, value = words.pop(0).partition("=")
        if option == "--data-dir":
            value = value or (words.pop(0) if words else "")
            if not value:
                return _refuse("--data-dir: needs a directory")
            os.environ["DOCKYARD_ROOT"] = value
        elif option == "--storage-driver":
            value = value or (words.pop(0) if words else "")
            if not value:
                return _refuse("--storage-driver: needs a name: overlay2, fuse-overlayfs, native")
            os.environ["DOCKYARD_STORAGE_DRIVER"] = value
        elif option in ("-v", "--version"):
            print(f"Dockyard version {VERSION}")
            return 0
        elif option in ("-h", "--help"):
            print(usage())
            return 0
        else:
            return _refuse(f"unknown option {option}; see `dockyard --help`")
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"] if len(words) > 1 else []
    if not words:
        print(usage())
        return 0
    verb, rest = words[0], words[1:]
    if verb not in VERBS:
        _refuse(f"'{verb}' is not a command.{_suggestion(verb)}")
        return EXIT_UNKNOWN
    name, _, needs_root = VERBS[verb]
    asks_help = "--help" in rest
    ordinary = verb in WITHOUT_ROOT
    if needs_root and not ordinary and os.geteuid() != 0 and not asks_help:
        return _refuse(
            f"{verb}: needs root to make namespaces and mounts; run `sudo dockyard {verb} ...`"
        )
    try:
        module = __import__(f"dockyard.cli.{name}", fromlist=["run"])
    except ModuleNotFoundError as error:
        if error.name != f"dockyard.cli.{name}":
            raise
        return _refuse(f"{verb}: not implemented in version {VERSION}")
    return int(module.run(words if name in SEVERAL else rest))


def _refuse(message: str) -> int:
    print(f"dockyard: {message}", file=sys.stderr)
    return EXIT_USAGE


def _suggestion(verb: str) -> str:
    import difflib

    close = difflib.get_close_matches(verb, VERBS, n=1)
    return f" Did you mean '{close[0]}'?" if close else " See `dockyard --help`."


def usage() -> str:
    """The program's help."""
    lines = [
        "usage: dockyard [OPTIONS] COMMAND ...",
        "",
        "Containers and Kubernetes in one Python package.",
    ]
    for title, verbs in GROUPS:
        lines += ["", f"{title}:", *(f"  {verb:<11} {VERBS[verb][1]}" for verb in verbs)]
    lines += [
        "",
        "Examples:",
        "  dockyard run --rm -it alpine sh     # a shell in a container",
        "  dockyard up                         # a Kubernetes cluster, in seconds",
        "",
        "Options:",
        "  --data-dir DIR   where everything is kept (DOCKYARD_ROOT; /var/lib/dockyard)",
        "  --storage-driver NAME",
        "                   overlay2, fuse-overlayfs or native (DOCKYARD_STORAGE_DRIVER); else the",
        "                   best that works where everything is kept",
        "  --version        the version",
        "",
        "`dockyard COMMAND --help` says more about a command.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    program()
