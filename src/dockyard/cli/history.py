"""``dockyard history``: turns an image's steps into docker's table."""

from __future__ import annotations

from dockyard.cli import common, imageview

_HEADS = {"ID": "IMAGE", "CreatedSince": "CREATED", "CreatedBy": "CREATED BY", "Size": "SIZE",
          "Comment": "COMMENT"}  # fmt: skip
_LONGEST = 45


def run(argv: list[str]) -> int:
    parser = common.Parser("history", "[OPTIONS] IMAGE", "Show how an image came to be.",
                           "  dockyard history --no-trunc alpine\n")  # fmt: skip
    parser.add_argument("image", metavar="IMAGE")
    parser.flag("--no-trunc", help="show commands and IDs in full")
    parser.flag("-q", "--quiet", help="print only IDs")
    parser.flag("-H", "--human", help="accepted; sizes and times are for people anyway")
    parser.add_argument("--format", default="", metavar="TEMPLATE", help="a Go template")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    words = parser.parse_args(argv)
    store = imageview.open_store()
    image = store.resolve(words.image)
    sizes = iter(store.unpacked(image))
    rows = []
    for step in image.config.history:
        taken = 0 if step.empty_layer else next(sizes, 0)
        command = common.printable(step.created_by)
        if not words.no_trunc and len(command) > _LONGEST:
            command = command[: _LONGEST - 1] + "…"
        rows.append({
            "ID": "<missing>", "CreatedSince": imageview.age(step.created),
            "CreatedAt": step.created, "CreatedBy": command, "Size": imageview.size(taken),
            "Comment": common.printable(step.comment),
        })  # fmt: skip
    rows.reverse()
    if rows:
        rows[0]["ID"] = str(image.id) if words.no_trunc else image.id.short
    if words.quiet:
        print("".join(f"{row['ID']}\n" for row in rows), end="")
    elif words.output == "json":
        imageview.print_json(rows)
    elif words.format:
        from dockyard.cli.template import listed

        print(listed(words.format, rows, _HEADS), end="")
    else:
        print(common.table(list(_HEADS.values()), [[row[key] for key in _HEADS] for row in rows]))
    return 0
