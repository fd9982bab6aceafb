"""Builds a registry from its settings and runs it: storage, users, TLS, collector, cache."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base.aio.clock import Clock, RealClock
from dockyard.base.aio.tasks import Tasks, in_thread
from dockyard.base.errors import Invalid
from dockyard.boot.listener import Listener, Tls, tls_context
from dockyard.node.image.registry.server.access import (
    EVERYTHING,
    Access,
    members,
    parse_rules,
)
from dockyard.node.image.registry.server.auth import Auth
from dockyard.node.image.registry.server.collect import Policy, Swept, collect
from dockyard.node.image.registry.server.files import Files
from dockyard.node.image.registry.server.front import Front
from dockyard.node.image.registry.server.memory import Memory
from dockyard.node.image.registry.server.metrics import Metrics
from dockyard.node.image.registry.server.quota import Quota, Quotas
from dockyard.node.image.registry.server.registry import Registry, Rules
from dockyard.node.image.registry.server.store import Store
from dockyard.node.image.registry.server.uploads import EXPIRY_SECONDS, Uploads

if TYPE_CHECKING:  # who is no cache does not load the client
    from dockyard.node.image.registry.server.upstream import Origin, Upstream

log = logging.getLogger("dockyard.registry")
THREADS = 16
END_SECONDS = 10.0
"""What is being answered when the server is told to end has this long."""


class Users(NamedTuple):
    """Who may come in."""

    htpasswd: str = ""
    rules: str = ""
    anonymous_pull: bool = False
    tokens: bool = False
    """Our own token server stands beside the registry."""
    realm: str = ""
    service: str = "dockyard-registry"
    issuer: str = "dockyard-registry"
    key: str = ""
    """Of tokens: a private key with ``tokens``, else public keys or certificates."""


class Settings(NamedTuple):
    """What a server is told."""

    root: str
    host: str = "127.0.0.1"
    port: int = 5000
    tls: Tls | None = None
    users: Users = Users()
    rules: Rules = Rules()
    quotas: tuple[Quota, ...] = ()
    policy: Policy = Policy()
    collect_seconds: float = 3600.0
    """0: only when SIGUSR1 asks for it."""
    upload_seconds: float = EXPIRY_SECONDS
    origin: Origin | None = None
    fresh_seconds: float = 60.0
    """A cache asks about a tag again after so long."""


async def serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """Until SIGTERM or SIGINT. ``ready`` is told the URL."""
    clock, loop = RealClock(), asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="registry"))
    stop, again, now = asyncio.Event(), asyncio.Event(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGHUP, again.set)
    loop.add_signal_handler(signal.SIGUSR1, now.set)
    tls = tls_context(settings.tls) if settings.tls else None
    driver = Files(settings.root)
    upstream = _upstream(settings.origin) if settings.origin else None
    try:
        async with Tasks() as tasks:
            registry = build(settings, driver, clock, tasks, upstream)
            front = Front(registry)
            listener = Listener(front.connection)
            port = await listener.open(settings.host, settings.port, tls)
            if settings.tls:
                tasks.start(listener.reload(clock, settings.tls, again), name="certificate")
            tasks.start(tidy(registry, settings, now), name="collector")
            ready(f"{'https' if tls else 'http'}://{_shown(settings.host)}:{port}")
            await stop.wait()
            listener.close()
            front.close()
            with contextlib.suppress(TimeoutError):
                async with clock.timeout(END_SECONDS):
                    while front.busy:
                        await clock.sleep(0.05)
            front.abort()
    finally:
        if upstream is not None:
            upstream.close()
        driver.close()


def build(
    settings: Settings, driver: Files, clock: Clock, tasks: Tasks, upstream: Upstream | None
) -> Registry:
    """The parts of a registry, on a folder that is ours."""
    store = Store(driver, steady(clock), Quotas(settings.quotas))
    uploads = Uploads(store, settings.upload_seconds)
    metrics = Metrics()
    metrics.gauge("uploads", "Upload sessions that are open.", lambda: uploads.count)
    metrics.gauge("repositories", "Repositories.", lambda: len(store.names))
    through = None
    if upstream is not None:
        from dockyard.node.image.registry.server.through import Through

        through = Through(clock, store, uploads, upstream, metrics, tasks, settings.fresh_seconds)
    return Registry(
        clock, store, uploads, authority(settings, driver, clock), Memory(store.versions),
        metrics, settings.rules, through,
    )  # fmt: skip


def steady(clock: Clock) -> Callable[[], float]:
    """Seconds since the epoch as they were at the start, and go on from there: when the machine's
    time jumps, nothing becomes old or young by it (G14)."""
    started = clock.time() - clock.monotonic()
    return lambda: started + clock.monotonic()


def _upstream(origin: Origin) -> Upstream:
    from dockyard.node.image.registry.server.upstream import Upstream

    return Upstream(origin)


def authority(settings: Settings, driver: Files, clock: Clock) -> Auth:
    """Who may come in, by the users' settings."""
    users = settings.users
    certificates = settings.tls is not None and bool(settings.tls.client_authority)
    verifier = issuer = passwords = None
    secured = bool(users.htpasswd or users.key or users.tokens or certificates)
    access = _access(users, secured)
    if users.htpasswd:
        from dockyard.node.image.registry.server.passwords import Passwords

        passwords = Passwords(users.htpasswd, clock.monotonic)
    if users.tokens or users.key:
        from dockyard.node.image.registry.server import jwt, tokens

        if users.tokens:
            pem = _read(users.key) if users.key else _own_key(driver)
            key = jwt.load_private(pem, users.key or "token.key")
            keys = [key.public_key()]
            issuer = tokens.Issuer(key, users.issuer, users.service, access, clock.time)
        else:
            keys = jwt.load_public(_read(users.key), users.key)
        verifier = tokens.Verifier(keys, users.issuer, users.service, clock.time)
    auth = Auth(
        clock, access, passwords=passwords, verifier=verifier, issuer=issuer,
        certificates=certificates, realm=users.realm,
    )  # fmt: skip
    auth.scheme = "https" if settings.tls else "http"
    return auth


