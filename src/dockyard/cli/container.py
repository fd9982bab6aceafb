"""``dockyard container``: Docker's longer names of the verbs, and ``prune``."""

from __future__ import annotations

import sys
from collections.abc import Callable

from dockyard.base.aio.now import wall
from dockyard.base.errors import DockyardError, Invalid
from dockyard.cli import common, sizes
from dockyard.cli.main import SEVERAL, VERBS
from dockyard.cli.moments import moment
from dockyard.cli.psfilters import chosen
from dockyard.node.engine.config import Container

SAME = ("attach", "commit", "cp", "create", "diff", "exec", "export", "inspect", "kill", "logs",
        "pause", "port", "rename", "restart", "rm", "run", "start", "stats", "stop", "top",
        "unpause", "update", "wait")  # fmt: skip
LISTS = ("ls", "list", "ps")
EXAMPLES = """  dockyard container prune -f
  dockyard container prune --filter until=24h
"""


def run(argv: list[str]) -> int:
    """Run the second word."""
    verbs: common.Verbs = {"ls": (_verb("ps"), "List containers")}
    verbs |= {name: (_verb(name), VERBS[name][1]) for name in SAME}
    verbs["prune"] = (_prune, "Remove all containers that do not run")
    if argv[:1] and argv[0] in LISTS:
        argv = ["ls", *argv[1:]]
    return common.second_word("container", verbs, argv)


def _verb(name: str) -> Callable[[list[str]], int]:
    def run_it(words: list[str]) -> int:
        module = __import__(f"dockyard.cli.{VERBS[name][0]}", fromlist=["run"])
        if name == "inspect":
            words = ["--type", "container", *words]
        return int(module.run([name, *words] if VERBS[name][0] in SEVERAL else words))

    return run_it


def _prune(argv: list[str]) -> int:
    parser = common.Parser("container prune", "[OPTIONS]",
                           "Remove all containers that do not run.", EXAMPLES)  # fmt: skip
    parser.flag("-f", "--force", help="do not ask")
    parser.many("--filter", metavar="KEY=VALUE", help="until=TIME, label=KEY[=VALUE], label!=...")
    options = parser.parse_args(argv)
    tests = [_test(word) for word in options.filter]
    if not options.force:
        print("WARNING! This will remove all stopped containers.")
        print("Are you sure you want to continue? [y/N] ", end="", flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return 0
    engine = common.engine()
    removed, freed = [], 0
    for container in engine.list():
        if container.status in ("created", "exited") and all(test(container) for test in tests):
            size = engine.size(container.id)
            try:
                engine.remove(container.id)
            except DockyardError as error:  # somebody has started it meanwhile
                print(f"dockyard: {error}", file=sys.stderr)
                continue
            removed.append(container.id)
            freed += size
    if removed:
        print("Deleted Containers:", *removed, sep="\n", end="\n\n")
    print(f"Total reclaimed space: {sizes.decimal(freed, 4)}")
    return 0


def _test(word: str) -> Callable[[Container], bool]:
    key, equals, value = word.partition("=")
    if key == "until" and equals:
        before = moment(value, wall())
        return lambda container: container.created < before
    if key in ("label", "label!") and equals:
        wanted = key == "label"
        return lambda container: (container in chosen([container], [f"label={value}"])) == wanted
    raise Invalid(f"invalid filter '{word}'; until=TIME, label=KEY[=VALUE] or label!=KEY[=VALUE]")
