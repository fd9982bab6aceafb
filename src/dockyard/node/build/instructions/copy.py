"""``COPY``: turns files of the build context, of another stage or of an image into a layer."""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.errors import Invalid
from dockyard.base.oci.users import find_user
from dockyard.node.build.change import Change
from dockyard.node.build.chmod import Mode, parse_mode
from dockyard.node.build.expand import expand_text
from dockyard.node.build.glob import Glob
from dockyard.node.build.ignore import Ignore, parse_ignore
from dockyard.node.build.instructions.workdir import absolute
from dockyard.node.build.placing import (
    Manner,
    Placed,
    Placer,
    is_directory,
    landing,
    mode_of,
    place,
)
from dockyard.node.build.source import switch
from dockyard.node.build.words import json_list, split

if TYPE_CHECKING:
    from dockyard.node.build.files import Found
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Origin, Stage
    from dockyard.node.image.image import Layer
    from dockyard.node.image.overlayform import Path
    from dockyard.node.image.tree import Tree

_HEREDOC_MODE = 0o644


class Manners(NamedTuple):
    """The flags that COPY and ADD share."""

    owner: str | None
    mode: str | None
    link: bool
    parents: bool
    exclude: tuple[str, ...]


class Document(NamedTuple):
    """A here-document that becomes a file."""

    name: str
    data: bytes


class Selected(NamedTuple):
    """What is laid, and all that its content depends on."""

    placed: list[Placed]
    documents: list[Document]
    fingerprint: list[object]
    total: int
    """Sources, as they were found."""


class Copy(NamedTuple):
    line: Line
    sources: tuple[str, ...]
    target: str
    manners: Manners
    origin: str | None
    """``--from``."""

    @property
    def wants(self) -> tuple[str, ...]:
        """Words that may name a stage."""
        return (self.origin,) if self.origin else ()

    def apply(self, stage: Stage) -> None:
        origins = stage.tools.origins
        word = self.origin
        origin = origins.named(word, stage, self.line) if word else origins.context()
        words = [stage.expand(source, self.line) for source in self.sources]
        target = Target(stage, self.line, self.target, self.manners)
        documents = read_documents(stage, self.line)
        quick = None
        if origin.identity and not documents:
            quick = stage.key("COPY from", origin=origin.identity, sources=words, **target.inputs)
            layer = stage.recall(quick)
            if layer is not None:
                stage.was_cached()
                stage.record(self.line.text, layer)
                return
        selected = select(self.line, origin, words, self.manners, stage, documents)
        key = stage.key("COPY", files=selected.fingerprint, count=selected.total, **target.inputs)
        layer = stage.recall(key)
        if layer is not None:
            stage.was_cached()
        else:
            layer = build_layer(stage, self.line, target, selected, None if word else (0, 0))
            if layer is not None:
                stage.remember(key, layer)
        if layer is not None and quick is not None:
            stage.remember(quick, layer)
        stage.record(self.line.text, layer)


class Target:
    """Where a COPY goes, and how."""

    def __init__(self, stage: Stage, line: Line, word: str, manners: Manners) -> None:
        text = stage.expand(word, line)
        self.text = text
        self.path = absolute(stage, text)
        self.parts: Path = tuple(os.fsencode(part) for part in self.path.split("/") if part)
        self.is_folder = text.endswith(("/", "/.")) or text in (".", "", "..")
        self.owner = stage.expand(manners.owner, line) if manners.owner is not None else None
        self.link = manners.link
        self.mode: Mode | None = None
        if manners.mode is not None:
            said = stage.expand(manners.mode, line)
            self.mode = parse_mode(said)
            if self.mode is None:
                raise line.invalid(f"--chmod={said}: octal digits or u+rwX,go=rX are expected")
        self.inputs = {
            "target": self.path + ("/" if self.is_folder else ""),
            "owner": self.owner,
            "mode": self.mode,
            "link": self.link,
            "parents": manners.parents,
            "exclude": manners.exclude,
        }

    def land(self, tree: Tree, line: Line) -> None:
        """From here on ``parts`` are where it lies in this tree."""
        self.parts = landing(tree, self.parts, line)


