"""Turns the flags of ``run`` and ``create`` into a container's configuration."""

from __future__ import annotations

import argparse
import os
import re

from dockyard.base.errors import Invalid
from dockyard.cli.common import Parser, size
from dockyard.node.engine.config import ContainerConfig, MountSpec, PortSpec, Resources

EXAMPLES = """  dockyard run --rm -it alpine sh
  dockyard run -d --name web -p 8080:80 nginx
  dockyard run --rm --rootfs ./tree -m 64m sh -c 'free -m'
"""
PORT = re.compile(
    r"(?:(?:(?P<ip>[0-9.]+|\[[0-9a-fA-F:]+\]):)?(?P<host>\d*(?:-\d+)?):)?"
    r"(?P<guest>\d+(?:-\d+)?)(?:/(?P<protocol>tcp|udp))?"
)


def parser(verb: str) -> Parser:
    """The flags, with Docker's names."""
    found = Parser(
        verb,
        "[OPTIONS] IMAGE [COMMAND] [ARG...]",
        "Create and start a container." if verb == "run" else "Create a container.",
        EXAMPLES,
    )
    add = found.add_argument
    if verb == "run":
        add("-d", "--detach", action="store_true", help="run in the background, print the ID")
        add("--rm", action="store_true", help="remove the container when it ends")
    add("-i", "--interactive", action="store_true", help="keep standard input open")
    add("-t", "--tty", action="store_true", help="give it a terminal")
    add("--name", default="", help="its name")
    add("--rootfs", default="", metavar="DIR|TAR", help="root from a directory or tar, no image")
    add("-e", "--env", action="append", default=[], metavar="NAME=VALUE", help="a variable")
    add("--env-file", action="append", default=[], metavar="FILE", help="variables from a file")
    add("-w", "--workdir", default="", help="working directory")
    add("-u", "--user", default="", metavar="USER[:GROUP]", help="who it runs as")
    add("-h", "--hostname", default="", help="its host name")
    add("--entrypoint", default=None, help="instead of the image's entrypoint")
    add(
        "-v",
        "--volume",
        action="append",
        default=[],
        metavar="SOURCE:TARGET[:ro]",
        help="mount a directory or a named volume",
    )
    add("--tmpfs", action="append", default=[], metavar="PATH[:OPTIONS]", help="mount a tmpfs")
    add("--read-only", action="store_true", help="make the root read-only")
    add(
        "-p",
        "--publish",
        action="append",
        default=[],
        metavar="[[IP:]HOST:]PORT[/udp]",
        help="publish a port",
    )
    add(
        "--network",
        "--net",
        default="bridge",
        metavar="NAME|none|host|container:ID",
        help="the network (default bridge)",
    )
    add("--add-host", action="append", default=[], metavar="NAME:IP", help="a line of /etc/hosts")
    add("--dns", action="append", default=[], metavar="IP", help="a name server")
    add("-l", "--label", action="append", default=[], metavar="KEY=VALUE", help="a label")
    add("-m", "--memory", default="", metavar="BYTES", help="memory limit: 64m, 1g")
    add("--memory-swap", default="", metavar="BYTES", help="memory and swap together")
    add("--cpus", type=float, default=0.0, metavar="N", help="how many processors, at most")
    add("-c", "--cpu-shares", type=int, default=0, help="weight among containers")
    add("--cpuset-cpus", default="", metavar="0-1", help="which processors")
    add("--pids-limit", type=int, default=0, help="how many processes, at most")
    add("--privileged", action="store_true", help="every right; no confinement")
    add("--cap-add", action="append", default=[], metavar="CAP", help="add a capability")
    add("--cap-drop", action="append", default=[], metavar="CAP", help="drop a capability")
    add(
        "--security-opt",
        action="append",
        default=[],
        metavar="OPTION",
        help="seccomp=unconfined, no-new-privileges",
    )
    add("--sysctl", action="append", default=[], metavar="NAME=VALUE", help="a kernel setting")
    add("--oom-score-adj", type=int, default=None, help="who is killed first (-1000 to 1000)")
    add("--stop-signal", default="", metavar="SIGNAL", help="the signal of `stop`")
    add("--stop-timeout", type=int, default=10, metavar="SECONDS", help="its grace")
    add("--pull", choices=("always", "missing", "never"), default="missing", help="the image")
    add("words", nargs=argparse.REMAINDER, metavar="IMAGE [COMMAND] [ARG...]")
    return found  # fmt: skip


