"""``dockyard image tree``: turns images into their layers, and who shares them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockyard.base.errors import Unsupported
from dockyard.cli import common, imagebundle, imageview

if TYPE_CHECKING:
    from dockyard.node.image.image import Image
    from dockyard.node.image.store import ImageStore


def run(argv: list[str]) -> int:
    parser = common.Parser("image tree", "[OPTIONS] [IMAGE...]",
                           "Show layers (lowest first) and who shares them, platforms, referrers.",
                           "  dockyard image tree app:1 app:2\n")  # fmt: skip
    parser.add_argument("image", nargs="*", metavar="IMAGE")
    parser.flag("--no-trunc", help="show digests in full")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    words = parser.parse_args(argv)
    store = imageview.open_store()
    images = store.list()
    sharing: dict[str, list[str]] = {}
    for image in images:
        for layer in image.layers:
            sharing.setdefault(layer.chain_id, []).append(_name(image))
    wanted = [store.resolve(text) for text in words.image if _is_image(store, text)]
    whole = [found for text in words.image if (found := store.bundle(text))]
    bundles = [bundle for bundle in (dict.fromkeys(whole) if words.image else store.bundles())
               if bundle.names or words.image]  # fmt: skip
    shown = wanted if words.image else images
    if words.output == "json":
        told = [_described(store, image, sharing) for image in shown]
        imageview.print_json(told + [imagebundle.describe(store, each) for each in bundles])
        return 0
    for image in shown:
        _print_image(store, image, sharing, full=words.no_trunc)
    for bundle in bundles:
        names = ", ".join(map(imageview.familiar, bundle.names)) or bundle.digest.short
        kind = f": {common.printable(bundle.meaning.artifact_type)}"
        digest = bundle.digest if words.no_trunc else bundle.digest.short
        what = f"{bundle.kind}{kind if bundle.meaning.artifact_type else ''}"
        print(f"{names} ({what}, {digest}, {imageview.size(bundle.size)})")
        print(*imagebundle.tree(store, bundle, words.no_trunc), sep="\n")
    return 0


def _name(image: Image) -> str:
    return imageview.familiar(image.names[0]) if image.names else image.id.short


def _print_image(
    store: ImageStore, image: Image, sharing: dict[str, list[str]], *, full: bool
) -> None:
    name = _name(image)
    print(f"{name} ({image.id if full else image.id.short}, {imageview.size(image.size)})")
    sizes = store.unpacked(image)
    for number, (layer, size) in enumerate(zip(image.layers, sizes, strict=True)):
        branch = "└─" if number == len(sizes) - 1 else "├─"
        others = [each for each in dict.fromkeys(sharing[layer.chain_id]) if each != name]
        shared = f"  also in {', '.join(others)}" if others else ""
        digest = layer.digest if full else layer.digest.short
        print(f"{branch} {digest}  {imageview.size(size)}{shared}")


def _described(store: ImageStore, image: Image, sharing: dict[str, list[str]]) -> dict[str, object]:
    name = _name(image)
    layers = [
        {"Digest": layer.digest, "Size": size,
         "AlsoIn": [each for each in dict.fromkeys(sharing[layer.chain_id]) if each != name]}
        for layer, size in zip(image.layers, store.unpacked(image), strict=True)
    ]  # fmt: skip
    return {"Name": name, "Id": image.id, "Size": image.size, "Layers": layers}


def _is_image(store: ImageStore, text: str) -> bool:
    try:
        store.resolve(text)
    except Unsupported:
        return False
    return True
