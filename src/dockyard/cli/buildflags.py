"""Turns the words of ``dockyard build`` into what the builder is asked for."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.errors import Invalid
from dockyard.cli import buildwords, common

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from dockyard.node.build.attest import Attestations
    from dockyard.node.build.limits import Limits
    from dockyard.node.build.stage import Options

CALLS = ("build", "check", "outline", "targets", "subrequests.describe")
_LIMITS = ("memory", "memory-swap", "cpu-shares", "cpu-period", "cpu-quota", "cpuset-cpus",
           "cpuset-mems")  # fmt: skip
_CPUS = re.compile(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*")
_CGROUP = re.compile(r"/?[A-Za-z0-9_.:-]+(/[A-Za-z0-9_.:-]+)*/?")
_EXAMPLES = """\
  dockyard build -t shop/api:1 --build-arg VERSION=1 examples/shop/api
  dockyard build --target test --progress plain .
  dockyard build --secret id=token,env=TOKEN --ssh default .
  dockyard build --platform linux/amd64,linux/arm64 -o type=oci,dest=app.tar .
  dockyard build -t registry:5000/app --sbom true --provenance mode=max --push .
  dockyard build --check .
  dockyard build --call outline .
  dockyard build -t app - < context.tar
  dockyard build -t app https://git.example/app.git#main:service"""


class Call(NamedTuple):
    """One ``--call``."""

    name: str
    json: bool
    ignores_status: bool


def parser() -> common.Parser:
    found = common.Parser(
        "build",
        "[OPTIONS] PATH | URL | -",
        "Build an image from a Dockerfile. docs/build.md says what each instruction does.",
        _EXAMPLES,
    )
    add = found.add_argument
    add("context", metavar="PATH | URL | -", help="folder, git repository, tar's URL, or stdin")
    found.many("--add-host", metavar="HOST:IP", help="a name in the steps' /etc/hosts; the IP may "
               "be host-gateway")  # fmt: skip
    found.many("--allow", metavar="ENTITLEMENT", help="network.host, security.insecure")
    found.many("--annotation", metavar="[TYPE:]NAME=VALUE",
               help="of the manifest, index, manifest-descriptor or index-descriptor")  # fmt: skip
    found.many("--attest", metavar="type=KIND", help="type=sbom, type=provenance,mode=max")
    found.many("--build-arg", metavar="NAME[=VALUE]", help="a value for ARG")
    found.many("--build-context", metavar="NAME=PATH", help="a further context, image or stage")
    found.many("--cache-from", metavar="WHERE", help="type=local,src=DIR; type=registry,ref=NAME")
    found.many("--cache-to", metavar="WHERE",
               help="type=local,dest=DIR; type=registry,ref=NAME; type=inline")  # fmt: skip
    add("--call", metavar="METHOD", default="build", help=", ".join(CALLS))
    add("--cgroup-parent", metavar="PATH", default="", help="the control group above the steps'")
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
    add("--progress", choices=("auto", "plain", "tty", "quiet", "none", "rawjson"),
        default=os.environ.get("BUILDKIT_PROGRESS", "auto"),
        help="how the build is shown")  # fmt: skip
    add("--provenance", metavar="MODE", help="as --attest type=provenance: true, mode=min|max")
    found.flag("--pull", help="fetch the bases even if they are here")
    found.flag("--push", help="as --output type=image,push=true")
    found.flag("-q", "--quiet", help="print only the image's ID")
    found.many("--resource", metavar="NAME=VALUE", help=f"of RUN: {', '.join(_LIMITS)}")
    add("--sbom", metavar="BOOL", help="as --attest type=sbom: a list of the image's packages")
    found.many("--secret", metavar="id=ID", help="id=ID,src=FILE or id=ID,env=NAME, for RUN")
    add("--shm-size", metavar="SIZE", default="64m", help="of /dev/shm in RUN")
    found.many("--ssh", metavar="default", help="for RUN: ID, ID=SOCKET or ID=KEY[,KEY]")
    found.many("-t", "--tag", metavar="NAME", help="a name for the image")
    add("--target", metavar="STAGE", default="", help="the stage to build")
    found.many("--ulimit", metavar="NAME=SOFT[:HARD]", help="of RUN: nofile=1024:2048")
    add("-m", "--memory", metavar="SIZE", help="as --resource memory=SIZE")
    add("-c", "--cpu-shares", metavar="N", help="as --resource cpu-shares=N")
    for name in ("memory-swap", "cpu-period", "cpu-quota", "cpuset-cpus", "cpuset-mems"):
        add(f"--{name}", metavar="N", help=f"as --resource {name}=N")
    for name in ("--rm", "--force-rm"):
        add(name, action="store_true", help="nothing is ever left; accepted as docker does")
    found.refuse(("--builder", "--policy", "--isolation", "--security-opt"), nargs=1)
    add("--compress", action="store_true", help="nothing is sent; accepted as docker does")
    add("--disable-content-trust", action="store_true",
        help="policy.json says whose images are taken; accepted as docker does")  # fmt: skip
    found.refuse(("--squash", "--print"), nargs=0)
    return found


