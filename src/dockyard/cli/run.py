"""``dockyard run`` and ``create``: flags come in; a container and its exit code go out."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

from dockyard.base.errors import DockyardError, NotFound
from dockyard.cli import common, runflags, terminal
from dockyard.interfaces.ociruntime import StartFailed

if TYPE_CHECKING:
    from dockyard.interfaces.ociruntime import Stream
    from dockyard.node.engine.config import ContainerConfig
    from dockyard.node.engine.engine import Engine


def run(argv: list[str]) -> int:
    """``argv[0]`` is the verb."""
    verb, *words = argv
    options = runflags.parser(verb).parse_args(words)
    config = runflags.config(options, verb)
    detach = verb == "create" or options.detach
    if not detach:
        terminal.check_terminal(config.open_stdin, config.terminal)
    if config.rootfs:
        config = config._replace(rootfs=_directory(config.rootfs))
    if config.terminal and not detach:
        config = config._replace(size=terminal.window())
    try:
        engine = common.engine()
        container_id = _create(engine, config, options.name, options.pull)
        if verb == "create":
            print(container_id)
            return 0
        return _run(engine, container_id, config, detach=options.detach)
    except StartFailed as error:
        print(f"dockyard: Error response from runtime: {error}", file=sys.stderr)
        return error.exit_code
    except DockyardError as error:
        print(f"dockyard: {error}", file=sys.stderr)
        return common.USAGE_ERROR


def _create(engine: Engine, config: ContainerConfig, name: str, pull: str) -> str:
    if config.image and pull == "always":
        _pull(config.image)
    try:
        return engine.create(config, name=name).id
    except NotFound:
        if not config.image or pull == "never":
            raise
        print(f"Unable to find image '{config.image}' locally", file=sys.stderr)
        _pull(config.image)
        return engine.create(config, name=name).id


def _pull(image: str) -> None:
    from dockyard.cli import pull

    if pull.run(["--quiet", image]):
        raise NotFound(f"image {image}: not pulled")


def _run(engine: Engine, container_id: str, config: ContainerConfig, *, detach: bool) -> int:
    collect = ("rm", "--if-ended", container_id) if config.auto_remove and detach else ()
    on_exit = (sys.executable, "-m", "dockyard.cli.main", *collect) if collect else ()
    try:
        stream = engine.start(container_id, attach=not detach, on_exit=on_exit)
    except DockyardError:
        if config.auto_remove:
            engine.remove(container_id, force=True, volumes=True)
        raise
    if stream is None:
        print(container_id)
        return 0
    return _attached(engine, container_id, config, stream)


def _attached(engine: Engine, container_id: str, config: ContainerConfig, stream: Stream) -> int:
    def forward(number: int, _: object) -> None:
        with contextlib.suppress(DockyardError):
            engine.kill(container_id, number)

    if not config.terminal:
        for number in (*terminal.FORWARDED, signal.SIGINT):
            signal.signal(number, forward)
    try:
        code = terminal.pump(stream, stdin=config.open_stdin, terminal=config.terminal)
    except terminal.Detached:
        return 0
    finally:
        stream.close()
    if config.auto_remove:
        engine.remove(container_id, force=True, volumes=True)
    elif code is not None:
        engine.find(container_id)  # writes down that it has ended
    return common.USAGE_ERROR if code is None else code


def _directory(path: str) -> str:
    """A tar is unpacked beside the containers, once for each content; a directory is itself."""
    if not os.path.isfile(path):
        return path
    from dockyard.base.oci.instance import data_root
    from dockyard.node.image.store import ImageStore

    store = ImageStore(data_root())
    with open(path, "rb") as tar:
        image = store.import_tar(tar, None)
    return store.mount_layers(image)[0]
