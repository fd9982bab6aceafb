"""Turns a plan into built stages: those that the target needs, independent ones side by side."""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from dockyard.base.errors import Conflict, DockyardError
from dockyard.node.build import plan as plans
from dockyard.node.build.contexts import LAYOUT, layout_place
from dockyard.node.build.expand import expand
from dockyard.node.build.files import Files
from dockyard.node.build.instructions.table import parse_step
from dockyard.node.build.ownargs import is_own
from dockyard.node.build.parse import instruction, with_documents
from dockyard.node.build.stage import Origin, Stage
from dockyard.node.image.image import Image, ImageNotFound
from dockyard.node.image.snapshot import open_view

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dockyard.base.oci.platform import Platform
    from dockyard.node.build.plan import Plan, StagePlan
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Step, Tools
    from dockyard.node.image.image import Layer

_AT_ONCE = max(2, os.cpu_count() or 1)
_pulling = threading.Lock()


class Graph:
    """One build for one platform. Use ``with``: trees that were opened are closed."""

    def __init__(
        self,
        plan: Plan,
        platform: Platform,
        target: StagePlan,
        contexts: Callable[[str], Origin | str | None],
        tools: Tools,
    ) -> None:
        """``contexts``: what ``--build-context`` has under a name (a tree, or an image's name);
        the empty name is the main one."""
        self.plan = plan
        self.tools = tools._replace(origins=self)
        self.target = target
        self._platform = platform
        self._contexts = contexts
        automatic = plans.predefined(platform, target.name)
        self.outer = plans.outer_args(plan, tools.options.build_args, automatic)
        self._futures: dict[int, Future[Stage]] = {}
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(_AT_ONCE)
        self._stopped = threading.Event()
        self._stack = contextlib.ExitStack()
        self._trees: dict[str, Origin] = {}
        self._images: dict[tuple[str, str], Image] = {}
        self._pool = ThreadPoolExecutor(len(plan.stages), thread_name_prefix="stage")
        self.stages: list[Stage] = []

    def __enter__(self) -> Graph:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def build(self) -> Stage:
        """The target. The first error of any stage stops all others and is raised."""
        wanted = plans.needed(self.plan, self.target, self.outer, self._is_replaced)
        try:
            with self._pool:
                for stage in wanted:
                    self._future(stage)
                try:
                    result = self._future(self.target).result()
                except BaseException:
                    self._stop()
                    raise
        except DockyardError:
            self._raise_first()
            raise
        return result

    def _raise_first(self) -> None:
        """Rather the failure itself than that others were stopped by it."""
        for future in self._futures.values():
            error = future.exception() if future.done() and not future.cancelled() else None
            if error is not None and not isinstance(error, Stopped):
                raise error

    def _stop(self) -> None:
        self._stopped.set()
        self.tools.runner.cancel()

    def _future(self, stage: StagePlan) -> Future[Stage]:
        with self._lock:
            found = self._futures.get(stage.number)
            if found is None:
                found = self._futures[stage.number] = self._pool.submit(self._build, stage)
            return found

    def _build(self, planned: StagePlan) -> Stage:
        try:
            return self._steps(planned)
        except BaseException:
            self._stop()
            raise

    def _steps(self, planned: StagePlan) -> Stage:
        platform = plans.platform_of(planned, self.outer, self._platform)
        stage = Stage(self.tools, platform, self.outer, number=planned.number, name=planned.shown)
        self.stages.append(stage)
        if self._is_replaced(planned.name):
            return self._replacement(planned, stage)
        several = len(self.plan.stages) > 1
        label = f"{planned.shown} " if several else ""
        pending = list(planned.steps)
        done, total = 0, len(pending)
        while pending:
            step = pending.pop(0)
            done += 1
            self._step(step, stage, f"[{label}{done}/{total}] {shown(step.line)}")
            if stage.triggers:
                triggered = [trigger_step(text, step.line) for text in stage.triggers]
                stage.triggers = ()
                pending = [*triggered, *pending]
                total += len(triggered)
        return stage

    def _step(self, step: Step, stage: Stage, name: str) -> None:
        self._wait_for(step, stage)
        with self._slots:
            if self._stopped.is_set():
                raise Stopped("build: canceled: another step failed")
            stage.vertex = vertex = self.tools.report.step(name)
            try:
                step.apply(stage)
            except DockyardError as error:
                _show_line(step.line, error)
                vertex.failed(str(error))
                raise
            except BaseException as error:
                vertex.failed(str(error) or type(error).__name__)
                raise
            vertex.done()

    def _wait_for(self, step: Step, stage: Stage) -> None:
        """Other stages first: whoever waits holds no slot."""
        words = list(getattr(step, "wants", ()))
        start = self.plan.stages[stage.number].start
        if step is start:
            words.append(expand(start.image, self.outer, start.line))
        for word in words:
            other = None if self._named(word) else self.plan.stage(word, stage.number)
            if other is not None:
                self._future(other).result()

    def _is_replaced(self, name: str) -> bool:
        """Whether a named context stands for the stage of this name (buildx, --build-context)."""
        return name not in ("", "context", "scratch") and self._named(name) is not None

    def _replacement(self, planned: StagePlan, stage: Stage) -> Stage:
        with self._slots:
            vertex = self.tools.report.step(f"[context {planned.name}] load")
            base = self.base(planned.name, stage, planned.start.line)
            stage.config, stage.layers = base.config, base.layers
            vertex.done()
        return stage

    def _named(self, word: str) -> Origin | str | None:
        return self._contexts(word) if word else None

    # what instructions name

    def context(self) -> Origin:
        found = self._contexts("")
        assert isinstance(found, Origin)
        return found

    def base(self, word: str, stage: Stage, line: Line) -> Stage | Image:
        named = self._named(word)
        if isinstance(named, str):
            return self._image(named, stage.config.platform)
        if isinstance(named, Origin):
            return _from_tree(named, stage, self.tools)
        other = self.plan.stage(word, stage.number)
        if other is not None and not word.isdecimal():
            return self._future(other).result()
        return self._image(word, stage.config.platform)

    def named(self, word: str, stage: Stage, line: Line) -> Origin:
        named = self._named(word)
        if isinstance(named, Origin):
            return named
        if isinstance(named, str):
            word = named
        else:
            other = self.plan.stage(word, stage.number)
            if other is not None:
                result = self._future(other).result()
                return self._tree(result.layers, f"stage {other.shown}")
            if word.isdecimal():
                raise line.invalid(f"invalid stage index {word}: there are {stage.number} before")
            if word.lower() == stage.name:
                raise line.invalid(f"{word}: a stage can't copy from itself")
        image = self._image(word, self._platform)
        return self._tree(image.layers, f"image {word}")

    def _image(self, name: str, platform: Platform) -> Image:
        """What is here already; else, or with ``--pull``, what the registry has."""
        with _pulling:
            key = (name, str(platform))
            found = self._images.get(key)
            if found is None:
                found = self._images[key] = self._fetch(name, platform)
                if not name.startswith(LAYOUT):
                    self.tools.facts.image(name, found.config.platform, found.digest)
            return found

    def _fetch(self, name: str, platform: Platform) -> Image:
        store = self.tools.store
        if name.startswith(LAYOUT):
            path, tag = layout_place(name)
            return store.load_one(path, tag, platform=platform)
        here: Image | None = None
        with contextlib.suppress(ImageNotFound):
            here = store.resolve(name)
        fits = here is not None and platform.runs(here.config.platform)
        if here is not None and fits and not self.tools.options.pull:
            return here
        if not self.tools.options.pull:
            reason = "is not here" if here is None else f"is for {here.config.platform} here"
            self.tools.report.note(f"{name} {reason}: pulling it")
        found = store.pull(name, platform=platform, progress=self.tools.progress)
        if here is not None and not fits and here.names:
            for each in here.names:  # the name stays with the image that it had
                store.tag(here.id, each)
        if not platform.runs(found.config.platform):
            raise Conflict(f"{name}: is for {found.config.platform}, not for {platform}")
        return found

    def _tree(self, layers: tuple[Layer, ...], what: str) -> Origin:
        chain = layers[-1].chain_id if layers else ""
        with self._lock:
            found = self._trees.get(chain)
            if found is None:
                found = self._trees[chain] = self._open(layers, what, f"chain {chain}")
            return found

    def _open(self, layers: tuple[Layer, ...], what: str, identity: str) -> Origin:
        store = self.tools.store
        lowers = tuple(store.layer_directories(layers))
        space = self._stack.enter_context(store.workspace())
        upper, work, merged = (os.path.join(space, name) for name in ("upper", "work", "merged"))
        for path in (upper, work, merged):
            os.mkdir(path, 0o755)
        found = os.stat(lowers[0])
        os.chmod(upper, found.st_mode & 0o7777)
        root = open_view(lowers, upper, work, merged, store.driver.name)
        files = Files(root, what, outside=False)
        self._stack.enter_context(files)
        return Origin(files, identity, lowers)


