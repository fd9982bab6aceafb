"""``dockyard image diff``: turns two images into what the second changes of the first."""

from __future__ import annotations

from dockyard.cli import common, imageview


def run(argv: list[str]) -> int:
    parser = common.Parser("image diff", "BASE IMAGE", "Show what one image changes of another: "
                           "A added, C changed, D deleted.",
                           "  dockyard image diff app:1 app:2\n")  # fmt: skip
    parser.add_argument("base", metavar="BASE")
    parser.add_argument("image", metavar="IMAGE")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    words = parser.parse_args(argv)
    store = imageview.open_store()
    changes = store.diff(store.resolve(words.base), store.resolve(words.image))
    if words.output == "json":
        imageview.print_json([{"Kind": each.kind, "Path": each.path} for each in changes])
        return 0
    for change in changes:
        print(change.kind, common.printable(change.path))
    return 0
