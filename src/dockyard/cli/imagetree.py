"""``dockyard image tree``: turns images into their layers, and who shares them."""

from __future__ import annotations

from dockyard.cli import common, imageview


def run(argv: list[str]) -> int:
    parser = common.Parser("image tree", "[OPTIONS] [IMAGE...]",
                           "Show layers (lowest first), and which images share them.",
                           "  dockyard image tree app:1 app:2\n")  # fmt: skip
    parser.add_argument("image", nargs="*", metavar="IMAGE")
    parser.flag("--no-trunc", help="show digests in full")
    words = parser.parse_args(argv)
    store = imageview.open_store()
    images = store.list()
    sharing: dict[str, list[str]] = {}
    for image in images:
        name = imageview.familiar(image.names[0]) if image.names else image.id.short
        for layer in image.layers:
            sharing.setdefault(layer.chain_id, []).append(name)
    for image in [store.resolve(text) for text in words.image] or images:
        name = imageview.familiar(image.names[0]) if image.names else image.id.short
        print(f"{name} ({image.id if words.no_trunc else image.id.short}, "
              f"{imageview.size(image.size)})")  # fmt: skip
        sizes = store.unpacked(image)
        for number, (layer, size) in enumerate(zip(image.layers, sizes, strict=True)):
            branch = "└─" if number == len(sizes) - 1 else "├─"
            others = [each for each in dict.fromkeys(sharing[layer.chain_id]) if each != name]
            shared = f"  also in {', '.join(others)}" if others else ""
            digest = layer.digest if words.no_trunc else layer.digest.short
            print(f"{branch} {digest}  {imageview.size(size)}{shared}")
    return 0
