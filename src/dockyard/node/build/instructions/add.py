"""``ADD``: turns files, archives, URLs and git repositories into a layer."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.errors import Corrupt, DockyardError
from dockyard.node.build import gitsource
from dockyard.node.build.change import Change
from dockyard.node.build.contexts import is_tar
from dockyard.node.build.download import download, is_url
from dockyard.node.build.files import File, Files
from dockyard.node.build.instructions.copy import (
    Manners,
    Selected,
    Target,
    owner_ids,
    parse_manners,
    parse_words,
    read_documents,
    select,
)
from dockyard.node.build.placing import Manner, Placed, Placer, is_directory, place
from dockyard.node.build.source import switch
from dockyard.node.image.compression import decompress
from dockyard.node.image.extract import extract_files
from dockyard.node.image.limits import DEFAULT
from dockyard.node.image.tarread import BLOCK, TarReader
from dockyard.node.image.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Stage
    from dockyard.node.image.image import Layer

_CHUNK = 1 << 20
_CHECKSUM = re.compile(r"(?:sha256|sha384|sha512):[0-9a-f]{64,128}")
_COMMIT = re.compile(r"[0-9a-f]{7,64}$")
_REMOTE_MODE = 0o600


class Fetched(NamedTuple):
    """Something from elsewhere, as files."""

    placed: list[Placed]
    fingerprint: list[object]


class Add(NamedTuple):
    line: Line
    sources: tuple[str, ...]
    target: str
    manners: Manners
    checksum: str | None
    keep_git: bool
    unpack: bool | None

    def apply(self, stage: Stage) -> None:
        line = self.line
        words = [stage.expand(source, line) for source in self.sources]
        target = Target(stage, line, self.target, self.manners)
        remote = [word for word in words if is_remote(word)]
        checksum = stage.expand(self.checksum, line) if self.checksum else ""
        if checksum and len(words) != 1:
            raise line.invalid("checksum can't be specified for multiple sources")
        if checksum and not remote:
            raise line.invalid("checksum can't be specified for non-HTTP(S) and non-Git sources")
        with contextlib.ExitStack() as stack:
            fetched = [self._fetch(stage, word, target, checksum, stack) for word in remote]
            local = [word for word in words if word not in remote]
            selected = select(
                line, stage.tools.origins.context(), local, self.manners, stage,
                read_documents(stage, line),
            )  # fmt: skip
            key = stage.key(
                "ADD",
                files=selected.fingerprint,
                remote=[each.fingerprint for each in fetched],
                count=selected.total + len(fetched),
                unpack=self.unpack,
                **target.inputs,
            )
            layer = stage.recall(key)
            if layer is not None:
                stage.was_cached()
            else:
                layer = self._build(stage, target, selected, fetched)
                if layer is not None:
                    stage.remember(key, layer)
        stage.record(line.text, layer)

    def _fetch(
        self, stage: Stage, word: str, target: Target, checksum: str, stack: contextlib.ExitStack
    ) -> Fetched:
        space = stack.enter_context(stage.tools.store.workspace())
        address = gitsource.parse_address(word)
        if address is not None:
            agent = stage.tools.options.ssh.get("default", "")
            found = gitsource.check_out(address, space, keep_git=self.keep_git, agent=agent)
            stage.tools.facts.git(address.remote, address.ref, found.commit)
            if checksum and not found.commit.startswith(checksum):
                raise Corrupt(f"{word}: expected checksum to match {checksum}, got {found.commit}")
            files = stack.enter_context(_open(found.directory, word))
            top = files.find("")
            assert top is not None
            files.time = found.time * 1_000_000_000
            return Fetched(
                list(place(files, top)),
                ["git", found.commit, address.folder, self.keep_git],
            )
        if checksum and _CHECKSUM.fullmatch(checksum) is None:
            raise self.line.invalid(f"--checksum={checksum[:80]}: sha256:HEX is expected")
        path = os.path.join(space, "file")
        told = download(word, path)
        hasher = hashlib.new(checksum.partition(":")[0] or "sha256")
        with open(path, "rb") as file:
            while piece := file.read(_CHUNK):
                hasher.update(piece)
        digest = f"{hasher.name}:{hasher.hexdigest()}"
        if checksum and digest != checksum:
            raise Corrupt(f"{word}: digest mismatch {digest}: {checksum} is expected")
        stage.tools.facts.url(word, digest)
        if not told.name and target.is_folder:
            raise self.line.invalid(f"cannot determine filename for source {word}")
        os.chmod(path, _REMOTE_MODE)
        os.utime(path, ns=(told.mtime, told.mtime))
        files = stack.enter_context(_open(space, word))
        one = files.find("file")
        assert one is not None
        return Fetched(
            [Placed(told.name, one, files, alone=True)], ["url", told.name, digest, told.mtime]
        )

    def _build(
        self, stage: Stage, target: Target, selected: Selected, fetched: list[Fetched]
    ) -> Layer | None:
        line = self.line
        archives, plain = self._sorted(selected, fetched)
        named = len(self.sources) + len(selected.documents)
        several = named > 1 or selected.total + len(fetched) - len(archives) > 1
        if several and not target.is_folder:  # archives of one pattern go into one folder
            raise line.invalid(f"{target.text}: with several sources it must end with /")
        folders = any(item.file.is_directory for item in plain)
        with Change(stage, apart=target.link) as change:
            with change.tree(f"{line.source.name}:{line.number}: ADD") as tree:
                target.land(tree, line)
                ids = owner_ids(tree, target.owner, line)
                manner = Manner(ids or (0, 0), target.mode, stage.tools.epoch)
                placer = Placer(tree, line, manner)
                inside = target.is_folder or folders or not target.parts
                inside = inside or is_directory(tree, target.parts)
                for item in plain:
                    placer.lay(item, target.parts, inside=inside)
                for document in selected.documents:
                    path = (*target.parts, os.fsencode(document.name)) if inside else target.parts
                    placer.write(document.data, path, 0o644, (stage.tools.epoch or 0) * 10**9)
                if archives:
                    tree.directory(target.parts)
                elif not selected.total + len(fetched):
                    tree.directory(target.parts if target.is_folder else target.parts[:-1])
                placer.finish()
                for item in archives:
                    self._unpack(item, tree, target, ids)
            return change.commit()

    def _sorted(
        self, selected: Selected, fetched: list[Fetched]
    ) -> tuple[list[Placed], list[Placed]]:
        """Archives, and the rest. Those of the context are unpacked unless ``--unpack=false``,
        those from elsewhere only with ``--unpack``."""
        local = [(item, self.unpack is not False) for item in selected.placed]
        remote = [(item, self.unpack is True) for each in fetched for item in each.placed]
        archives: list[Placed] = []
        plain: list[Placed] = []
        for item, wanted in (*local, *remote):
            regular = item.alone and stat.S_ISREG(item.file.found.st_mode)
            is_tar = wanted and regular and is_archive(item.files, item.file)
            (archives if is_tar else plain).append(item)
        return archives, plain

    def _unpack(
        self, item: Placed, tree: Tree, target: Target, ids: tuple[int, int] | None
    ) -> None:
        what = f"ADD {item.path}"
        with Tree(os.dup(tree.directory(target.parts)), what) as inner:
            reader = TarReader(decompress(_chunks(item.files, item.file), what), what, DEFAULT)
            extract_files(reader, inner, what, ids)


def is_remote(word: str) -> bool:
    return is_url(word) or gitsource.parse_address(word) is not None


def is_archive(files: Files, file: File) -> bool:
    """Whether a file is a tar, compressed or not: by what is in it, not by its name."""
    try:
        plain = decompress(_chunks(files, file), file.path)
        start = b""
        for chunk in plain:
            start += chunk
            if len(start) >= BLOCK:
                break
    except DockyardError:
        return False
    return is_tar(start[:BLOCK])


def _chunks(files: Files, file: File) -> Iterator[bytes]:
    fd = files.open(file)
    try:
        while chunk := os.read(fd, _CHUNK):
            yield chunk
    finally:
        os.close(fd)


def _open(directory: str, what: str) -> Files:
    return Files(os.open(directory, os.O_RDONLY | os.O_DIRECTORY), what, outside=True)


def parse(line: Line) -> Add:
    options = line.options(
        "chown", "chmod", "link", "parents", "checksum", "keep-git-dir", "unpack",
        repeated=("exclude",),
    )  # fmt: skip
    sources, target = parse_words(line)
    checksum = options.get("checksum")
    known = checksum is None or "$" in checksum
    if checksum and not known and not (_CHECKSUM.fullmatch(checksum) or _COMMIT.match(checksum)):
        raise line.invalid(f"--checksum={checksum[:80]}: sha256:HEX is expected")
    for word in sources:
        if "$" not in word:
            gitsource.parse_address(word)
    return Add(
        line,
        sources,
        target,
        parse_manners(line, options),
        checksum,
        switch(line, options, "keep-git-dir"),
        switch(line, options, "unpack") if "unpack" in options else None,
    )
