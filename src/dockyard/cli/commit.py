"""``dockyard commit``: an image of what a container has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from dockyard.base.errors import Invalid
from dockyard.cli import common

if TYPE_CHECKING:
    from dockyard.base.oci.imageconfig import ImageConfig
    from dockyard.node.build.stage import Tools

EXAMPLES = """  dockyard commit web shop/web:2
  dockyard commit -c 'CMD ["nginx", "-g", "daemon off;"]' -m 'by hand' web shop/web:3
"""
CHANGES = ("CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "STOPSIGNAL", "USER",
           "VOLUME", "WORKDIR")  # fmt: skip


def run(argv: list[str]) -> int:
    """Print the image's ID."""
    parser = common.Parser("commit", "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
                           "Make an image of what a container has changed.", EXAMPLES)  # fmt: skip
    add = parser.add_argument
    add("-a", "--author", default="", metavar="NAME", help="who has made it")
    parser.many("-c", "--change", metavar="INSTRUCTION", help="of a Dockerfile, for the new image")
    add("-m", "--message", default="", metavar="TEXT", help="why")
    add("-p", "--pause", choices=("true", "false"), nargs="?", const="true", default="true",
        help="freeze the container meanwhile (true)")  # fmt: skip
    add("container", metavar="CONTAINER")
    add("name", nargs="?", default="", metavar="REPOSITORY[:TAG]")
    options = parser.parse_args(argv)
    if options.name:
        from dockyard.base.oci.reference import parse_reference

        parse_reference(options.name)
    change = changed(options.change)
    print(common.engine().commit(
        options.container, options.name, change, author=options.author, comment=options.message,
        pause=options.pause == "true",
    ))  # fmt: skip
    return 0


def changed(texts: list[str]) -> Callable[[ImageConfig], ImageConfig]:
    """What instructions make of a configuration. Raises :class:`Invalid` for others than those
    that change no files."""
    if not texts:
        return lambda config: config
    from dockyard.node.build.instructions.table import parse_step
    from dockyard.node.build.instructions.workdir import Workdir, absolute
    from dockyard.node.build.parse import parse_dockerfile
    from dockyard.node.build.stage import Stage

    lines = parse_dockerfile("\n".join(texts).encode(), "--change").lines
    for line in lines:
        if line.keyword not in CHANGES:
            raise Invalid(f"{line.keyword.lower()} is not a valid change command")
    steps = [parse_step(line) for line in lines]

    class Changes(Stage):
        """A stage that makes no layers and keeps no history: nothing is built, without tools."""

        def __init__(self, config: ImageConfig) -> None:
            super().__init__(cast("Tools", None), config.platform, {}, number=0, name="")
            self.config = config

        def record(self, *_: object) -> None: ...

    def apply(config: ImageConfig) -> ImageConfig:
        stage = Changes(config)
        for step in steps:
            if isinstance(step, Workdir):
                path = absolute(stage, stage.expand(step.line.rest, step.line))
                stage.config = stage.config._replace(working_dir=path)
            else:
                step.apply(stage)
        return stage.config

    return apply
