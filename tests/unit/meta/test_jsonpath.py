"""The table of kubernetes.io, "JSONPath Support", and what a template may get wrong."""

from __future__ import annotations

import pytest

from dockyard.base.errors import Invalid
from dockyard.cluster.meta.jsonpath import render

LIST = {
    "kind": "List",
    "items": [
        {"kind": "None",
         "metadata": {"name": "127.0.0.1", "labels": {"kubernetes.io/hostname": "a"}},
         "status": {"capacity": {"cpu": "4"}, "addresses": [{"type": "LegacyHostIP",
                                                             "address": "127.0.0.1"}]}},
        {"kind": "None", "metadata": {"name": "127.0.0.2"},
         "status": {"capacity": {"cpu": "8"}, "addresses": [
             {"type": "LegacyHostIP", "address": "127.0.0.2"},
             {"type": "another", "address": "127.0.0.3"}]}},
    ],
    "users": [{"name": "myself", "user": {}},
              {"name": "e2e", "user": {"username": "admin", "password": "secret"}}],
    "numbers": [1, 2, 3, 4], "yes": True,
}  # fmt: skip

PUBLISHED = {
    "kind is {.kind}": "kind is List",
    "{.kind}": "List",
    "{['kind']}": "List",
    "{..name}": "127.0.0.1 127.0.0.2 myself e2e",
    "{.items[*].metadata.name}": "127.0.0.1 127.0.0.2",
    "{.users[0].name}": "myself",
    "{.items[*]['metadata.name', 'status.capacity']}": "",
    '{.users[?(@.name=="e2e")].user.password}': "secret",
    "{range .items[*]}[{.metadata.name}, {.status.capacity}] {end}":
        '[127.0.0.1, {"cpu":"4"}] [127.0.0.2, {"cpu":"8"}] ',
    "{range .items[*]}{.metadata.name}{'\\t'}{end}": "127.0.0.1\t127.0.0.2\t",
    "{.items[0].metadata.labels.kubernetes\\.io/hostname}": "a",
    "{.users[-1:].name}": "e2e",
    "{.users[-1].name}": "e2e",
    "{.numbers[0:2]}": "1 2",
    "{.numbers[::2]}": "1 3",
    "{.numbers[0,3]}": "1 4",
    "{.numbers[?(@>2)]}": "3 4",
    "{.users[?(@.user.username)].name}": "e2e",
    "{.users[1]['name','user']}": 'e2e {"password":"secret","username":"admin"}',
    "{.items[*].status.addresses[?(@.type!='another')].address}": "127.0.0.1 127.0.0.2",
    "{$.kind}": "List",
    "{range .users[*]}{$.kind}{end}": "ListList",
    "{range .items[*]}{range .status.addresses[*]}{.address};{end}|{end}":
        "127.0.0.1;|127.0.0.2;127.0.0.3;|",
    "{.missing.field}": "",
    "{.yes}": "true",
    '{"a}b"}{"\\n"}': "a}b\n",
    "": "",
    "plain": "plain",
    "{.kind}{.kind}": "ListList",
    "{.users[*].name} {.kind}": "myself e2e List",
    "{@.kind}": "List",
    "{.numbers}": "[1,2,3,4]",
}  # fmt: skip


@pytest.mark.parametrize("template", PUBLISHED)
def test_published_forms(template: str) -> None:
    assert render(template, LIST) == PUBLISHED[template]


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{.kind", "unclosed action"),
        ("{'a}", "unclosed action"),
        ("{.items[0}", "unterminated array"),
        ("{.items[x]}", "invalid array index"),
        ("{range .items[*]}", "without {end}"),
        ("{end}", "without {range}"),
        ("{.numbers[9]}", "array index out of bounds: index 9, length 4"),
        ("{.numbers[::0]}", "step must be > 0"),
        ("{.a!b}", "unrecognized character"),
        ("{.users[?(@.name==frob)]}", "a path, text or number is expected"),
    ],
)
def test_mistakes_are_told(template: str, told: str) -> None:
    with pytest.raises(Invalid, match="jsonpath: ") as caught:
        render(template, LIST)
    assert told in str(caught.value)
