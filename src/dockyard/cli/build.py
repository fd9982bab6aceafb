"""``dockyard build``: turns a folder with a Dockerfile into an image, or into files."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.aio import now
from dockyard.base.errors import Invalid
from dockyard.base.linux import syscalls
from dockyard.base.oci.instance import data_root
from dockyard.base.oci.platform import host_platform, parse_platform
from dockyard.base.oci.reference import parse_reference
from dockyard.cli import buildflags, buildwords, common

if TYPE_CHECKING:
    import argparse

    from dockyard.base.oci.imageconfig import ImageConfig
    from dockyard.base.oci.platform import Platform
    from dockyard.cli.buildwords import Output
    from dockyard.node.build.bundle import Wanted
    from dockyard.node.build.checks.variables import Known
    from dockyard.node.build.contexts import Contexts, Main
    from dockyard.node.build.stage import Options
    from dockyard.node.image.store import ImageStore

_MS_PRIVATE_RECURSIVE = (1 << 18) | (1 << 14)


class Dockerfile(NamedTuple):
    data: bytes
    shown: str
    inside: str
    """Its path in the context, where it lies there."""


class Asked(NamedTuple):
    """Everything that the words of one call ask for."""

    words: argparse.Namespace
    outputs: tuple[Output, ...]
    names: tuple[str, ...]
    platforms: tuple[Platform, ...]
    options: Options
    wanted: Wanted
    cache_from: tuple[dict[str, str], ...]
    cache_to: tuple[dict[str, str], ...]
    root: str

    @property
    def quiet(self) -> bool:
        return self.words.quiet or self.words.progress in ("quiet", "none")


def run(argv: list[str]) -> int:
    from dockyard.node.build.checks.check import check, refuse
    from dockyard.node.build.checks.warning import brief
    from dockyard.node.build.contexts import Contexts
    from dockyard.node.build.plan import make_plan
    from dockyard.node.image.store import ImageStore

    words = buildflags.parser().parse_args(argv)
    for name in words.tag:
        parse_reference(name)
    if words.file == "-" and words.context == "-":
        raise Invalid("build: -f - and the context -: standard input can be one of them")
    call = buildflags.call(words)
    root = str(data_root())
    store = ImageStore(root)
    own_mounts()
    with store.adding(), contextlib.ExitStack() as stack:
        asked = _asked(words, root, _agents(words, store, stack))
        wishes = asked.options.wishes
        agent = asked.options.ssh.get("default", "")
        contexts = stack.enter_context(Contexts(store, agent, keeps_git=wishes.keeps_git))
        main = contexts.main(words.context, sys.stdin.buffer)
        dockerfile = _dockerfile(words.file, main)
        contexts.open_main(main, dockerfile.inside)
        for word in words.build_context:
            name, _, where = word.partition("=")
            contexts.add(name, where)
        plan = make_plan(dockerfile.data, dockerfile.shown, any_syntax=wishes.any_syntax)
        platform = (*asked.platforms, host_platform())[0]
        known = _known(store, contexts, asked.options, platform)
        if call.name != "build":
            from dockyard.cli import buildcalls

            return buildcalls.run(call, plan, words.target, known, platform)
        plan.target(words.target)
        found = check(plan, known, words.target, whole=False)
        refuse(plan, known, found)
        code = _build(asked, store, contexts, main, dockerfile)
    if found and not asked.quiet:
        print(f"\n{brief(found)}", file=sys.stderr)
    return code


def own_mounts() -> None:
    """What a build mounts is its own: nobody else sees it, and it ends with the build's last
    process, however that ends."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(None, "/", None, _MS_PRIVATE_RECURSIVE)


def _asked(words: argparse.Namespace, root: str, ssh: dict[str, str]) -> Asked:
    """Whatever is wrong with the words is told before anything is fetched or built."""
    from dockyard.node.build import annotate, remotecache
    from dockyard.node.build.bundle import Wanted

    given = buildwords.build_args(words.build_arg)
    options = buildflags.options(words, os.path.join(root, "build-cache"), ssh, given)
    outputs = tuple(buildflags.outputs(words))
    more = (name for each in outputs if each.kind == "image" for name in each.names)
    names = tuple(dict.fromkeys((*words.tag, *more)))
    if any(each.push for each in outputs) and not names:
        raise Invalid("build: a push needs a name: -t REGISTRY/NAME:TAG")
    cache_from = tuple(_cache(text, "--cache-from") for text in words.cache_from)
    cache_to = tuple(_cache(text, "--cache-to") for text in words.cache_to)
    for told in cache_to:
        remotecache.check_target(told)
    wanted = Wanted(
        annotate.parse(words.annotation),
        buildflags.attestations(words, options.wishes.attestations),
        options.wishes.is_index,
    )
    for each in outputs:
        annotate.parse(each.annotations)
    return Asked(words, outputs, names, _platforms(words), options, wanted, cache_from, cache_to,
                 root)  # fmt: skip


