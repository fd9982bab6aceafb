"""The shape that STYLE promises: small files, rooms that say what they are for, known words."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = sorted((PROJECT / "src").rglob("*.py"))
TEXTS = [
    path
    for folder in ("src", "tests", "docs", "examples", "bench", "tools")
    for path in sorted((PROJECT / folder).rglob("*"))
    if path.suffix in {".py", ".md", ".sh", ".toml", ".yaml", ".txt"}
    and "__pycache__" not in str(path)
] + [PROJECT / "README.md", PROJECT / "Makefile"]

LONGEST = 500
DEPENDENCIES = {
    "cryptography", "dnslib", "httptools", "isal", "numpy", "orjson", "pyyaml", "rich",
    "uvloop", "zstandard",
}  # fmt: skip


def name_of(path: Path) -> str:
    return str(path.relative_to(PROJECT))


@pytest.mark.parametrize("path", SOURCES + sorted((PROJECT / "tests").rglob("*.py")), ids=name_of)
def test_a_file_is_one_noun(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= LONGEST, f"{lines} lines: two nouns in one room?"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_module_says_what_it_does(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "no docstring"
    if path.name == "__init__.py" and path.parent.name != "dockyard":
        assert len(tree.body) == 1, "a room's __init__ holds its docstring and nothing else"


def test_a_dependency_is_a_decision() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<>=~! ]", line)[0] for line in project["dependencies"]}
    assert names == DEPENDENCIES


def test_every_dependency_is_pinned_with_its_hash() -> None:
    lock = (PROJECT / "requirements.lock").read_text()
    pinned = set(re.findall(r"^([A-Za-z0-9_.-]+)==", lock, re.MULTILINE))
    assert {name.lower() for name in pinned} >= DEPENDENCIES
    assert lock.count("--hash=sha256:") >= len(pinned)
    assert "http" not in lock.replace("httptools", "")


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_no_word_belongs_to_one_machine(path: Path) -> None:
    """No paths of one developer's machine, no marks of work left undone."""
    home, work = "/" + "root/", "/" + "work/"
    undone = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
    text = path.read_text()
    assert home not in text
    assert work not in text
    assert not undone.search(text)
