"""Turns the words of ``dockyard build`` into what the builder is asked for."""

from __future__ import annotations

import csv
import ipaddress
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.errors import Invalid, NotFound
from dockyard.cli import common

if TYPE_CHECKING:
    import argparse

    from dockyard.node.build.stage import Options, Secret

_LARGEST_SECRET = 500 << 10
"""BuildKit's limit."""
_EXAMPLES = """\
  dockyard build -t shop/api:1 --build-arg VERSION=1 examples/shop/api
  dockyard build --target test --progress plain .
  dockyard build --secret id=token,env=TOKEN --ssh default .
  dockyard build --platform linux/amd64,linux/arm64 -o type=oci,dest=app.tar .
  dockyard build --check .
  dockyard build -t app - < context.tar
  dockyard build -t app https://git.example/app.git#main:service"""


class Output(NamedTuple):
    """One ``--output``."""

    kind: str
    """``image``, ``oci``, ``docker``, ``tar`` or ``local``."""
    dest: str = ""
    push: bool = False
    names: tuple[str, ...] = ()


def parser() -> common.Parser:
    found = common.Parser(
        "build",
        "[OPTIONS] PATH | URL | -",
        "Build an image from a Dockerfile. docs/build.md says what each instruction does.",
        _EXAMPLES,
    )
    add = found.add_argument
    add("context", metavar="PATH | URL | -", help="folder, git repository, tar's URL, or stdin")
    found.many("--add-host", metavar="HOST:IP", help="a name in the steps' /etc/hosts")
    found.many("--allow", metavar="ENTITLEMENT", help="network.host, security.insecure")
    found.many("--build-arg", metavar="NAME[=VALUE]", help="a value for ARG")
    found.many("--build-context", metavar="NAME=PATH", help="a further context, image or stage")
    found.many("--cache-from", metavar="WHERE", help="type=local,src=DIR; type=registry,ref=NAME")
    found.many("--cache-to", metavar="WHERE", help="type=local,dest=DIR; type=registry,ref=NAME")
    found.flag("--check", help="report what is questionable in the Dockerfile, and build nothing")
    add("-f", "--file", metavar="FILE", help="default: PATH/Dockerfile; - for standard input")
    add("--iidfile", metavar="FILE", help="write the image's ID there")
    found.many("--label", metavar="NAME=VALUE", help="a label of the image")
    found.flag("--load", help="as --output type=image; the default")
    add("--metadata-file", metavar="FILE", help="write what was built there, as JSON")
    add("--network", choices=("default", "none", "host"), default="default", help="of RUN")
    found.flag("--no-cache", help="run every step")
    found.many("--no-cache-filter", metavar="STAGE", help="run every step of these stages")
    found.many("-o", "--output", metavar="OUTPUT",
               help="DIR, -, or type=image|oci|docker|tar|local,dest=...")  # fmt: skip
    found.many("--platform", metavar="OS/ARCH", help="several, separated by commas: one index")
    add("--progress", choices=("auto", "plain", "tty", "quiet"), help="how the build is shown",
        default=os.environ.get("BUILDKIT_PROGRESS", "auto"))  # fmt: skip
    found.flag("--pull", help="fetch the bases even if they are here")
    found.flag("--push", help="as --output type=image,push=true")
    found.flag("-q", "--quiet", help="print only the image's ID")
    found.many("--secret", metavar="id=ID", help="id=ID,src=FILE or id=ID,env=NAME, for RUN")
    add("--shm-size", metavar="SIZE", default="64m", help="of /dev/shm in RUN")
    found.many("--ssh", metavar="default", help="an agent for RUN: ID or ID=SOCKET")
    found.many("-t", "--tag", metavar="NAME", help="a name for the image")
    add("--target", metavar="STAGE", default="", help="the stage to build")
    for name in ("--rm", "--force-rm"):
        add(name, action="store_true", help="nothing is ever left; accepted as docker does")
    found.refuse(
        ("--annotation", "--attest", "--builder", "--call", "--cgroup-parent", "--provenance",
         "--sbom", "--ulimit", "--memory", "-m", "--cpu-shares", "--isolation", "--squash"),
        nargs=1,
    )  # fmt: skip
    return found


