"""``dockyard login``: turns a name and a password into an entry of config.json."""

from __future__ import annotations

import sys

from dockyard.base.errors import Invalid
from dockyard.cli import common

HUB = "docker.io"
HUB_NAMES = ("docker.io", "index.docker.io", "https://index.docker.io/v1/")
LOGIN_EXAMPLES = """  dockyard login                                  # Docker Hub
  pass show registry | dockyard login -u me --password-stdin registry.example.com:5000
"""


def run(argv: list[str]) -> int:
    parser = common.Parser("login", "[OPTIONS] [SERVER]", "Log in to a registry.", LOGIN_EXAMPLES)
    parser.add_argument("server", nargs="?", default=HUB, metavar="SERVER")
    parser.add_argument("-u", "--username", metavar="NAME", help="who you are there")
    parser.add_argument("-p", "--password", metavar="TEXT", help="others on the machine can see it")
    parser.flag("--password-stdin", help="take the password from standard input")
    _add_options(parser)
    words = parser.parse_args(argv)
    from dockyard.base.oci.reference import parse_reference
    from dockyard.node.image.registry.client import RegistryClient
    from dockyard.node.image.registry.credentials import keep_credentials
    from dockyard.node.image.registry.hosts import CERT_DIRS, Credentials, Hosts

    registry = registry_of(words.server)
    username, password = _who(words.username, words.password, words.password_stdin)
    lax = frozenset(() if words.tls_verify else {registry})
    folders = (words.cert_dir,) if words.cert_dir else CERT_DIRS
    hosts = Hosts(lax, folders, words.authfile)
    credentials = Credentials(username, password)
    with RegistryClient(hosts, parse_reference(f"{registry}/login"), credentials, "") as client:
        if token := client.check_login():
            credentials = Credentials(username, refresh=token)
    kept = keep_credentials(hosts, registry, credentials)
    if kept and credentials.password:
        print(
            f"WARNING! Your password will be stored unencrypted in {kept}.\n"
            "Configure a credential helper (credsStore or credHelpers in that file) to remove this "
            "warning.\n",
            file=sys.stderr,
        )
    print("Login Succeeded")
    return 0


def _add_options(parser: common.Parser) -> None:
    import argparse

    parser.add_argument("--authfile", metavar="FILE", help="docker's config.json elsewhere")
    parser.add_argument("--cert-dir", metavar="DIR", help="folder with HOST/*.crt to trust")
    parser.add_argument(
        "--tls-verify", action=argparse.BooleanOptionalAction, default=True,
        help="--no-tls-verify allows plain HTTP and any certificate",
    )  # fmt: skip


def registry_of(server: str) -> str:
    """The registry that a user means; ``https://`` and a path are of no meaning to us."""
    from dockyard.base.oci.reference import parse_reference

    if server in HUB_NAMES:
        return HUB
    plain = server.removeprefix("https://").removeprefix("http://").partition("/")[0]
    if not ({".", ":"} & set(plain)) and plain != "localhost":
        raise Invalid(f"login: {server[:200]!r}: HOST[:PORT] of a registry is expected")
    return parse_reference(f"{plain}/login").registry


def _who(username: str | None, password: str | None, from_stdin: bool) -> tuple[str, str]:
    if password is not None and from_stdin:
        raise Invalid("login: --password and --password-stdin are mutually exclusive")
    if from_stdin:
        if not username:
            raise Invalid("login: must provide --username with --password-stdin")
        return username, sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if password is not None:
        print("WARNING! Using --password via the CLI is insecure. Use --password-stdin.",
              file=sys.stderr)  # fmt: skip
    if (not username or password is None) and not sys.stdin.isatty():
        raise Invalid("login: cannot ask for a password without a terminal; use --password-stdin")
    if not username:
        username = input("Username: ").strip()
    if password is None:
        import getpass

        password = getpass.getpass("Password: ")
    if not username or not password:
        raise Invalid("login: username and password are required")
    return username, password