def call(words: argparse.Namespace) -> Call:
    """``METHOD[,format=json][,ignorestatus=true]``; ``--check`` is ``--call check``."""
    name, json, ignores = "", False, False
    for part in buildwords.row("check" if words.check else words.call, "--call"):
        key, equals, value = part.partition("=")
        if not equals and not name:
            name = "check" if key == "lint" else key
        elif key == "format" and value in ("", "json", "text"):
            json = value == "json"
        elif key == "ignorestatus":
            ignores = buildwords.switch(value, "--call ignorestatus")
        else:
            raise Invalid(f"build: --call {words.call!r}: METHOD[,format=json] is expected")
    name = name or "build"
    if name not in CALLS:
        raise Invalid(f"build: --call {name!r}: {', '.join(CALLS)} are known")
    return Call(name, json, ignores)


def options(
    words: argparse.Namespace, cache_folder: str, ssh: Mapping[str, str], given: Mapping[str, str]
) -> Options:
    """``ssh``: the agents' sockets. ``given``: the build arguments."""
    from dockyard.node.build import stage
    from dockyard.node.build.ownargs import wishes

    allow = set(words.allow)
    unknown = allow - set(stage.ENTITLEMENTS)
    if unknown:
        known = ", ".join(stage.ENTITLEMENTS)
        raise Invalid(f"build: --allow {sorted(unknown)[0]!r}: {known} are known")
    if words.network == "host":
        allow.add(stage.HOST_NETWORK)
    uncached = {name.lower() for text in words.no_cache_filter for name in text.split(",")}
    return stage.Options(
        build_args=given,
        no_cache=words.no_cache,
        pull=words.pull,
        network=words.network,
        allow=frozenset(allow),
        secrets=dict(buildwords.secret(text) for text in words.secret),
        ssh=ssh,
        hosts=tuple(buildwords.host(text) for text in words.add_host),
        uncached=frozenset(uncached),
        shm_bytes=common.size(words.shm_size),
        cache_folder=cache_folder,
        limits=limits(words),
        wishes=wishes(given),
    )


def limits(words: argparse.Namespace) -> Limits:
    from dockyard.cli import deviceflags, limitflags
    from dockyard.node.build.limits import Limits

    told = {name: getattr(words, name.replace("-", "_")) for name in _LIMITS}
    for text in words.resource:
        name, equals, value = text.partition("=")
        if name not in _LIMITS or not equals:
            raise Invalid(f"build: --resource {text!r}: {', '.join(_LIMITS)} are known")
        told[name] = value
    memory = common.size(told["memory"]) if told["memory"] else 0
    if told["memory"] and memory < limitflags.SMALLEST_MEMORY:
        raise Invalid("Minimum memory limit allowed is 6MB")
    swap = told["memory-swap"] or "0"
    swap_bytes = -1 if swap == "-1" else common.size(swap)
    if memory and 0 < swap_bytes < memory:
        raise Invalid("Minimum memoryswap limit should be larger than memory limit, see usage")
    for name in ("cpuset-cpus", "cpuset-mems"):
        if told[name] and _CPUS.fullmatch(told[name]) is None:
            raise Invalid(f"build: --{name} {told[name][:40]}: numbers like 0-2,4 are expected")
    parent = words.cgroup_parent
    if parent and (_CGROUP.fullmatch(parent) is None or ".." in parent.split("/")):
        raise Invalid(f"build: --cgroup-parent {parent[:80]!r}: a path of a group is expected")
    return Limits(
        ulimits=tuple((each.name, each.soft, each.hard)
                      for each in deviceflags.ulimits(words.ulimit)),
        cgroup_parent=parent.strip("/"),
        memory=memory,
        memory_swap=swap_bytes,
        cpu_shares=_count(told, "cpu-shares"),
        cpu_period=_count(told, "cpu-period"),
        cpu_quota=_count(told, "cpu-quota"),
        cpus=told["cpuset-cpus"] or "",
        mems=told["cpuset-mems"] or "",
    )  # fmt: skip


def _count(told: Mapping[str, str | None], name: str) -> int:
    text = told[name]
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal()) or len(text) > 12:
        raise Invalid(f"build: --{name} {text[:40]!r}: a number is expected")
    return int(text)


def outputs(words: argparse.Namespace) -> list[buildwords.Output]:
    found = [buildwords.output(text) for text in words.output]
    if words.load or words.push or not found:
        found.append(buildwords.Output("image", push=words.push))
    return found


def attestations(words: argparse.Namespace, asked: tuple[tuple[str, str], ...]) -> Attestations:
    """``asked``: what build arguments say (``BUILDKIT_ATTEST_SBOM``)."""
    from dockyard.node.build import attest

    texts = [f"type={kind},{value}".rstrip(",") for kind, value in asked]
    texts += words.attest
    for kind in ("sbom", "provenance"):
        value = getattr(words, kind)
        if value:
            from dockyard.node.build.ownargs import truth

            on = truth(value)
            texts.append(f"type={kind}," + (value if on is None else f"disabled={not on}".lower()))
    return attest.parse([buildwords.fields(text, "--attest") for text in texts])