def config(options: argparse.Namespace, verb: str) -> ContainerConfig:
    """The configuration that the flags describe."""
    words = options.words
    if not options.rootfs:
        if not words:
            raise Invalid(f'"{verb}" requires at least 1 argument: an image, or --rootfs')
        image, words = words[0], words[1:]
    else:
        image = ""
    detach = getattr(options, "detach", True)
    return ContainerConfig(
        image=image,
        rootfs=options.rootfs,
        entrypoint=None if options.entrypoint is None else _entrypoint(options.entrypoint),
        command=tuple(words),
        env=(*_env_files(options.env_file), *map(_variable, options.env)),
        workdir=_absolute(options.workdir),
        user=options.user,
        hostname=options.hostname,
        terminal=options.tty,
        open_stdin=options.interactive,
        stdin_once=options.interactive and not detach,
        auto_remove=getattr(options, "rm", False),
        labels=tuple(_pair(label) for label in options.label),
        mounts=(*map(_volume, options.volume), *map(_tmpfs, options.tmpfs)),
        network=options.network,
        ports=tuple(port for text in options.publish for port in _ports(text)),
        extra_hosts=tuple(options.add_host),
        dns=tuple(options.dns),
        resources=Resources(
            memory=size(options.memory) if options.memory else 0,
            memory_swap=size(options.memory_swap) if options.memory_swap else 0,
            nano_cpus=int(options.cpus * 1_000_000_000),
            cpu_shares=options.cpu_shares,
            cpuset=options.cpuset_cpus,
            pids=options.pids_limit,
        ),
        read_only=options.read_only,
        privileged=options.privileged,
        cap_add=tuple(options.cap_add),
        cap_drop=tuple(options.cap_drop),
        security_opt=tuple(options.security_opt),
        sysctls=tuple(_pair(text) for text in options.sysctl),
        oom_score_adj=options.oom_score_adj,
        stop_signal=options.stop_signal,
        stop_timeout=options.stop_timeout,
    )


def _entrypoint(text: str) -> tuple[str, ...]:
    return (text,) if text else ()


def _absolute(path: str) -> str:
    if path and not path.startswith("/"):
        raise Invalid(f"the working directory '{path}' is invalid, it needs to be an absolute path")
    return path


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _variable(text: str) -> str:
    """``NAME`` alone takes the value of this process; without one it is left out."""
    if "=" in text:
        return text
    return f"{text}={os.environ[text]}" if text in os.environ else text


def _env_files(paths: list[str]) -> list[str]:
    found = []
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                lines = [line.strip("\r\n") for line in file]
        except OSError as error:
            raise Invalid(f"open {path}: {error.strerror}") from error
        found += [_variable(line) for line in lines if line.strip() and line[0] != "#"]
    return found


def _volume(text: str) -> MountSpec:
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise Invalid(f"invalid volume specification: '{text}'")
    if len(parts) == 1:
        return MountSpec("volume", "", parts[0])
    source, target = parts[:2]
    modes = parts[2].split(",") if len(parts) == 3 else []
    if unknown := set(modes) - {"ro", "rw", "z", "Z"}:
        raise Invalid(f"invalid mode: {','.join(sorted(unknown))}")
    is_path = source.startswith(("/", ".", "~"))
    path = os.path.abspath(os.path.expanduser(source)) if is_path else source
    return MountSpec("bind" if is_path else "volume", path, target, "ro" in modes)


def _tmpfs(text: str) -> MountSpec:
    path, _, options = text.partition(":")
    return MountSpec("tmpfs", "", path, options=tuple(filter(None, options.split(","))))


def _ports(text: str) -> list[PortSpec]:
    match = PORT.fullmatch(text)
    if not match:
        raise Invalid(f"invalid containerPort: {text}")
    guest, host = _range(match["guest"], text), _range(match["host"] or "", text)
    if host and len(host) != len(guest):
        raise Invalid(f"invalid ranges specified for container and host ports: {text}")
    address, protocol = match["ip"] or "0.0.0.0", match["protocol"] or "tcp"  # noqa: S104
    return [
        PortSpec(port, protocol, address, host[index] if host else 0)
        for index, port in enumerate(guest)
    ]


def _range(text: str, whole: str) -> list[int]:
    if not text:
        return []
    first, _, last = text.partition("-")
    numbers = range(int(first), int(last or first) + 1)
    if not numbers or numbers[0] < 1 or numbers[-1] > 65535:
        raise Invalid(f"invalid port: {whole}: ports are between 1 and 65535")
    return list(numbers)
