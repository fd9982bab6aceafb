"""Turns the first word of a command line into the module that knows the verb, and runs that only.

A verb module has ``run(argv: list[str]) -> int``: what follows the verb comes in, the exit code
goes out. It raises :class:`DockyardError` for what a person can act on; it is printed here.
"""

from __future__ import annotations

import os
import sys

from dockyard.base.errors import DockyardError
from dockyard.base.version import VERSION

# verb: (module in dockyard.cli, what it does, needs root)
VERBS: dict[str, tuple[str, str, bool]] = {
    "run": ("run", "Create and start a container", True),
    "create": ("run", "Create a container", True),
    "ps": ("ps", "List containers", True),
    "logs": ("logs", "Show what a container has printed", True),
    "exec": ("exec", "Run a command in a running container", True),
    "attach": ("attach", "Connect the terminal to a running container", True),
    "start": ("lifecycle", "Start stopped containers", True),
    "stop": ("lifecycle", "Stop running containers", True),
    "kill": ("lifecycle", "Send a signal to running containers", True),
    "wait": ("lifecycle", "Wait until containers end, then print their exit codes", True),
    "rm": ("lifecycle", "Remove containers", True),
    "inspect": ("inspect", "Show all that is known of containers or images", True),
    "build": ("build", "Build an image from a Dockerfile", True),
    "images": ("images", "List images", True),
    "pull": ("pull", "Fetch an image from a registry", True),
    "push": ("push", "Send an image to a registry", True),
    "rmi": ("rmi", "Remove images", True),
    "image": ("image", "Import, load, save, list, tag, bootstrap images", True),
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
    ("Containers", ("run", "create", "ps", "logs", "exec", "attach", "start", "stop", "kill",
                    "wait", "rm", "inspect")),
    ("Images", ("build", "images", "pull", "push", "rmi", "image")),
    ("Cluster", ("up", "down", "status", "kubeconfig", "server", "apply", "get")),
    ("Other", ("completion",)),
)  # fmt: skip
EXIT_USAGE, EXIT_INTERRUPTED = 125, 130


def main() -> int:
    """The ``dockyard`` program."""
    words = sys.argv[1:]
    try:
        return _dispatch(words)
    except DockyardError as error:
        print(f"dockyard: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output has left: head(1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1


def _dispatch(words: list[str]) -> int:
    while words and words[0].startswith("-"):
        option, _, value = words.pop(0).partition("=")
        if option == "--data-dir":
            os.environ["DOCKYARD_ROOT"] = value or (words.pop(0) if words else "")
        elif option in ("-v", "--version"):
            print(f"Dockyard version {VERSION}")
            return 0
        elif option in ("-h", "--help"):
            print(usage())
            return 0
        else:
            print(f"dockyard: unknown option {option}; see `dockyard --help`", file=sys.stderr)
            return EXIT_USAGE
    if not words or words[0] == "help":
        print(usage())
        return 0
    verb, rest = words[0], words[1:]
    if verb not in VERBS:
        print(f"dockyard: '{verb}' is not a command.{_suggestion(verb)}", file=sys.stderr)
        return EXIT_USAGE
    name, _, needs_root = VERBS[verb]
    asks_help = any(word in ("-h", "--help") for word in rest)
    if needs_root and os.geteuid() != 0 and not asks_help:
        print(
            f"dockyard: {verb}: needs root to make namespaces and mounts; "
            f"run `sudo dockyard {verb} ...`",
            file=sys.stderr,
        )
        return EXIT_USAGE
    module = __import__(f"dockyard.cli.{name}", fromlist=["run"])
    return int(module.run(words if name in ("lifecycle", "run") else rest))


def _suggestion(verb: str) -> str:
    import difflib

    close = difflib.get_close_matches(verb, VERBS, n=1)
    return f" Did you mean '{close[0]}'?" if close else " See `dockyard --help`."


def usage() -> str:
    """The program's help."""
    lines = [
        "Usage: dockyard [--data-dir DIR] COMMAND ...",
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
        "  --version        the version",
        "",
        "`dockyard COMMAND --help` says more about a command.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
