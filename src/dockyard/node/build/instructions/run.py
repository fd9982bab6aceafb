"""``RUN``: turns a program's changes to the file tree into a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.errors import DockyardError
from dockyard.base.oci.defaultspec import PATH
from dockyard.node.build.change import Change
from dockyard.node.build.stage import PROXIES, RunRequest
from dockyard.node.build.words import json_list

if TYPE_CHECKING:
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Stage
    from dockyard.node.image.image import Layer

NETWORKS = ("none", "host")


class StepFailed(DockyardError):
    """A program that RUN started ended with an error."""


class Run(NamedTuple):
    line: Line
    exec_form: tuple[str, ...] | None
    network: str | None

    def apply(self, stage: Stage) -> None:
        args = self.exec_form or (*stage.shell, self.line.rest)
        network = self.network or stage.tools.options.network
        shown = {name: value for name, value in stage.args.items() if name not in stage.env}
        variables = shown | stage.env
        key = stage.key(
            "RUN",
            args=args,
            env=sorted(item for item in variables.items() if item[0] not in PROXIES),
            user=stage.config.user,
            cwd=stage.config.working_dir,
            network=network,
        )
        layer = stage.recall(key) or self._execute(stage, args, variables, network, key)
        stage.record("RUN " + " ".join(args), layer)

    def _execute(
        self,
        stage: Stage,
        args: tuple[str, ...],
        variables: dict[str, str],
        network: str,
        key: str,
    ) -> Layer | None:
        if "PATH" not in variables:
            variables = {"PATH": PATH.partition("=")[2], **variables}
        with Change(stage) as change:
            request = RunRequest(
                args,
                tuple(f"{name}={value}" for name, value in variables.items()),
                stage.config.user,
                stage.config.working_dir or "/",
                tuple(change.lower),
                change.upper,
                change.workspace,
                network,
            )
            code = stage.tools.runner.run(request)
            if code != 0:
                line = self.line
                reason = f"RUN: {' '.join(args)[:200]}: exit status {code}"
                raise StepFailed(line.source.show(line.number, line.last, reason))
            layer = change.commit(always=True)  # that it changed nothing is a result, too
        if layer is not None:
            stage.tools.store.remember(key, layer)
        return layer


def parse(line: Line) -> Run:
    network = line.options("network").get("network")
    if network is not None and network not in NETWORKS:
        raise line.unsupported(f"--network={network}; none and host are")
    exec_form = json_list(line)
    if exec_form == ():
        raise line.invalid("an empty list; a program is expected")
    return Run(line, exec_form, network)