def select(
    line: Line,
    origin: Origin,
    words: list[str],
    manners: Manners,
    stage: Stage,
    documents: list[Document],
) -> Selected:
    """The files that the words mean. Raises the line's error where a word means none."""
    files = origin.files
    found = [(word, one) for word in words for one in files.sources(line, word)]
    placed: list[Placed] = []
    for word, one in found:
        if manners.parents:
            placed += _with_parents(origin, word, one)
        else:
            placed += place(files, one.file, posixpath.basename(one.path))
    excluded = _excluded(manners.exclude, line)
    if excluded is not None:
        placed = [item for item in placed if not item.path or not _hides(excluded, item.path)]
    epoch = stage.tools.epoch
    fingerprint: list[object] = [_fingerprint(item, epoch) for item in placed]
    fingerprint += [[item.name, hashlib.sha256(item.data).hexdigest()] for item in documents]
    return Selected(placed, documents, fingerprint, len(found) + len(documents))


def build_layer(
    stage: Stage,
    line: Line,
    target: Target,
    selected: Selected,
    owner: tuple[int, int] | None,
) -> Layer | None:
    """``owner``: without ``--chown``; None keeps those of the files."""
    many = selected.total > 1
    if many and not target.is_folder:
        raise line.invalid(f"{target.text}: with several sources it must end with /")
    what = f"{line.source.name}:{line.number}: {line.keyword}"
    with Change(stage, apart=target.link) as change:
        with change.tree(what) as tree:
            target.land(tree, line)
            ids = owner_ids(tree, target.owner, line) or owner
            manner = Manner(ids, target.mode, stage.tools.epoch)
            placer = Placer(tree, line, manner)
            folders = any(item.file.is_directory for item in selected.placed)
            inside = target.is_folder or folders or not target.parts
            inside = inside or is_directory(tree, target.parts)
            later: list[Placed] = []
            now = selected.placed
            place_of_rest = ""
            if inside and _can_be_apart(selected, target, tree, folders):
                now, later = (now[:1], now[1:]) if folders else ([], now)
                _lay(placer, now, target, inside=inside)
                now = []
                place_of_rest = real_path(tree, target.parts)
            _lay(placer, now, target, inside=inside)
            if not selected.total:  # patterns that fit nothing: only the directory is made
                tree.directory(target.parts if target.is_folder else target.parts[:-1])
            for document in selected.documents:
                path = (*target.parts, os.fsencode(document.name)) if inside else target.parts
                placer.write(document.data, path, _HEREDOC_MODE, (stage.tools.epoch or 0) * 10**9)
            placer.finish()
        if later:
            with change.fresh(place_of_rest, what) as tree:
                placer = Placer(tree, line, manner)
                for item in later:
                    placer.lay(item, (), inside=True)
                placer.finish()
        return change.commit()


def _lay(placer: Placer, items: list[Placed], target: Target, *, inside: bool) -> None:
    for item in items:
        placer.lay(item, target.parts, inside=inside)


def _can_be_apart(selected: Selected, target: Target, tree: Tree, folders: bool) -> bool:
    """Whether all goes into one directory that is not there yet, and nothing of it through a link
    that another part of it is."""
    one = selected.total == 1 if folders else bool(selected.placed)
    return one and bool(target.parts) and not is_directory(tree, target.parts)


def real_path(tree: Tree, parts: tuple[bytes, ...]) -> str:
    """Where a directory lies in the tree, links resolved; it is made if it is missing."""
    top, found = (os.readlink(f"/proc/self/fd/{fd}") for fd in (tree.root, tree.directory(parts)))
    return found.removeprefix(top).strip("/")


def owner_ids(tree: Tree, owner: str | None, line: Line) -> tuple[int, int] | None:
    if owner is None:
        return None
    try:
        found = find_user(tree.root, owner)
    except Invalid as error:
        raise line.invalid(f"--chown: {error}") from error
    # a number without a group means the same number for both (reference, "COPY --chown")
    same = ":" not in owner
    return found.uid, found.uid if same and owner.isdecimal() else found.gid


