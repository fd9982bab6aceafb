"""Turns a name into the list of what is wrong with it, in the words of Kubernetes's validation.

Grammar: RFC 1123 labels and subdomains, RFC 1035 labels, qualified names (API conventions,
"Metadata"; ``apimachinery/pkg/util/validation``).
"""

from __future__ import annotations

import re
from collections.abc import Callable

NameRule = Callable[[str], list[str]]

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?\Z")
_LABEL_1035 = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?\Z")
_QUALIFIED = re.compile(r"(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]\Z")
_LABEL_VALUE = re.compile(r"(?:(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?\Z")
_KEY = re.compile(r"[-._a-zA-Z0-9]+\Z")
_ENV = re.compile(r"[ -<>-~]+\Z")
_PORT_NAME = re.compile(r"[-a-z0-9]+\Z")

LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_1035_WORDS = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
    "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
QUALIFIED_WORDS = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
LABEL_VALUE_WORDS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    "or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
KEY_WORDS = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
    "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


def _too_long(limit: int) -> str:
    return f"must be no more than {limit} bytes"


def label_name(name: str) -> list[str]:
    """RFC 1123 label: namespaces, containers, volumes."""
    faults = [_too_long(63)] if len(name) > 63 else []
    return faults if _LABEL.match(name) else [*faults, LABEL_WORDS]


def subdomain_name(name: str) -> list[str]:
    """RFC 1123 subdomain: most objects."""
    faults = [_too_long(253)] if len(name) > 253 else []
    if name and all(_LABEL.match(part) for part in name.split(".")):
        return faults
    return [*faults, SUBDOMAIN_WORDS]


def label_1035_name(name: str) -> list[str]:
    """RFC 1035 label: services."""
    faults = [_too_long(63)] if len(name) > 63 else []
    return faults if _LABEL_1035.match(name) else [*faults, LABEL_1035_WORDS]


def path_segment_name(name: str) -> list[str]:
    """Anything that can stand in a URL path: roles and their bindings."""
    if name in {".", ".."}:
        return [f"may not be '{name}'"]
    return [f"may not contain '{each}'" for each in ("/", "%") if each in name]


def qualified_name(name: str) -> list[str]:
    """A key of labels, taints, annotations: ``[prefix/]name``."""
    faults: list[str] = []
    prefix, slash, part = name.rpartition("/")
    if slash:
        if not prefix:
            faults.append("prefix part must be non-empty")
        elif "/" in prefix:
            return [
                "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and "
                "must start and end with an alphanumeric character (e.g. 'MyName',  or "
                "'my.name',  or '123-abc', regex used for validation is "
                "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix "
                "and '/' (e.g. 'example.com/MyName')"
            ]
        else:
            faults += [f"prefix part {fault}" for fault in subdomain_name(prefix)]
    if not part:
        faults.append("name part must be non-empty")
    elif len(part) > 63:
        faults.append(f"name part {_too_long(63)}")
    if not _QUALIFIED.match(part):
        faults.append(QUALIFIED_WORDS)
    return faults


def label_value(value: str) -> list[str]:
    """The value of a label."""
    faults = [_too_long(63)] if len(value) > 63 else []
    return faults if _LABEL_VALUE.match(value) else [*faults, LABEL_VALUE_WORDS]


def config_key(key: str) -> list[str]:
    """A key of a ConfigMap or Secret: it becomes a file name."""
    faults = [_too_long(253)] if len(key) > 253 else []
    if not _KEY.match(key):
        return [*faults, KEY_WORDS]
    if key == ".":
        return [*faults, "must not be '.'"]
    if key == "..":
        return [*faults, "must not be '..'"]
    if key.startswith(".."):
        return [*faults, "must not start with '..'"]
    return faults


def env_name(name: str) -> list[str]:
    """An environment variable: printable ASCII without ``=`` (relaxed since 1.30)."""
    if _ENV.match(name):
        return []
    return [
        "a valid environment variable name must consist only of printable ASCII characters "
        "other than '='"
    ]


def port_name(name: str) -> list[str]:
    """An IANA service name: 15 characters, at least one letter."""
    faults = ["must be no more than 15 characters"] if len(name) > 15 else []
    if not _PORT_NAME.match(name):
        faults.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not any("a" <= each <= "z" for each in name):
        faults.append("must contain at least one letter (a-z)")
    if "--" in name:
        faults.append("must not contain consecutive hyphens")
    if name[:1] == "-" or name[-1:] == "-":
        faults.append("must not begin or end with a hyphen")
    return faults
