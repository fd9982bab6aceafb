"""``dockyard image sign | verify-signature | generate-key-pair``: turns keys into trust."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from dockyard.base.errors import Invalid, NotFound
from dockyard.cli import common, imageview

if TYPE_CHECKING:
    from argparse import Namespace

PASSPHRASE = "COSIGN_PASSWORD"  # noqa: S105 - a variable's name

SIGN = """  dockyard image generate-key-pair --output-key-prefix team
  dockyard image sign --key team.key registry.example:5000/shop/api:1
  dockyard image sign --key team.key --passphrase-file pass.txt localhost:5000/api:1
  dockyard image sign --key team.key --sign-identity registry.example/api:1 localhost:5000/api:1
"""
VERIFY = """  dockyard image verify-signature --key team.pub registry.example:5000/shop/api:1
  dockyard image verify-signature --key team.pub --output json localhost:5000/api@sha256:...
"""
GENERATE = """  dockyard image generate-key-pair
  dockyard image generate-key-pair --output-key-prefix team --passphrase-file pass.txt
"""


def sign(argv: list[str]) -> int:
    """Cosign's signature, where cosign, skopeo and podman look for it."""
    parser = common.Parser(
        "image sign", "--key KEY [OPTIONS] IMAGE",
        "Sign an image in its registry, as cosign does. Of an index all images are signed too.",
        SIGN,
    )  # fmt: skip
    parser.add_argument("name", metavar="IMAGE")
    parser.add_argument("--key", required=True, metavar="KEY", help="private key, cosign's or PEM")
    parser.add_argument("--sign-identity", default="", metavar="NAME",
                        help="the name that is signed, if not the image's")  # fmt: skip
    _passphrase_option(parser)
    imageview.add_registry_options(parser)
    words = parser.parse_args(argv)
    from dockyard.base.oci.reference import parse_reference
    from dockyard.node.image.trust.keys import load_private, read_file

    if words.sign_identity:
        parse_reference(words.sign_identity)
    what = f"key: {words.key}"
    key = load_private(read_file(words.key), lambda: _passphrase(words), what)
    with imageview.progress_for(words.quiet or words.output == "json") as progress:
        digest = imageview.open_store(words).sign(
            words.name, key, identity=words.sign_identity,
            auth=imageview.credentials(words), progress=progress,
        )  # fmt: skip
    name = parse_reference(words.name).name
    if words.output == "json":
        imageview.print_json({"image": f"{name}@{digest}"})
    else:
        print(f"{name}@{digest}")
    return 0


def verify(argv: list[str]) -> int:
    """The claims that a key has signed."""
    parser = common.Parser(
        "image verify-signature", "--key PUB [OPTIONS] IMAGE",
        "Look in the registry for a signature of an image by a key; none: exit status 1.", VERIFY,
    )  # fmt: skip
    parser.add_argument("name", metavar="IMAGE")
    parser.many("--key", metavar="PUB", help="public key; of several one has to have signed")
    imageview.add_registry_options(parser)
    words = parser.parse_args(argv)
    if not words.key:
        parser.error("the following arguments are required: --key")
    from dockyard.node.image.trust.keys import load_public, read_file

    keys = tuple(load_public(read_file(path), f"key: {path}") for path in words.key)
    store = imageview.open_store(words)
    found = store.verify_signature(words.name, keys, auth=imageview.credentials(words))
    if words.output == "json":
        imageview.print_json([
            {"critical": {"identity": {"docker-reference": claim.identity},
                          "image": {"docker-manifest-digest": claim.digest}}}
            for claim in found.claims
        ])  # fmt: skip
        return 0
    for claim in found.claims:
        print(f"{found.digest}: signed as {common.printable(claim.identity)}")
    return 0


def generate(argv: list[str]) -> int:
    """``cosign.key`` and ``cosign.pub``."""
    parser = common.Parser(
        "image generate-key-pair", "[OPTIONS]",
        "Make an ECDSA P-256 pair, the private one sealed with a passphrase, as cosign does.",
        GENERATE,
    )  # fmt: skip
    parser.add_argument("--output-key-prefix", default="cosign", metavar="PATH",
                        help="of PATH.key and PATH.pub (default cosign)")  # fmt: skip
    _passphrase_option(parser)
    words = parser.parse_args(argv)
    from dockyard.node.image.trust.keys import generate as make

    private, public = make(words.output_key_prefix, _passphrase(words, again=True))
    print(f"Private key written to {private}")
    print(f"Public key written to {public}")
    return 0


def _passphrase_option(parser: common.Parser) -> None:
    parser.add_argument("--passphrase-file", metavar="FILE",
                        help=f"else ${PASSPHRASE}, else it is asked for")  # fmt: skip


def _passphrase(words: Namespace, *, again: bool = False) -> bytes:
    """Never an argument: those can be seen by everybody on the machine."""
    if words.passphrase_file:
        try:
            with open(words.passphrase_file, "rb") as file:
                return file.read().split(b"\n")[0]
        except OSError as error:
            raise NotFound(f"passphrase: {words.passphrase_file}: {error.strerror}") from error
    if PASSPHRASE in os.environ:
        return os.environb[PASSPHRASE.encode()]
    if not sys.stdin.isatty():
        raise Invalid(f"passphrase: neither --passphrase-file nor ${PASSPHRASE} is given, and "
                      "there is no terminal to ask on")  # fmt: skip
    from getpass import getpass

    given = getpass("Enter password for private key: ")
    if again and getpass("Enter password for private key again: ") != given:
        raise Invalid("passphrase: the two are not the same")
    return given.encode()
