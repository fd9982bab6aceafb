"""``USER``: turns a name or number into who runs what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dockyard.node.build.words import split

if TYPE_CHECKING:
    from dockyard.node.build.source import Line
    from dockyard.node.build.stage import Stage


class User(NamedTuple):
    line: Line
    word: str

    def apply(self, stage: Stage) -> None:
        user = stage.expand(self.word, self.line)
        if not user:
            raise self.line.invalid(f"{self.word!r} is empty; a user is expected")
        stage.config = stage.config._replace(user=user)
        stage.record(f"USER {user}")


def parse(line: Line) -> User:
    line.options()
    words = split(line)
    if len(words) != 1:
        raise line.invalid("one user is expected: NAME, UID, NAME:GROUP or UID:GID")
    return User(line, words[0])
