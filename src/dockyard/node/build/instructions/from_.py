"""``FROM``: turns a base image into the start of a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.oci.defaultspec import PATH
from dockyard.base.oci.imageconfig import ImageConfig
from dockyard.node.build.expand import expand
from dockyard.node.build.stage import Stage
from dockyard.node.build.words import split

if TYPE_CHECKING:
    from dockyard.node.build.source import Line

SCRATCH = "scratch"


class From(NamedTuple):
    line: Line
    image: str
    name: str
    platform: str | None
    keyword: str
    """``AS`` as it was written."""

    def apply(self, stage: Stage) -> None:
        word = expand(self.image, stage.outer, self.line)
        if not word:
            reason = f"base name ({self.image}) should not be blank"
            raise self.line.invalid(reason)
        platform = stage.config.platform
        if word == SCRATCH:
            stage.config = ImageConfig(platform, env=(PATH,))
            return
        base = stage.tools.origins.base(word, stage, self.line)
        stage.config = base.config._replace(onbuild=(), step_keys=())
        stage.layers = base.layers
        stage.triggers = base.config.onbuild
        if isinstance(base, Stage):  # its ARGs go on (reference, "ARG", "Scope")
            stage.args = dict(base.args)


def parse(line: Line) -> From:
    options = line.options("platform")
    words = split(line)
    if len(words) == 3 and words[1].upper() == "AS":
        return From(line, words[0], words[2], options.get("platform"), words[1])
    if len(words) != 1:
        raise line.invalid("requires either one or three arguments: IMAGE, or IMAGE AS NAME")
    return From(line, words[0], "", options.get("platform"), "")
