"""Names without a registry, by containers-registries.conf(5): "UNQUALIFIED SHORT-NAMES"."""

from pathlib import Path

import pytest

from dockyard.base.errors import Invalid
from dockyard.base.oci.reference import is_short
from dockyard.node.image.registry.hosts import Hosts
from dockyard.node.image.registry.mirrors import read
from dockyard.node.image.registry.shortnames import resolve_short

TWO = 'unqualified-search-registries = ["one.example", "two.example:5000"]\n'


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CONTAINERS_REGISTRIES_CONF", raising=False)
    return tmp_path / "registries.conf"


def names(conf: Path, text: str) -> list[str]:
    return [str(name) for name in resolve_short(Hosts(registries=(str(conf),)), text).names]


@pytest.mark.parametrize(
    ("text", "short"),
    [("busybox", True), ("busybox:1", True), ("team/app", True), ("team/app@sha256:0", True),
     ("localhost/app", False), ("host:5000/app", False), ("a.example/app", False),
     ("busybox:1.2", True)],
)  # fmt: skip
def test_what_is_short(text: str, short: bool) -> None:
    assert is_short(text) == short


def test_without_configuration_it_is_docker_io(conf: Path) -> None:
    assert names(conf, "busybox") == ["docker.io/library/busybox:latest"]
    conf.write_text("[[registry]]\nprefix = 'a.example'\n")
    assert names(conf, "team/app:1") == ["docker.io/team/app:1"]
    assert resolve_short(Hosts(registries=(str(conf),)), "busybox").note == ""


@pytest.mark.parametrize("mode", ["", 'short-name-mode = "permissive"\n',
                                  'short-name-mode = "disabled"\n'])  # fmt: skip
def test_registries_are_searched_in_their_order(conf: Path, mode: str) -> None:
    conf.write_text(TWO + mode)
    digest = "sha256:" + "1" * 64
    assert names(conf, "app:1") == ["one.example/app:1", "two.example:5000/app:1"]
    assert names(conf, f"team/app@{digest}")[1] == f"two.example:5000/team/app@{digest}"
    assert names(conf, "localhost/app:1") == ["localhost/app:1"]
    assert names(conf, "three.example/app:1") == ["three.example/app:1"]
    note = resolve_short(Hosts(registries=(str(conf),)), "app").note
    assert note == f'Resolving "app" using unqualified-search registries ({conf})'


def test_enforcing_wants_one_answer(conf: Path) -> None:
    conf.write_text(TWO + 'short-name-mode = "enforcing"\n')
    with pytest.raises(Invalid, match=r"which of one.example, two.example:5000 is meant\?"):
        names(conf, "app")
    conf.write_text('unqualified-search-registries = ["docker.io"]\nshort-name-mode = "enforcing"')
    assert names(conf, "app") == ["docker.io/library/app:latest"]
    conf.write_text(TWO + 'short-name-mode = "enforcing"\n[aliases]\napp = "b.example/x"\n')
    assert names(conf, "app") == ["b.example/x:latest"]


def test_aliases_come_first_and_later_files_change_them(conf: Path) -> None:
    conf.write_text(TWO + '[aliases]\n"team/app" = "a.example/other"\ngone = "a.example/gone"\n')
    assert names(conf, "team/app:7") == ["a.example/other:7"]
    note = resolve_short(Hosts(registries=(str(conf),)), "team/app:7").note
    assert note == f'Resolved "team/app" as an alias ({conf})'
    drop = conf.parent / "registries.conf.d"
    drop.mkdir()
    (drop / "10-later.conf").write_text('[aliases]\n"team/app" = "c.example/new"\ngone = ""\n')
    assert names(conf, "team/app") == ["c.example/new:latest"]
    assert len(names(conf, "gone")) == 2
    (drop / "20.conf").write_text('unqualified-search-registries = ["only.example"]\n')
    assert names(conf, "gone") == ["only.example/gone:latest"]


@pytest.mark.parametrize(
    "text",
    ['short-name-mode = "sometimes"', "unqualified-search-registries = 'x'",
     'unqualified-search-registries = [""]', 'unqualified-search-registries = ["nohost"]',
     "[aliases]\napp = 3", '[aliases]\napp = "other"', '[aliases]\napp = "a.example/UPPER"',
     "aliases = []"],
)  # fmt: skip
def test_mistakes_name_the_file(conf: Path, text: str) -> None:
    conf.write_text(text)
    with pytest.raises(Invalid, match=r"registries\.conf"):
        names(conf, "app")


def test_a_number_that_is_too_long_is_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "registries.conf").write_text(f"a = {'9' * 5000}\n")
    with pytest.raises(Invalid, match=r"registries\.conf"):
        read(str(tmp_path / "registries.conf"))