def options(words: argparse.Namespace, cache_folder: str) -> Options:
    from dockyard.node.build import stage

    allow = set(words.allow)
    unknown = allow - set(stage.ENTITLEMENTS)
    if unknown:
        known = ", ".join(stage.ENTITLEMENTS)
        raise Invalid(f"build: --allow {sorted(unknown)[0]!r}: {known} are known")
    if words.network == "host":
        allow.add(stage.HOST_NETWORK)
    uncached = {name.lower() for text in words.no_cache_filter for name in text.split(",")}
    return stage.Options(
        build_args=build_args(words.build_arg),
        no_cache=words.no_cache,
        pull=words.pull,
        network=words.network,
        allow=frozenset(allow),
        secrets=dict(_secret(text) for text in words.secret),
        ssh=dict(_agent(text) for text in words.ssh),
        hosts=tuple(_host(text) for text in words.add_host),
        uncached=frozenset(uncached),
        shm_bytes=common.size(words.shm_size),
        cache_folder=cache_folder,
    )


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
    return found


def fields(text: str, flag: str) -> dict[str, str]:
    """``key=value,key=value``, quoted as CSV is."""
    try:
        (row,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as error:
        raise Invalid(f"build: {flag} {text!r}: key=value,... is expected") from error
    found: dict[str, str] = {}
    for item in row:
        key, equals, value = item.partition("=")
        found[key.strip().lower()] = value if equals else "true"
    return found


def outputs(words: argparse.Namespace) -> list[Output]:
    found = [output(text) for text in words.output]
    if words.load or words.push or not found:
        found.append(Output("image", push=words.push))
    return found


def output(text: str) -> Output:
    if "=" not in text:
        return Output("tar" if text == "-" else "local", text)
    told = fields(text, "--output")
    kind = told.get("type", "")
    if kind == "registry":
        kind, told["push"] = "image", "true"
    if kind not in ("image", "oci", "docker", "tar", "local"):
        raise Invalid(f"build: --output {text!r}: type: image, oci, docker, tar or local")
    dest = told.get("dest", "")
    if kind == "local" and not dest:
        raise Invalid(f"build: --output {text!r}: dest is required for local")
    if kind in ("oci", "tar") and not dest:
        dest = "-"
    if dest == "-" and sys.stdout.isatty():
        raise Invalid(f"build: --output {text!r}: dest is required: it would go to the terminal")
    names = tuple(name for name in told.get("name", "").split(",") if name)
    return Output(kind, dest, told.get("push") == "true", names)


def labels(words: list[str]) -> tuple[tuple[str, str], ...]:
    found = []
    for word in words:
        name, _, value = word.partition("=")
        if not name:
            raise Invalid(f"build: --label {word!r}: NAME=VALUE is expected")
        found.append((name, value))
    return tuple(found)


def _secret(text: str) -> tuple[str, Secret]:
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
        variable = name if name in os.environ else ""
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


def _agent(text: str) -> tuple[str, str]:
    name, _, path = text.partition("=")
    path = path or os.environ.get("SSH_AUTH_SOCK", "")
    if not path:
        raise NotFound(f"build: --ssh {name}: SSH_AUTH_SOCK is not set; start an ssh-agent")
    import stat

    try:
        is_socket = stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError as error:
        raise NotFound(f"build: --ssh {name}: {path}: {error.strerror}") from error
    if not is_socket:
        raise Invalid(f"build: --ssh {name}={path}: a key file: not implemented; add it to an "
                      "agent with ssh-add and name the agent's socket")  # fmt: skip
    return name, path


def _host(text: str) -> tuple[str, str]:
    """``HOST:IP`` or ``HOST=IP``."""
    cut = min((at for at in (text.find("="), text.find(":")) if at > 0), default=0)
    name, address = text[:cut], text[cut + 1 :].strip("[]")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise Invalid(f"build: --add-host {text!r}: HOST:IP is expected") from None
    if not name or any(each.isspace() for each in name):
        raise Invalid(f"build: --add-host {text!r}: HOST:IP is expected")
    return name, address
