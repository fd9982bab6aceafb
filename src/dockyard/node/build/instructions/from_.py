"""``FROM``: turns a base image into the start of a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.errors import Unsupported
from dockyard.base.oci.imageconfig import ImageConfig
from dockyard.base.oci.platform import host_platform, parse_platform
from dockyard.node.build.expand import expand
from dockyard.node.build.words import split
from dockyard.node.image.image import ImageNotFound

if TYPE_CHECKING:
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Stage
    from dockyard.node.image.image import Image

SCRATCH = "scratch"


class From(NamedTuple):
    line: Line
    image: str

    def apply(self, stage: Stage) -> None:
        name = expand(self.image, stage.outer, self.line)
        if not name:
            raise self.line.invalid(f"{self.image!r} is empty; an image's name is expected")
        stage.begun = True
        if name == SCRATCH:
            stage.config = ImageConfig(host_platform())
            return
        image = self._image(stage, name)
        if not host_platform().runs(image.config.platform):
            raise Unsupported(f"FROM: {name}: is for {image.config.platform}, not for this machine")
        if image.config.onbuild:
            raise Unsupported(f"FROM: {name}: has ONBUILD instructions: not implemented")
        stage.config = image.config
        stage.layers = image.layers

    def _image(self, stage: Stage, name: str) -> Image:
        """What is here already; else, or with ``--pull``, what the registry has."""
        store = stage.tools.store
        if not stage.tools.options.pull:
            try:
                return store.resolve(name)
            except ImageNotFound:
                stage.tools.report.note(f"{name} is not here: pulling it")
        return store.pull(name, progress=stage.tools.progress)


def parse(line: Line) -> From:
    options = line.options("platform")
    if "platform" in options and parse_platform(options["platform"]) != host_platform():
        raise line.unsupported(f"--platform={options['platform']}")
    words = split(line)
    if len(words) == 3 and words[1].upper() == "AS":
        return From(line, words[0])
    if len(words) != 1:
        raise line.invalid("an image's name is expected, and maybe AS and a stage's name")
    return From(line, words[0])
