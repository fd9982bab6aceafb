"""Turns ``--filter`` words into a choice among images. Pure, apart from the clock that it is told.

docker's: ``dangling``, ``label``, ``label!``, ``before``, ``since``, ``until``, ``reference``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.aio import now
from dockyard.base.errors import Invalid
from dockyard.base.oci.reference import parse_reference
from dockyard.cli.moments import moment

if TYPE_CHECKING:
    from dockyard.node.image.image import Image

LISTED = ("before", "dangling", "label", "reference", "since", "until")
PRUNED = ("dangling", "label", "label!", "until")
_TRUE, _FALSE = ("1", "true", "True", "TRUE", "t", "T"), ("0", "false", "False", "FALSE", "f", "F")


class Filters(NamedTuple):
    """What an image must be, key by key."""

    values: dict[str, list[str]]
    created: dict[str, float]
    """Bounds of when it was made, in seconds since the epoch: ``before``, ``since``, ``until``."""

    def fits(self, image: Image) -> bool:
        labels = dict(image.config.labels)
        values = self.values
        return (
            all(_labelled(labels, value) for value in values.get("label", ()))
            and not any(_labelled(labels, value) for value in values.get("label!", ()))
            and all((not image.names) == is_true("dangling", value)
                    for value in values.get("dangling", ()))
            and self._in_time(image)
            and (not values.get("reference") or bool(self.names(image)))
        )  # fmt: skip

    def names(self, image: Image) -> tuple[str, ...]:
        """The image's names that are meant: all, where none is asked for."""
        patterns = self.values.get("reference")
        if not patterns:
            return image.names
        return tuple(name for name in image.names if any(_means(each, name) for each in patterns))

    def _in_time(self, image: Image) -> bool:
        if not self.created:
            return True
        try:
            made = now.parse_stamp(image.config.created)
        except ValueError:
            made = 0.0  # as Docker has it: the year 1
        bounds = self.created
        return (
            made < min(bounds.get("before", made + 1), bounds.get("until", made + 1))
            and made > bounds.get("since", made - 1)
        )  # fmt: skip


def parse(words: list[str], known: tuple[str, ...], find: Callable[[str], Image]) -> Filters:
    """``find`` gives the image that ``before`` and ``since`` name."""
    values: dict[str, list[str]] = {}
    bounds: dict[str, float] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise Invalid(f"invalid filter '{word}': bad format, KEY=VALUE")
        if key not in known:
            raise Invalid(f"invalid filter '{key}'; one of {', '.join(known)}")
        if key == "dangling":
            is_true(key, value)
        if key == "until":
            bounds[key] = moment(value, now.wall())
        elif key in ("before", "since"):
            bounds[key] = _made(find(value))
        values.setdefault(key, []).append(value)
    return Filters(values, bounds)


def is_true(key: str, value: str) -> bool:
    if value not in (*_TRUE, *_FALSE):
        raise Invalid(f"invalid filter '{key}={value}': true or false")
    return value in _TRUE


def _made(image: Image) -> float:
    try:
        return now.parse_stamp(image.config.created)
    except ValueError:
        return 0.0


def _labelled(labels: dict[str, str], text: str) -> bool:
    name, has_value, wanted = text.partition("=")
    return name in labels and (not has_value or labels[name] == wanted)


def _means(pattern: str, name: str) -> bool:
    """Go's path.Match on the familiar name, with its tag or without (reference.FamiliarMatch)."""
    from dockyard.node.build.glob import Glob

    reference, glob = parse_reference(name), Glob(pattern)
    return glob.matches(reference.familiar) or glob.matches(reference.familiar_name)