def read_documents(stage: Stage, line: Line) -> list[Document]:
    found = []
    for item in line.heredocs:
        text = item.stripped
        if item.expands:
            text = expand_text(text, stage.variables, line)
        found.append(Document(item.name, text.encode()))
    return found


def _with_parents(origin: Origin, word: str, one: Found) -> list[Placed]:
    """``--parents``: the whole path counts, or what stands behind ``/./``."""
    before, pivot, _ = word.partition("/./")
    shown = one.path[_above(before, one.path) if pivot else 0 :].lstrip("/")
    found: list[Placed] = []
    parent = ""
    for part in shown.split("/")[:-1]:
        parent = f"{parent}/{part}" if parent else part
        above = origin.files.find(one.path[: len(one.path) - len(shown)] + parent)
        if above is not None:
            found.append(Placed(parent, above, origin.files))
    for item in place(origin.files, one.file, ""):
        path = posixpath.join(shown, item.path) if one.file.is_directory else shown
        found.append(item._replace(path=path.rstrip("/")))
    return found


def _above(pattern: str, path: str) -> int:
    """How much of a path what stands before ``/./`` means: the least that it fits."""
    glob = Glob(posixpath.normpath("/" + pattern).strip("/"))
    ends = [at for at, char in enumerate(path) if char == "/"]
    return next((end for end in (0, *ends) if glob.matches(path[:end])), 0)


def _excluded(patterns: tuple[str, ...], line: Line) -> Ignore | None:
    if not patterns:
        return None
    return parse_ignore("\n".join(patterns).encode(), f"{line.keyword} --exclude")


def _hides(excluded: Ignore, path: str) -> bool:
    state, ignored = excluded.start, False
    parts = path.split("/")
    for number in range(1, len(parts) + 1):
        ignored, state = excluded.decide("/".join(parts[:number]), state)
    return ignored


def _fingerprint(item: Placed, epoch: int | None) -> list[object]:
    """All of a file that the layer's content depends on; its times do not total, as in docker."""
    file, files = item.file, item.files
    mode = stat.S_IMODE(mode_of(item, epoch))
    owner = [] if files.outside else [file.found.st_uid, file.found.st_gid]
    kept = [(name, value.hex()) for name, value in files.attributes(file)]
    if file.is_directory:
        return [item.path, "directory", *([mode, *owner, *kept] if item.path else [])]
    if file.link:
        return [item.path, "link", file.link, *owner]
    if not stat.S_ISREG(file.found.st_mode):
        if files.outside:
            reason = "is a device, FIFO or socket; leave it out"
            raise Invalid(f"COPY: {file.path}: {reason}")
        return [item.path, stat.S_IFMT(file.found.st_mode), file.found.st_rdev, mode, *owner]
    return [item.path, "file", mode, files.digest(file), *owner, *kept]


def parse_words(line: Line) -> tuple[tuple[str, ...], str]:
    """Sources and destination; here-documents are no sources."""
    words = json_list(line)
    found = list(words) if words is not None else split(line)
    if len(found) < 2:
        raise line.invalid("a source and a destination are expected")
    documents = {item.word for item in line.heredocs}
    sources = tuple(word for word in found[:-1] if word not in documents)
    return sources, found[-1]


def parse_manners(line: Line, options: dict[str, str]) -> Manners:
    return Manners(
        options.get("chown"),
        options.get("chmod"),
        switch(line, options, "link"),
        switch(line, options, "parents"),
        tuple(line.all("exclude")),
    )


def parse(line: Line) -> Copy:
    options = line.options("chown", "chmod", "from", "link", "parents", repeated=("exclude",))
    origin = options.get("from")
    if origin is not None and "$" in origin:
        raise line.invalid(
            "variable expansion is not supported for --from, define a new stage with FROM using "
            "ARG from global scope as a workaround"
        )
    mode = options.get("chmod")
    if mode is not None and "$" not in mode and parse_mode(mode) is None:
        raise line.invalid(f"--chmod={mode}: octal digits or u+rwX,go=rX are expected")
    sources, target = parse_words(line)
    return Copy(line, sources, target, parse_manners(line, options), origin)
