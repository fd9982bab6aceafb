"""``dockyard run`` and ``create``: flags come in; a container and its exit code go out."""

from __future__ import annotations

import os
import sys

from dockyard.base import contexts
from dockyard.base.errors import Conflict, DockyardError, NotFound
from dockyard.cli import attached, common, mountflags, runconfig, runflags, terminal
from dockyard.interfaces.ociruntime import StartFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from dockyard.interfaces.ociruntime import Stream
    from dockyard.node.engine.config import ContainerConfig
    from dockyard.node.engine.engine import Engine

OWNER = "cli"


def run(argv: list[str]) -> int:
    """``argv[0]`` is the verb."""
    verb, *words = argv
    try:
        options = runflags.parse(verb, words)
        return _run(verb, options)
    except StartFailed as error:
        print(f"dockyard: {verb}: {error}", file=sys.stderr)
        return error.exit_code
    except DockyardError as error:
        print(f"dockyard: {error}", file=sys.stderr)
        return common.USAGE_ERROR


def _run(verb: str, options: argparse.Namespace) -> int:
    config = runconfig.config(options)
    in_front = verb == "run" and not options.detach
    keys = attached.keys_of(options) if in_front else ""
    typed = config.open_stdin
    if in_front:
        if config.system and not options.interactive:  # its console is shown, whoever may type
            typed = os.isatty(0)
        terminal.check_terminal(typed, config.terminal)
        if config.terminal:
            config = config._replace(size=terminal.window())
    if os.path.isfile(config.rootfs):
        config = config._replace(rootfs="", image=_imported(config.rootfs))
    platform = options.platform or common.usual_platform()
    if platform and (config.image or options.platform):
        from dockyard.cli import runplatform

        if runplatform.is_foreign(platform):
            name = runplatform.image_for(config.image, platform, options.pull, options.quiet)
            config = config._replace(image=name)
            options.pull = "never"
    typed = typed and (not options.attach or "stdin" in options.attach)
    engine = common.engine()
    engine.tidy(OWNER)
    for text in options.volumes_from:
        config = mountflags.inherit(config, engine, text)
    with _cidfile(options.cidfile) as tell, _explained(options):
        container_id, stream = _made(engine, config, options, in_front, starts=verb == "run")
        tell(container_id)
    if stream is None:
        print(container_id)
        return 0
    code = attached.attach(
        engine, container_id, stream, stdin=typed, terminal_wanted=config.terminal,
        proxy=options.sig_proxy, keys=keys, shown=_shown(options.attach),
    )  # fmt: skip
    if code is None:
        return 0
    if config.auto_remove:
        _remove(engine, container_id)
    else:
        with contexts.suppress(NotFound):
            engine.find(container_id)  # writes down that it has ended
    return code


@contexts.contextmanager
def _explained(options: argparse.Namespace) -> Iterator[None]:
    """Where it is asked for, each kernel call is printed while it is made."""
    if not getattr(options, "explain", ""):  # which `create` does not have
        yield
        return
    from dockyard.cli.explain.watch import watching

    if options.without:
        from dockyard.cli.walls import told

        for line in told(options.without, options.explain):
            print(line, file=sys.stderr)
    with watching(options.explain):
        yield


def _shown(asked: list[str]) -> tuple[int, ...]:
    """Which streams of the program are printed."""
    if not asked:
        return (1, 2)
    return tuple(number for number, name in ((1, "stdout"), (2, "stderr")) if name in asked)


def _made(
    engine: Engine,
    config: ContainerConfig,
    options: argparse.Namespace,
    in_front: bool,
    *,
    starts: bool,
) -> tuple[str, Stream | None]:
    """The container's id and its streams; its image is fetched where that is missing."""

    def make() -> tuple[str, Stream | None]:
        if not starts:
            return engine.create(config, name=options.name, owner=OWNER).id, None
        made, stream = engine.run(config, name=options.name, owner=OWNER, attach=in_front)
        return made.id, stream

    if config.image and options.pull == "always":
        _pull(config.image, options.quiet)
    try:
        return make()
    except StartFailed as error:
        if config.image and "exec format error" in str(error):
            from dockyard.cli import runplatform

            runplatform.tell_mismatch(config.image)
        raise
    except NotFound:
        if not config.image or options.pull == "never" or _is_here(config.image):
            raise
    print(f"Unable to find image '{config.image}' locally", file=sys.stderr)
    _pull(config.image, options.quiet)
    return make()


def _is_here(image: str) -> bool:
    """Whether something else than the image was not found."""
    from dockyard.base.oci.instance import root_path
    from dockyard.node.image.store import ImageStore

    try:
        ImageStore(root_path()).resolve(image)
    except NotFound:
        return False
    return True


def _pull(image: str, quiet: bool) -> None:
    """Fetch an image; what is said of it goes to standard error, which is not the program's."""
    import contextlib

    from dockyard.cli import pull

    with contextlib.redirect_stdout(sys.stderr):
        if pull.run([*(["--quiet"] if quiet else []), image]):
            raise NotFound(f"image {image}: not pulled")


def _imported(tar: str) -> str:
    """A tar is unpacked as an image without a name, once for each content: its ID."""
    from dockyard.base.oci.instance import root_path
    from dockyard.node.image.store import ImageStore

    with open(tar, "rb") as file:
        return str(ImageStore(root_path()).import_tar(file, None).id)


def _remove(engine: Engine, container_id: str) -> None:
    with contexts.suppress(NotFound):
        engine.remove(container_id, force=True, volumes=True)


@contexts.contextmanager
def _cidfile(path: str) -> Iterator[Callable[[str], object]]:
    """Makes the file before the container, and removes it where there is none in the end."""
    if not path:
        yield lambda _: None
        return
    try:
        file = open(path, "x")  # noqa: SIM115 - closed below
    except FileExistsError:
        raise Conflict("container ID file found, make sure the other container isn't running or "
                       f"delete {path}") from None  # fmt: skip
    with file:
        try:
            yield file.write
        except BaseException:
            os.unlink(path)
            raise