def _cache(text: str, flag: str) -> dict[str, str]:
    return buildwords.fields(text, flag) if "=" in text else {"type": "registry", "ref": text}


def _agents(
    words: argparse.Namespace, store: ImageStore, stack: contextlib.ExitStack
) -> dict[str, str]:
    """Each ``--ssh`` by its identifier: the socket of the agent that it names, or of one that has
    its keys."""
    found = {}
    for agent in [buildwords.agent(text) for text in words.ssh]:
        socket = agent.socket
        if agent.keys:
            from dockyard.node.build import keyagent

            folder = os.path.join(stack.enter_context(store.workspace()), "agent")
            os.mkdir(folder, 0o700)
            socket = stack.enter_context(keyagent.holding(agent.keys, folder))
        found[agent.id] = socket
    return found


def _build(
    asked: Asked, store: ImageStore, contexts: Contexts, main: Main, dockerfile: Dockerfile
) -> int:
    from dockyard.cli import buildexport, buildprogress
    from dockyard.node.build import remotecache
    from dockyard.node.build.builder import Request, build
    from dockyard.node.build.guard import Guard
    from dockyard.node.build.runner import ContainerRunner
    from dockyard.node.image.progress import Silent
    from dockyard.node.runtime.launcher import LaunchpadLauncher
    from dockyard.node.runtime.local import LocalRuntime

    words = asked.words
    request = Request(
        dockerfile.data,
        dockerfile.shown,
        asked.options,
        words.target,
        asked.platforms,
        asked.names if any(each.stays for each in asked.outputs) else (),
        buildwords.labels(words.label),
        any(told["type"] == remotecache.INLINE for told in asked.cache_to),
    )
    began = now.wall()
    launcher = LaunchpadLauncher(os.path.join(asked.root, "cache"))
    runtime = LocalRuntime(launcher)
    runner = ContainerRunner(runtime, asked.root)
    with Guard(runtime, asked.root, runner.prefix, asked.options.limits):
        display = buildprogress.display_for("quiet" if asked.quiet else words.progress)
        failed = True
        try:
            imported = tuple(
                remotecache.source(told, store, display.note) for told in asked.cache_from
            )
            result = build(store, runner, request, contexts, display, Silent(), imported)
            kept = {layer.chain_id for layers in result.layers for layer in layers}
            for told in asked.cache_to:
                remotecache.export(told, store, result.keys, kept, display.note)
            record = buildexport.record(asked, result, contexts, main, dockerfile, began)
            top = buildexport.export(asked, result, record, store, display)
            failed = False
        finally:
            launcher.close()
            display.close(failed=failed)
    buildexport.tell(asked, result, top)
    if asked.quiet:
        print(result.image.id)
    return 0


def _platforms(words: argparse.Namespace) -> tuple[Platform, ...]:
    return tuple(
        host_platform() if text == "local" else parse_platform(text)
        for each in words.platform or [common.usual_platform()]
        for text in each.split(",")
        if text
    )


def _dockerfile(word: str | None, main: Main) -> Dockerfile:
    from dockyard.node.build.builder import read_dockerfile
    from dockyard.node.build.parse import LARGEST

    if word == "-":
        return Dockerfile(sys.stdin.buffer.read(LARGEST + 1), "Dockerfile", "")
    if main.dockerfile is not None:
        return Dockerfile(main.dockerfile, "Dockerfile", "")
    top = os.path.realpath(main.directory)
    path = os.path.join(main.directory, "Dockerfile") if word is None else word
    if word is not None and not os.path.exists(path) and not os.path.isabs(word):
        path = os.path.join(main.directory, word)  # of a context that was fetched
    real = os.path.realpath(path)
    inside = os.path.relpath(real, top) if real.startswith(top + os.sep) else ""
    if main.temporary and not inside:
        raise Invalid(f"build: {word or 'Dockerfile'}: lies outside the build context")
    shown = "Dockerfile" if word is None else word
    return Dockerfile(read_dockerfile(real), shown, inside)


def _known(store: ImageStore, contexts: Contexts, options: Options, platform: Platform) -> Known:
    from dockyard.base.errors import NotFound
    from dockyard.node.build.checks.variables import Known

    def base(word: str) -> ImageConfig | None:
        try:
            return store.resolve(word).config
        except (NotFound, Invalid):
            return None

    context = contexts("")
    assert isinstance(context, tuple)
    return Known(options.build_args, platform, context.files.ignore, base)
