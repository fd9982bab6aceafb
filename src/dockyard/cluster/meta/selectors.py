"""Turns selector expressions into requirements, and labels or fields into yes or no.

Text form: ``app=web,tier in (a,b),!old,size>3`` (API conventions, "Label selectors"). Object form:
``matchLabels`` and ``matchExpressions`` (``metav1.LabelSelector``). Field selectors know ``=``,
``==`` and ``!=`` only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from dockyard.base.errors import Invalid
from dockyard.cluster.meta.names import label_value, qualified_name

IN, NOT_IN, EXISTS, DOES_NOT_EXIST = "in", "notin", "exists", "!"
GREATER, LESS = "gt", "lt"
LONGEST = 64 * 1024
"""Bytes of a selector's text."""


class Requirement(NamedTuple):
    """One condition on one key."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        operator = self.operator
        if operator == IN:
            return value is not None and value in self.values
        if operator == NOT_IN:
            return value is None or value not in self.values
        if operator == EXISTS:
            return value is not None
        if operator == DOES_NOT_EXIST:
            return value is None
        if value is None or not _INTEGER.match(value):
            return False
        (bound,) = self.values
        return int(value) > int(bound) if operator == GREATER else int(value) < int(bound)


class Selector(NamedTuple):
    """All of its requirements must hold; with none it matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        found = labels or {}
        return all(each.matches(found) for each in self.requirements)

    @property
    def empty(self) -> bool:
        return not self.requirements


class Nothing(Selector):
    """Matches nothing: a selector that is ``null``, not empty."""

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        return False

    @property
    def empty(self) -> bool:
        return False


EVERYTHING = Selector()
NOTHING = Nothing()
_INTEGER = re.compile(r"[+-]?\d{1,18}\Z", re.ASCII)
_TOKEN = re.compile(r"\s*(?:(==|!=|=|!|,|\(|\)|>|<)|([^\s=!,()<>]+))")


def parse_labels(text: str) -> Selector:
    """The selector that a text says; :class:`Invalid` if it says none."""
    if len(text) > LONGEST:
        raise Invalid(f"label selector: {len(text)} characters: at most {LONGEST} are read")
    tokens = _tokens(text)
    found: list[Requirement] = []
    position = 0
    while position < len(tokens):
        requirement, position = _requirement(tokens, position)
        found.append(requirement)
        if position == len(tokens):
            break
        if tokens[position] != ",":
            raise _unable(f"found '{tokens[position]}', expected: ',' or 'end of string'")
        position += 1
        if position == len(tokens):
            raise _unable("found '', expected: identifier after ','")
    return Selector(tuple(found))


def _unable(why: str) -> Invalid:
    return Invalid(f"unable to parse requirement: {why}")


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    position = 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:  # pragma: no cover - the pattern matches every character
            raise _unable(f"found '{text[position]}'")
        found.append(match.group(1) or match.group(2))
        position = match.end()
    return found


_OPERATORS = frozenset({"==", "!=", "=", "!", ",", "(", ")", ">", "<"})


def _requirement(tokens: list[str], position: int) -> tuple[Requirement, int]:
    negated = tokens[position] == "!"
    position += negated
    key = tokens[position] if position < len(tokens) else ""
    if not key or key in _OPERATORS:
        raise _unable(f"found '{key}', expected: identifier")
    _check(qualified_name(key), key)
    position += 1
    after = tokens[position] if position < len(tokens) else ""
    if negated or after in {"", ","}:
        return Requirement(key, DOES_NOT_EXIST if negated else EXISTS), position
    if after in {"=", "==", "!="}:
        value, position = _value(tokens, position + 1)
        return Requirement(key, NOT_IN if after == "!=" else IN, frozenset([value])), position
    if after in {">", "<"}:
        value, position = _value(tokens, position + 1)
        if not _INTEGER.match(value):
            fault = "for 'Gt', 'Lt' operators, the value must be an integer"
            raise _unable(f'values[0][{key}]: Invalid value: "{value}": {fault}')
        return Requirement(key, GREATER if after == ">" else LESS, frozenset([value])), position
    if after in {"in", "notin"}:
        values, position = _values(tokens, position + 1)
        return Requirement(key, IN if after == "in" else NOT_IN, frozenset(values)), position
    raise _unable(f"found '{after}', expected: in, notin, =, ==, !=, gt, lt")


def _value(tokens: list[str], position: int) -> tuple[str, int]:
    """One value; nothing at all is the empty one."""
    if position == len(tokens) or tokens[position] == ",":
        return "", position
    value = tokens[position]
    if value in _OPERATORS:
        raise _unable(f"found '{value}', expected: identifier")
    _check(label_value(value), value)
    return value, position + 1


