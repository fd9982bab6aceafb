"""``dockyard registry serve``: a registry that docker, podman and skopeo push to and pull from."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dockyard.base.errors import Invalid
from dockyard.base.oci.durations import duration
from dockyard.cli import common

if TYPE_CHECKING:
    import argparse

    from dockyard.boot.registry import Settings
    from dockyard.node.image.registry.server.quota import Quota
    from dockyard.node.image.registry.server.upstream import Origin

SHORTEST_GRACE = 900.0
EXAMPLES = """  # for this machine
  dockyard registry serve --address 127.0.0.1:5000 --root /srv/registry
  # TLS, and users made by `htpasswd -nB USER`; tokens with scopes
  dockyard registry serve --address 0.0.0.0:443 --root /srv/registry --tls-cert r.crt \\
      --tls-key r.key --htpasswd users --tokens --access rules.json
  # a cache of Docker Hub that forgets what nobody used for a week
  dockyard registry serve --root /srv/cache --proxy docker.io --proxy-keep 168h
  # one team may hold 20 GB, everybody else 5
  dockyard registry serve --root /srv/registry --quota 'team/*=20g' --quota '*=5g'
"""


def run(argv: list[str]) -> int:
    """``serve`` is the one second word."""
    return common.second_word("registry", {"serve": (serve, "Run a registry")}, argv)


def serve(argv: list[str]) -> int:
    """Until SIGTERM; SIGHUP loads the certificate anew, SIGUSR1 collects garbage now."""
    settings = parse(_parser().parse_args(argv))
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    if settings.rules.log:
        logging.getLogger("dockyard.registry.access").setLevel(logging.INFO)
    import uvloop

    from dockyard.boot import registry

    for line in warnings(settings):
        print(f"dockyard: registry: {line}", file=sys.stderr)

    def ready(url: str) -> None:
        print(f"serving on {url}, kept in {settings.root}", flush=True)

    uvloop.run(registry.serve(settings, ready))
    return 0


def warnings(settings: Settings) -> list[str]:
    """What an administrator may not have meant."""
    from dockyard.node.image.registry.challenge import is_loopback

    if is_loopback(settings.host):
        return []
    users = settings.users
    certificates = settings.tls is not None and settings.tls.client_authority
    if not (users.htpasswd or users.key or users.tokens or certificates):
        return [f"everybody who reaches {settings.host} may push and delete; see --htpasswd"]
    if settings.tls is None:
        return ["passwords and tokens travel in the clear; see --tls-cert"]
    return []


def _parser() -> common.Parser:
    parser = common.Parser(
        "registry serve", "[OPTIONS] --root DIR",
        "Run a registry (OCI distribution specification 1.1) in the foreground.", EXAMPLES,
    )  # fmt: skip
    add, flag = parser.add_argument, parser.flag
    add("--address", default="127.0.0.1:5000", metavar="HOST:PORT",
        help="where to listen (127.0.0.1:5000); port 0: a free one")  # fmt: skip
    add("--root", default="", metavar="DIR", help="where everything is kept")
    add(
        "--tls-cert",
        default="",
        metavar="FILE",
        help="certificate chain; read again when it changes",
    )
    add("--tls-key", default="", metavar="FILE", help="its key")
    add("--tls-client-ca", default="", metavar="FILE",
        help="clients show a certificate of it; its CN is the user")  # fmt: skip
    add("--htpasswd", default="", metavar="FILE", help="users with bcrypt hashes")
    add("--access", default="", metavar="FILE", help="who may do what, as JSON")
    flag("--anonymous-pull", help="who is not known may pull")
    flag(
        "--tokens", help="issue tokens at /token (with --htpasswd), take them instead of passwords"
    )
    add("--token-key", default="", metavar="FILE",
        help="with --tokens the key that signs, else another server's public keys")  # fmt: skip
    add("--token-realm", default="", metavar="URL", help="where clients get tokens")
    add("--token-service", default="dockyard-registry", metavar="NAME", help="tokens' audience")
    add("--token-issuer", default="dockyard-registry", metavar="NAME", help="tokens' issuer")
    parser.many("--quota", metavar="PATTERN=SIZE", help="bytes a repository may hold; first fits")
    add("--max-blob-size", default="100g", metavar="SIZE", help="largest blob (100g)")
    add("--upload-expiry", default="24h", metavar="TIME", help="unfinished uploads end after it")
    flag("--log-requests", help="a line for each request: address, user, what, status, seconds")
    flag("--no-delete", help="refuse deletes")
    flag("--sparse", help="take manifests that name what is not here")
    add(
        "--gc-interval",
        default="1h",
        metavar="TIME",
        help="between collections; 0: on SIGUSR1 only",
    )
    add("--gc-grace", default="24h", metavar="TIME", help="what is younger stays (24h)")
    flag("--gc-untagged", help="collect manifests that no tag leads to")
    add("--proxy", default="", metavar="REGISTRY", help="be a cache of this registry: host or URL")
    add("--proxy-fresh", default="1m", metavar="TIME", help="a tag is asked about again after it")
    add(
        "--proxy-keep",
        default="0",
        metavar="TIME",
        help="forget what was not used for it; 0: never",
    )
    add("--proxy-auth-file", default="", metavar="FILE", help="config.json with the login there")
    add("--proxy-ca-dir", default="", metavar="DIR", help="DIR/HOST/*.crt: whom to trust there")
    return parser


def parse(words: argparse.Namespace) -> Settings:
    """Checked settings."""
    from dockyard.boot.listener import Tls
    from dockyard.boot.registry import Settings, Users
    from dockyard.node.image.registry.server.collect import Policy
    from dockyard.node.image.registry.server.registry import Rules

    if not words.root:
        raise Invalid("registry: --root DIR is missing: where everything is kept")
    host, _, port = words.address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise Invalid(f"registry: --address {words.address}: not HOST:PORT")
    if bool(words.tls_cert) != bool(words.tls_key) or (words.tls_client_ca and not words.tls_cert):
        raise Invalid("registry: TLS needs both --tls-cert and --tls-key")
    if words.tokens and not words.htpasswd and not words.anonymous_pull and not words.access:
        raise Invalid("registry: --tokens: for whom? name users with --htpasswd")
    if words.token_key and not words.tokens and not words.token_realm:
        raise Invalid("registry: --token-key without --tokens: clients need --token-realm, too")
    passwords = bool(words.htpasswd or words.tokens or words.token_key)
    tls = Tls(words.tls_cert, words.tls_key, words.tls_client_ca, passwords)
    users = Users(
        words.htpasswd, words.access, words.anonymous_pull, words.tokens, words.token_realm,
        words.token_service, words.token_issuer, words.token_key,
    )  # fmt: skip
    grace = _time("--gc-grace", words.gc_grace)
    if grace < SHORTEST_GRACE:
        raise Invalid(f"registry: --gc-grace {words.gc_grace}: at least 15m: pushes take time")
    keep = _time("--proxy-keep", words.proxy_keep)
    return Settings(
        root=words.root,
        host=host.strip("[]"),
        port=int(port),
        tls=tls if words.tls_cert else None,
        users=users,
        rules=Rules(
            common.size(words.max_blob_size),
            not words.no_delete,
            words.sparse,
            words.log_requests,
        ),
        quotas=tuple(_quota(text) for text in words.quota),
        policy=Policy(grace, words.gc_untagged, keep or None),
        collect_seconds=_time("--gc-interval", words.gc_interval),
        upload_seconds=_time("--upload-expiry", words.upload_expiry),
        origin=_origin(words) if words.proxy else None,
        fresh_seconds=_time("--proxy-fresh", words.proxy_fresh),
    )


def _origin(words: argparse.Namespace) -> Origin:
    from dockyard.node.image.registry.hosts import CERT_DIRS, Hosts
    from dockyard.node.image.registry.server.upstream import Origin

    text = words.proxy if "://" in words.proxy else f"https://{words.proxy}"
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise Invalid(f"registry: --proxy {words.proxy}: a registry's host, or its URL")
    insecure = frozenset({parts.netloc}) if parts.scheme == "http" else frozenset()
    folders = (words.proxy_ca_dir,) if words.proxy_ca_dir else CERT_DIRS
    return Origin(parts.netloc, Hosts(insecure, folders, words.proxy_auth_file or None))


def _quota(text: str) -> Quota:
    from dockyard.node.image.registry.server import quota

    pattern, equals, size = text.rpartition("=")
    if not equals or not pattern:
        raise Invalid(f"registry: --quota {text}: not PATTERN=SIZE")
    return quota.Quota(pattern, common.size(size))


def _time(flag: str, text: str) -> float:
    seconds = duration(text)
    if seconds is None:
        raise Invalid(f"registry: {flag} {text}: a time like 30s or 1h30m")
    return seconds
