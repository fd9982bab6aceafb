"""``dockyard image verify``: turns damage on disk into lines, and an exit code."""

from __future__ import annotations

from dockyard.cli import common, imageview

EXAMPLES = """  dockyard image verify                     # every byte of every image
  dockyard image verify --repair alpine && dockyard pull alpine
"""


def run(argv: list[str]) -> int:
    """1 where something is damaged."""
    what = "Look for damage in what the disk holds of images."
    parser = common.Parser("image verify", "[OPTIONS] [IMAGE...]", what, EXAMPLES)
    parser.add_argument("image", nargs="*", metavar="IMAGE")
    parser.flag("--repair", help="remove what is damaged, so that a pull brings it again")
    parser.flag("-q", "--quiet", help="print only damage")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    words = parser.parse_args(argv)
    found = imageview.open_store().verify(words.image, repair=words.repair)
    if words.output == "json":
        imageview.print_json([
            {"Image": name, "Damage": [one._asdict() for one in damage]}
            for name, damage in found.items()
        ])  # fmt: skip
        return int(any(found.values()))
    for name, damage in found.items():
        shown = name if name.startswith("sha256:") else imageview.familiar(name)
        for one in damage:
            print(f"{shown}: {common.printable(f'{one.what}: {one.reason}')}")
        if not damage and not words.quiet:
            print(f"{shown}: ok")
    return int(any(found.values()))
