"""Turns the query parameters of a request into checked values, once, at the door."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from dockyard.base.errors import Invalid
from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.meta import errors, resourceversion, selectors
from dockyard.cluster.meta import fielderrors as field
from dockyard.cluster.meta.selectors import FieldSelector, Selector

VALIDATIONS = ("Ignore", "Warn", "Strict")
MATCHES = ("Exact", "NotOlderThan", "")
META = "meta.k8s.io"
"""The group of the options' own kinds."""


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What a list, watch or deletecollection asks for."""

    labels: Selector
    fields: FieldSelector
    limit: int
    after: str
    """The key that the page before ended with."""
    at: int
    """The revision that a continued list is of; 0 if it is not continued."""
    revision: int | None
    match: str
    bookmarks: bool
    timeout: float

    @property
    def selects(self) -> bool:
        """Whether labels or fields decide."""
        return not self.labels.empty or bool(self.fields.requirements)


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What a create, update or patch asks for."""

    dry_run: bool
    validation: str


def list_options(options: Mapping[str, str], kind: Kind, *, watch: bool = False) -> ListOptions:
    """Checked. Raises BadRequest, Invalid, or Expired for a continue token that is none of ours."""
    _check_match(options, watch)
    after, at = _token(options["continue"]) if options.get("continue") else ("", 0)
    match = options.get("resourceVersionMatch", "")
    revision = resourceversion.parse(options.get("resourceVersion"))
    try:
        labels = selectors.parse_labels(options.get("labelSelector", ""))
        fields = selectors.parse_fields(options.get("fieldSelector", ""), kind.selectable_names)
    except Invalid as error:
        raise errors.BadRequest(str(error)) from None
    return ListOptions(
        labels=labels,
        fields=fields,
        limit=_number(options, "limit"),
        after=after,
        at=at,
        revision=revision,
        match=match,
        bookmarks=options.get("allowWatchBookmarks", "") in ("true", "1"),
        timeout=float(_number(options, "timeoutSeconds")),
    )


def _check_match(options: Mapping[str, str], watch: bool) -> None:
    """``resourceVersionMatch`` and ``sendInitialEvents`` against the rest, in the server's words.

    Release 1.33 has watches that begin with a list behind a gate that is closed: an informer that
    asks for one hears so, and lists."""
    match, revision = options.get("resourceVersionMatch"), options.get("resourceVersion")
    initial = options.get("sendInitialEvents")
    faults: list[field.FieldError] = []

    def forbid(name: str, why: str) -> None:
        faults.append(field.forbidden(name, f"{name} {why}"))

    if initial and not watch:
        forbid("sendInitialEvents", "is forbidden for list")
    elif initial and match != "NotOlderThan":
        forbid("sendInitialEvents", "requires setting resourceVersionMatch to NotOlderThan")
    elif initial:
        forbid("sendInitialEvents",
               "is forbidden for watch unless the WatchList feature gate is enabled")  # fmt: skip
    elif match and watch:
        forbid("resourceVersionMatch",
               "is forbidden for watch unless sendInitialEvents is provided")  # fmt: skip
    elif match:
        if not revision:
            forbid("resourceVersionMatch", "is forbidden unless resourceVersion is provided")
        if options.get("continue"):
            forbid("resourceVersionMatch", "is forbidden when continue is provided")
        if match not in MATCHES:
            faults.append(field.not_supported("resourceVersionMatch", match, MATCHES))
        elif match == "Exact" and revision == "0":
            forbid("resourceVersionMatch", 'Exact is forbidden for resourceVersion "0"')
    if faults:
        raise errors.invalid("ListOptions", "", faults, META)


def write_options(options: Mapping[str, str], verb: str) -> WriteOptions:
    """Checked. Raises Invalid."""
    dry_run = options.get("dryRun", "")
    validation = options.get("fieldValidation", "") or "Warn"
    faults = []
    if dry_run not in ("", "All"):
        faults.append(field.not_supported("dryRun", dry_run, ["All"]))
    if validation not in VALIDATIONS:
        faults.append(field.not_supported("fieldValidation", validation, sorted(VALIDATIONS)))
    if faults:
        raise errors.invalid(f"{verb.capitalize()}Options", "", faults, META)
    return WriteOptions(dry_run == "All", validation)


def _number(options: Mapping[str, str], name: str) -> int:
    text = options.get(name, "") or "0"
    if not text.isdecimal() or len(text) > 12:
        raise errors.BadRequest(f'{name}: Invalid value: "{text}": must be a whole number')
    return int(text)


def make_token(after: str, revision: int) -> str:
    """Where the next page begins, and which revision it is of."""
    data = json.dumps({"v": "dockyard/v1", "rv": revision, "start": after}).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _token(text: str) -> tuple[str, int]:
    try:
        data = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        start, revision = data["start"], data["rv"]
    except (binascii.Error, ValueError, KeyError, TypeError):
        start, revision = None, None
    known = isinstance(revision, int) and 1 <= revision <= resourceversion.LARGEST
    if not isinstance(start, str) or not known:
        raise errors.BadRequest("continue key is not valid: it is none that this server gave")
    return start, revision
