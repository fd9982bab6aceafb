"""Turns ``.dockerignore`` into a decision about each path of the context.

Rules of moby's patternmatcher: the last pattern that fits a path, or a directory above it,
decides; ``!`` takes back in.
"""

import posixpath

from dockyard.base.errors import Invalid
from dockyard.node.build.glob import Glob

_MOST_LINES = 100_000


class Ignore:
    """The patterns of one file, in order."""

    def __init__(self, patterns: list[tuple[bool, Glob]]) -> None:
        self._patterns = patterns
        self.takes_back = any(negated for negated, _ in patterns)
        """Whether something inside an ignored directory may be wanted."""
        self.hides_all = any(
            not negated and glob.pattern in ("*", "**", "**/*") for negated, glob in patterns
        )
        """Whether one pattern alone hides everything."""

    @property
    def start(self) -> int:
        """The state above all paths: which patterns (bits) fit a directory already."""
        return 0

    def decide(self, path: str, above: int) -> tuple[bool, int]:
        """Whether ``path`` is ignored, and the state for what is in it."""
        fits = above
        ignored = False
        for index, (negated, glob) in enumerate(self._patterns):
            bit = 1 << index
            if fits & bit or glob.matches(path):
                fits |= bit
                ignored = not negated
        return ignored, fits


NOTHING = Ignore([])
"""Of a tree without an ignore file."""


def parse_ignore(data: bytes, what: str) -> Ignore:
    """The file's patterns; :class:`Invalid` names the line of a broken one."""
    try:
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise Invalid(f"{what}: byte {error.start}: not UTF-8") from error
    if len(lines) > _MOST_LINES:
        raise Invalid(f"{what}: {len(lines)} lines: at most {_MOST_LINES} are accepted")
    found: dict[tuple[bool, str], Glob] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or line.startswith("#"):  # behind blanks it is a pattern
            continue
        negated = text.startswith("!")
        text = text[1:].strip() if negated else text
        if not text:
            raise Invalid(f"{what}:{number}: {line[:80]!r}: a pattern is expected after !")
        cleaned = posixpath.normpath(text).lstrip("/")
        if cleaned in ("", "."):  # the context itself, which is never left out
            continue
        try:
            glob = Glob(cleaned)
        except Invalid as error:
            raise Invalid(f"{what}:{number}: {error}") from error
        found.pop((negated, cleaned), None)  # said again: only its last place counts
        found[negated, cleaned] = glob
    return Ignore([(negated, glob) for (negated, _), glob in found.items()])
