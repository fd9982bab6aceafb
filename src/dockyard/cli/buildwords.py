"""Turns single words of ``dockyard build`` (a secret, an output, a host) into checked values."""

from __future__ import annotations

import csv
import ipaddress
import os
import re
import stat
import sys
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.errors import Invalid, NotFound

if TYPE_CHECKING:
    from dockyard.node.build.stage import Secret

GATEWAY = "host-gateway"
_LARGEST_SECRET = 500 << 10
"""BuildKit's limit."""
_KINDS = ("image", "oci", "docker", "tar", "local")


class Output(NamedTuple):
    """One ``--output``."""

    kind: str
    """``image``, ``oci``, ``docker``, ``tar`` or ``local``."""
    dest: str = ""
    push: bool = False
    names: tuple[str, ...] = ()
    is_tar: bool = True
    """Of oci and docker: an archive, not a directory."""
    annotations: tuple[str, ...] = ()
    """As ``--annotation`` has them: ``TYPE:NAME=VALUE``."""

    @property
    def stays(self) -> bool:
        """Whether the store has it under the names: what is written to a file alone has none."""
        return self.kind == "image" or (self.kind == "docker" and not self.dest)


class Agent(NamedTuple):
    """One ``--ssh``: an agent's socket, or keys for one."""

    id: str
    socket: str
    keys: tuple[str, ...] = ()


def fields(text: str, flag: str) -> dict[str, str]:
    """``key=value,key=value``, quoted as CSV is."""
    found: dict[str, str] = {}
    for item in row(text, flag):
        key, equals, value = item.partition("=")
        found[key.strip().lower()] = value if equals else "true"
    return found


def row(text: str, flag: str) -> list[str]:
    """The parts between commas; those in quotes may have some."""
    try:
        (found,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as error:
        raise Invalid(f"build: {flag} {text!r}: key=value,... is expected") from error
    return found


def switch(text: str, flag: str) -> bool:
    from dockyard.node.build.ownargs import truth

    found = truth(text)
    if found is None:
        raise Invalid(f"build: {flag}: {text[:40]!r}: true or false is expected")
    return found


def output(text: str) -> Output:
    if "=" not in text:
        return Output("tar" if text == "-" else "local", text)
    told = fields(text, "--output")
    kind = told.pop("type", "")
    if kind == "registry":
        kind, told["push"] = "image", "true"
    if kind not in _KINDS:
        raise Invalid(f"build: --output {text!r}: type: {', '.join(_KINDS)} or registry")
    dest = told.pop("dest", "")
    if kind == "local" and not dest:
        raise Invalid(f"build: --output {text!r}: dest is required for local")
    is_tar = switch(told.pop("tar", "true"), "--output tar")
    if not is_tar and (kind not in ("oci", "docker") or dest in ("", "-")):
        raise Invalid(f"build: --output {text!r}: tar=false is for oci and docker, with a dest")
    if kind in ("oci", "tar") and not dest:
        dest = "-"
    if dest == "-" and sys.stdout.isatty():
        raise Invalid(f"build: --output {text!r}: dest is required: it would go to the terminal")
    names = tuple(name for name in told.pop("name", "").split(",") if name)
    push = switch(told.pop("push", "false"), "--output push")
    found = tuple(
        f"{_level(key)}{value}" for key, value in told.items() if key.startswith("annotation")
    )
    told = {key: value for key, value in told.items() if not key.startswith("annotation")}
    if told:
        raise Invalid(f"build: --output {text!r}: {sorted(told)[0]}: not implemented; type, dest, "
                      "name, push, tar and annotation.NAME are")  # fmt: skip
    return Output(kind, dest, push, names, is_tar, found)


def _level(key: str) -> str:
    """``annotation-index.NAME`` as ``index:NAME=``."""
    match = re.fullmatch(r"annotation(?:-([a-z-]+))?(\[[^]]+\])?\.(.+)", key)
    if match is None:
        raise Invalid(f"build: --output: {key[:80]!r}: annotation[-TYPE].NAME=VALUE is expected")
    return f"{match[1] or 'manifest'}{match[2] or ''}:{match[3]}="


def labels(words: list[str]) -> tuple[tuple[str, str], ...]:
    found = []
    for word in words:
        name, _, value = word.partition("=")
        if not name:
            raise Invalid(f"build: --label {word!r}: NAME=VALUE is expected")
        found.append((name, value))
    return tuple(found)


def build_args(words: list[str]) -> dict[str, str]:
    """``NAME=value``, or ``NAME`` for what the environment has; unset ones are left out."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            raise Invalid(f"build: --build-arg {word!r}: NAME=VALUE is expected")
        if equals:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return found if epoch is None else {"SOURCE_DATE_EPOCH": epoch, **found}


def secret(text: str) -> tuple[str, Secret]:
    from dockyard.node.build.stage import Secret

    told = fields(text, "--secret")
    name = told.get("id", "")
    source = told.get("src", told.get("source", ""))
    kind = told.get("type", "file" if source else "env" if "env" in told else "")
    if not name or kind not in ("", "file", "env"):
        raise Invalid(f"build: --secret {name or text.partition('=')[0]!r}: id=ID,src=FILE or "
                      "id=ID,env=NAME is expected")  # fmt: skip
    variable = told.get("env") or (source if kind == "env" else "")
    if not source and not variable:
        variable = name if kind != "file" and name in os.environ else ""
        source = "" if variable else name
    if variable:
        if variable not in os.environ:
            raise NotFound(f"build: --secret id={name}: {variable} is not in the environment")
        return name, Secret(os.fsencode(os.environ[variable]))
    try:
        with open(source, "rb") as file:
            value = file.read(_LARGEST_SECRET + 1)
    except OSError as error:
        raise NotFound(f"build: --secret id={name}: {source}: {error.strerror}") from error
    if len(value) > _LARGEST_SECRET:
        raise Invalid(f"build: --secret id={name}: {source}: more than {_LARGEST_SECRET} bytes")
    return name, Secret(value)


def agent(text: str) -> Agent:
    """``ID``, ``ID=SOCKET`` or ``ID=KEY[,KEY]``."""
    name, _, places = text.partition("=")
    paths = [path for path in places.split(",") if path] or [os.environ.get("SSH_AUTH_SOCK", "")]
    if not paths[0]:
        raise NotFound(f"build: --ssh {name}: SSH_AUTH_SOCK is not set; start an ssh-agent, or "
                       f"name keys: --ssh {name}=KEY")  # fmt: skip
    sockets = [path for path in paths if _is_socket(name, path)]
    if not sockets:
        return Agent(name, "", tuple(paths))
    if len(paths) > 1:
        raise Invalid(f"build: --ssh {text}: one socket, or keys only, are expected")
    return Agent(name, paths[0])


def _is_socket(name: str, path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError as error:
        raise NotFound(f"build: --ssh {name}: {path}: {error.strerror}") from error


def host(text: str) -> tuple[str, str]:
    """``HOST:IP`` or ``HOST=IP``; ``host-gateway`` stands for this machine's address."""
    cut = min((at for at in (text.find("="), text.find(":")) if at > 0), default=0)
    name, address = text[:cut], text[cut + 1 :].strip("[]")
    if not name or any(each.isspace() for each in name):
        raise Invalid(f"build: --add-host {text!r}: HOST:IP is expected")
    if address == GATEWAY:
        return name, GATEWAY
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise Invalid(f"build: --add-host {text!r}: HOST:IP is expected") from None
    return name, address