class Stopped(Conflict):
    """A stage that was stopped because another one failed."""


def shown(line: Line) -> str:
    """An instruction in one line of progress."""
    text = " ".join(line.text.split())
    return text if len(text) <= 160 else text[:157] + "..."


def trigger_step(text: str, line: Line) -> Step:
    """An ONBUILD instruction of a base, as a step that stands where FROM stands."""
    made = instruction(line.source, text.partition("\n")[0], line.number, line.last, "\\")
    return parse_step(with_documents(made, text))


def _from_tree(origin: Origin, stage: Stage, tools: Tools) -> Stage:
    """FROM a named context that is a directory: its files are the only layer."""
    from dockyard.node.build.change import Change
    from dockyard.node.build.placing import Manner, Placer, place

    made = Stage(tools, stage.config.platform, stage.outer, number=stage.number, name=stage.name)
    top = origin.files.find("")
    assert top is not None
    with Change(made) as change:
        with change.tree("FROM") as tree:
            line = tools_line(stage)
            placer = Placer(tree, line, Manner((0, 0), None, tools.epoch))
            for item in place(origin.files, top):
                placer.lay(item, (), inside=True)
            placer.finish()
        layer = change.commit()
    made.record("FROM a build context", layer)
    return made


def tools_line(stage: Stage) -> Line:
    origins = stage.tools.origins
    assert isinstance(origins, Graph)
    return origins.plan.stages[stage.number].start.line


def _show_line(line: Line, error: DockyardError) -> None:
    """An error that does not show the line yet gets it."""
    if f"{line.source.name}:{line.number}:" in str(error):
        return
    text = line.source.show(line.number, line.last, f"{line.keyword}: {error}")
    error.args = (text, *error.args[1:])


def unused_arguments(stages: list[Stage], plan: Plan, given: Mapping[str, str]) -> list[str]:
    """Build arguments that no ARG asked for."""
    from dockyard.node.build.stage import PROXIES

    asked = {name for stage in stages for name in stage.used}
    asked |= {name for step in plan.globals for name, _ in step.pairs}
    return sorted(name for name in set(given) - asked - PROXIES if not is_own(name))