def _values(tokens: list[str], position: int) -> tuple[list[str], int]:
    if position == len(tokens) or tokens[position] != "(":
        got = tokens[position] if position < len(tokens) else ""
        raise _unable(f"found '{got}', expected: '('")
    found: list[str] = []
    position += 1
    wanted = True
    while position < len(tokens) and tokens[position] != ")":
        word = tokens[position]
        if word == ",":
            if wanted:
                found.append("")
            wanted = True
        elif word in _OPERATORS or not wanted:
            raise _unable(f"found '{word}', expected: ',', ')' or identifier")
        else:
            _check(label_value(word), word)
            found.append(word)
            wanted = False
        position += 1
    if position == len(tokens):
        raise _unable("found '', expected: ',' or ')'")
    if wanted:
        found.append("")
    return found, position + 1


def _check(faults: list[str], value: str) -> None:
    if faults:
        raise _unable(f'Invalid value: "{value}": {"; ".join(faults)}')


_OBJECT_OPERATORS = {
    "In": IN,
    "NotIn": NOT_IN,
    "Exists": EXISTS,
    "DoesNotExist": DOES_NOT_EXIST,
    "Gt": GREATER,
    "Lt": LESS,
}


def from_object(selector: Mapping[str, Any] | None) -> Selector:
    """A ``metav1.LabelSelector`` that has been validated; None selects nothing, {} everything."""
    if selector is None:
        return NOTHING
    found = [
        Requirement(key, IN, frozenset([value]))
        for key, value in (selector.get("matchLabels") or {}).items()
    ]
    return Selector((*found, *expressions(selector.get("matchExpressions") or ())))


def expressions(terms: Iterable[Mapping[str, Any]]) -> Iterable[Requirement]:
    """Requirements of ``matchExpressions``, of label selectors and of node selectors. One without
    an operator that is known selects nothing: kinds that nobody validates may have such."""
    for each in terms:
        operator = _OBJECT_OPERATORS.get(each.get("operator", ""))
        values = frozenset(each.get("values") or ()) if operator else frozenset[str]()
        yield Requirement(each.get("key", ""), operator or IN, values)


def from_map(labels: Mapping[str, str] | None) -> Selector:
    """A plain map (of Services): every label must be there; an empty map selects nothing."""
    if not labels:
        return NOTHING
    return Selector(tuple(Requirement(key, IN, frozenset([labels[key]])) for key in labels))


def format_label_selector(selector: Mapping[str, Any] | None) -> str:
    """A LabelSelector in its text form, keys in order."""
    if not selector:
        return ""
    found = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for each in selector.get("matchExpressions") or ():
        key, values = each.get("key", ""), ",".join(sorted(each.get("values") or ()))
        shown = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }
        found.append((key, shown.get(each.get("operator", ""), key)))
    return ",".join(text for _, text in sorted(found))


class FieldRequirement(NamedTuple):
    """One field's equality or inequality."""

    field: str
    value: str
    equal: bool


class FieldSelector(NamedTuple):
    """All must hold."""

    requirements: tuple[FieldRequirement, ...] = ()

    def matches(self, fields: Mapping[str, str]) -> bool:
        return all(
            (fields.get(each.field, "") == each.value) is each.equal for each in self.requirements
        )

    def exact(self, field: str) -> str | None:
        """The value that a field must have, if the selector says so."""
        return next(
            (each.value for each in self.requirements if each.field == field and each.equal), None
        )


def parse_fields(text: str, known: Iterable[str] | None = None) -> FieldSelector:
    """``status.phase!=Running,spec.nodeName=a``; ``known`` are the fields that may be named."""
    if len(text) > LONGEST:
        raise Invalid(f"field selector: {len(text)} characters: at most {LONGEST} are read")
    found: list[FieldRequirement] = []
    allowed = None if known is None else frozenset(known)
    for part in _split(text):
        if not part:
            continue
        match = re.match(r"((?:[^=!\\]|\\.)*?)(==|!=|=)(.*)\Z", part, re.DOTALL)
        if match is None:
            raise Invalid(f"invalid selector: '{text}'; can't understand '{part}'")
        field, operator, value = match.groups()
        field = field.strip()
        if allowed is not None and field not in allowed:
            raise Invalid(f"field label not supported: {field}")
        found.append(FieldRequirement(field, _unescape(value, text), operator != "!="))
    return FieldSelector(tuple(found))


def _split(text: str) -> list[str]:
    parts: list[str] = []
    current = ""
    escaped = False
    for character in text:
        if escaped:
            current += character
            escaped = False
        elif character == ",":
            parts.append(current)
            current = ""
        else:
            current += character
            escaped = character == "\\"
    parts.append(current)
    return parts


def _unescape(value: str, text: str) -> str:
    found = ""
    characters = iter(value)
    for character in characters:
        if character == "\\":
            following = next(characters, "")
            if following not in {"\\", ",", "="} or not following:
                raise Invalid(f"invalid selector: '{text}'; invalid escape sequence")
            found += following
        elif character in ",=":
            raise Invalid(f"invalid selector: '{text}'; unescaped character in value: {character}")
        else:
            found += character
    return found
