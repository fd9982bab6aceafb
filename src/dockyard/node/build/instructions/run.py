"""``RUN``: turns a program's changes to the file tree into a layer."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.errors import Denied, DockyardError
from dockyard.base.oci.defaultspec import PATH
from dockyard.node.build import binfmt
from dockyard.node.build.change import Change
from dockyard.node.build.heredoc import is_alone
from dockyard.node.build.mountflags import Mount, parse_mount
from dockyard.node.build.mounts import Mounts, identities
from dockyard.node.build.stage import HOST_NETWORK, INSECURE, PROXIES, RunRequest
from dockyard.node.build.words import json_list

if TYPE_CHECKING:
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Stage
    from dockyard.node.image.image import Layer

NETWORKS = ("default", "none", "host")
SECURITY = ("sandbox", "insecure")
_SCRIPT_FOLDER = "/dev/pipes"


class StepFailed(DockyardError):
    """A program that RUN started ended with an error."""


class Run(NamedTuple):
    line: Line
    exec_form: tuple[str, ...] | None
    network: str | None
    insecure: bool
    mounts: tuple[str, ...]

    @property
    def wants(self) -> tuple[str, ...]:
        """Words that may name a stage."""
        found = (parse_mount(text, self.line) for text in self.mounts)
        return tuple(mount.origin for mount in found if mount.origin)

    def apply(self, stage: Stage) -> None:
        self._refuse(stage)
        args, script = self._command(stage)
        options = stage.tools.options
        network = self.network or options.network
        stage.tools.facts.used_network |= network != "none"
        mounts = tuple(
            parse_mount(text, self.line, lambda word: stage.expand(word, self.line))
            for text in self.mounts
        )
        proxies = {name: options.build_args[name] for name in PROXIES & {*options.build_args}}
        shown = {name: value for name, value in stage.args.items() if name not in stage.env}
        variables = proxies | shown | stage.env
        key = stage.key(
            "RUN",
            args=args,
            script=script,
            env=sorted(item for item in variables.items() if item[0] not in PROXIES),
            user=stage.config.user,
            cwd=stage.config.working_dir,
            network=network,
            insecure=self.insecure,
            mounts=identities(mounts, stage, self.line),
            hosts=options.hosts,
            hostname=options.wishes.hostname,
            ulimits=options.limits.ulimits,
            shm=options.shm_bytes,
        )
        layer = stage.recall(key)
        if layer is not None:
            stage.was_cached()
        else:
            layer = self._execute(stage, args, script, variables, network, mounts)
            if layer is not None:
                stage.remember(key, layer)
        stage.record("RUN " + " ".join(args), layer)

    def _refuse(self, stage: Stage) -> None:
        """What needs the caller's word, and what this machine can't run."""
        allow = stage.tools.options.allow
        for wanted, name in (
            (self.network == "host", HOST_NETWORK),
            (self.insecure, INSECURE),
        ):
            if wanted and name not in allow:
                line = self.line
                reason = f"RUN: {name} is not allowed; the caller allows it with --allow {name}"
                raise Denied(line.source.show(line.number, line.last, reason))
        platform = stage.config.platform
        if not binfmt.runs(platform):
            raise self.line.unsupported(
                f"a program for {platform} on this machine: no binfmt_misc handler for it"
            )

    def _command(self, stage: Stage) -> tuple[tuple[str, ...], str]:
        """The program, and the script that it is (with ``#!``), if it is one."""
        if self.exec_form is not None:
            return self.exec_form, ""
        documents = self.line.heredocs
        if not documents:
            return (*stage.shell, self.line.rest), ""
        if not is_alone(self.line.rest):
            text = self.line.rest
            text += "".join(f"\n{item.text}{item.name}" for item in documents)
            return (*stage.shell, text), ""
        first = documents[0]
        if first.stripped.startswith("#!"):
            return (f"{_SCRIPT_FOLDER}/{first.name}",), first.stripped
        return (*stage.shell, first.stripped), ""

    def _execute(
        self,
        stage: Stage,
        args: tuple[str, ...],
        script: str,
        variables: dict[str, str],
        network: str,
        mounts: tuple[Mount, ...],
    ) -> Layer | None:
        if "PATH" not in variables:
            variables = {"PATH": PATH.partition("=")[2], **variables}
        tools, line = stage.tools, self.line
        assert stage.vertex is not None
        with Change(stage) as change, contextlib.ExitStack() as stack:
            made = Mounts(stage, line, change, stack)
            for mount in mounts:
                made.add(mount)
            if script:
                made.add_script(args[0], script)
            request = RunRequest(
                args,
                tuple(f"{name}={value}" for name, value in (variables | made.env).items()),
                stage.config.user,
                stage.config.working_dir or "/",
                change.below(),
                change.upper,
                change.workspace,
                network,
                self.insecure,
                tuple(made.binds),
                tools.options.hosts,
                tools.options.shm_bytes,
                change.driver,
                tools.options.wishes.hostname,
                tools.options.limits,
            )
            code = tools.runner.run(request, stage.vertex)
            stack.close()
            if code != 0:
                shown = " ".join(args)[:200]
                reason = f'process "{shown}" did not complete successfully: exit code: {code}'
                raise StepFailed(line.source.show(line.number, line.last, f"RUN: {reason}"))
            return change.commit(always=True)  # that it changed nothing is a result, too


def parse(line: Line) -> Run:
    options = line.options("network", "security", repeated=("mount",))
    network = options.get("network")
    if network is not None and network not in NETWORKS:
        raise line.invalid(f"--network={network}: {', '.join(NETWORKS)} are known")
    security = options.get("security", "sandbox")
    if security not in SECURITY:
        raise line.invalid(f"--security={security}: {', '.join(SECURITY)} are known")
    exec_form = json_list(line)
    if exec_form == ():
        raise line.invalid("an empty list; a program is expected")
    mounts = tuple(line.all("mount"))
    for text in mounts:
        parse_mount(text, line)
    return Run(line, exec_form, network, security == "insecure", mounts)