def _access(users: Users, secured: bool) -> Access:
    if users.rules:
        return parse_rules(_read(users.rules), f"access rules: {users.rules}")
    return members(users.anonymous_pull) if secured else EVERYTHING


def _own_key(driver: Files) -> bytes:
    """The key that signs our tokens: made once, kept with the registry."""
    from dockyard.node.image.registry.server import jwt

    if driver.size("token.key") is None:
        driver.write("token.key", jwt.new_key())
    return driver.read("token.key")


async def tidy(registry: Registry, settings: Settings, now: asyncio.Event) -> None:
    """Expire uploads and collect garbage, from time to time and when asked."""
    while True:
        seconds = settings.collect_seconds
        with contextlib.suppress(TimeoutError):
            async with registry.clock.timeout(seconds or None):
                await now.wait()
        now.clear()
        try:
            await sweep(registry, settings.policy)
        except Exception:  # the next time may go well, and the registry serves on
            log.exception("garbage is not collected")


async def sweep(registry: Registry, policy: Policy) -> Swept:
    """One round; what it took away is counted."""
    expired = await in_thread(registry.clock, registry.uploads.expire)
    swept = await in_thread(registry.clock, collect, registry.store, policy)
    count = registry.metrics.count
    count("uploads_expired_total", "Upload sessions that nobody finished.", expired)
    count("collections_total", "Garbage collections.")
    count("collected_bytes_total", "Bytes that collections freed.", swept.size)
    log.warning(
        "collected: %d blobs, %d bytes; %d uploads expired", swept.blobs, swept.size, expired
    )
    return swept


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20)
    except OSError as error:
        raise Invalid(f"registry: {path}: cannot be read: {error.strerror}") from error


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
