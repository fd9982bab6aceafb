"""Turns names and digests into manifests and blobs of a registry, and puts them there.

OCI distribution-spec 1.1. What comes is not trusted: callers verify bytes against digests.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import NamedTuple, TypeVar
from urllib.parse import urlencode

from dockyard.base.errors import DockyardError
from dockyard.base.oci.descriptor import Descriptor
from dockyard.base.oci.digest import Digest
from dockyard.base.oci.manifest import ACCEPT, LARGEST, SCHEMA_1
from dockyard.base.oci.reference import Reference
from dockyard.base.oci.strictjson import decode_object
from dockyard.node.image.image import (
    ImageNotFound,
    RegistryDenied,
    RegistryUnavailable,
)
from dockyard.node.image.registry.challenge import parse_challenges
from dockyard.node.image.registry.credentials import find_credentials
from dockyard.node.image.registry.dial import joined, origin
from dockyard.node.image.registry.hosts import Credentials, Hosts
from dockyard.node.image.registry.receiving import receive
from dockyard.node.image.registry.sending import Sending, location_of
from dockyard.node.image.registry.tokens import Tokens
from dockyard.node.image.registry.transport import (
    Answer,
    Body,
    BrokenOff,
    Request,
    Transport,
    reason,
    wait_for,
)

T = TypeVar("T")
_ERROR_BODY = 1 << 20
_DOCUMENT_TRIES = 3
_PAGES = 1000
_MOST_TAGS = 64 << 20
"""Characters of all of them."""
_SOURCES = 5
"""Repositories in one token's scope: more make its URL too long for some."""


class Fetched(NamedTuple):
    """A manifest as it came: its bytes and the type and digest that the registry claims."""

    data: bytes
    media_type: str | None
    digest: str | None


class RegistryClient:
    """One repository of one registry. Several threads may use it; close it."""

    def __init__(
        self,
        hosts: Hosts,
        name: Reference,
        auth: Credentials | None,
        actions: str,
        elsewhere: Iterable[str] = (),
        transport: Transport | None = None,
    ) -> None:
        """``elsewhere``: other repositories of the registry, from which blobs may be taken."""
        self.name = name
        self._transport = transport or Transport(hosts, name.registry)
        auth = auth or find_credentials(hosts, name.registry, name.repository)
        self._tokens = Tokens(self._transport, auth)
        self._scope = f"repository:{name.repository}:{actions}" if actions else ""
        for repository in sorted(set(elsewhere))[:_SOURCES]:
            self._scope += f" repository:{repository}:pull"

    def __enter__(self) -> "RegistryClient":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._transport.close()

    def manifest(self, target: str) -> Fetched:
        """The document under a tag or digest; :class:`ImageNotFound` has the registry's words."""
        return self._again(lambda: self._manifest(target))

    def _again(self, act: Callable[[], T]) -> T:
        """What it gives; a document that broke off is asked for again."""
        for attempt in range(_DOCUMENT_TRIES - 1):
            try:
                return act()
            except BrokenOff:
                self._transport.pause(wait_for(attempt, None))
        return act()

    def _manifest(self, target: str) -> Fetched:
        accept = ", ".join((*ACCEPT, *SCHEMA_1))
        with self.ask("GET", f"manifests/{target}", {"Accept": accept}) as answer:
            if answer.status == 404:
                kind = "manifest" if ":" in target else "tag"
                raise self.missing(answer, f"the registry has no such {kind}")
            self.expect(answer, 200)
            headers = answer.headers
            data = answer.read(LARGEST)
            return Fetched(data, headers.get("Content-Type"), headers.get("Docker-Content-Digest"))

    def blob(self, blob: Descriptor) -> Iterator[bytes]:
        """A blob's bytes as they come, taken up again where a connection broke."""
        return receive(self, blob, self._transport.pause)

    def missing(self, answer: Answer, what: str) -> ImageNotFound:
        """An error with the registry's words."""
        return ImageNotFound(f"image: {self.name}: {what}: {reason(answer)}")

    def has_blob(self, digest: Digest) -> bool:
        with self.ask("HEAD", f"blobs/{digest}", {}) as answer:
            if answer.status == 404:
                return False
            self.expect(answer, 200)
            return True

    def check_login(self) -> str:
        """Raise :class:`RegistryDenied` where the credentials are not taken (``GET /v2/``). What
        to keep instead of the password, where the registry's token server gives such."""
        self._tokens.lasting = ""
        with self.ask("GET", f"{self._transport.base}/v2/", {}) as answer:
            self.expect(answer, 200)
            answer.read(_ERROR_BODY)
        return self._tokens.lasting or ""

    def tags(self) -> list[str]:
        """All tags of the repository, page by page (distribution-spec, "Listing Tags")."""
        found: list[str] = []
        size = 0
        path = "tags/list"
        for _ in range(_PAGES):
            tags, path = self._again(partial(self._page, path))
            found += tags
            size += sum(map(len, tags))
            if size > _MOST_TAGS:
                raise RegistryUnavailable(f"{self._tags_of}: more than {_MOST_TAGS} characters")
            if not path:
                return found
        raise RegistryUnavailable(f"{self._tags_of}: more than {_PAGES} pages; refused")

    @property
    def _tags_of(self) -> str:
        return f"registry: {self.name.registry}: tags of {self.name.repository}"

    def _page(self, path: str) -> tuple[list[str], str]:
        """Tags, and where the next ones are; empty: there are none."""
        with self.ask("GET", path, {}) as answer:
            self.expect(answer, 200)
            value = decode_object(answer.read(LARGEST), self._tags_of, limit=LARGEST)
            tags = value.get("tags") or []
            if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
                raise RegistryUnavailable(f"{self._tags_of}: the answer has no list of tags")
            link = re.match(r"\s*<([^>]+)>", answer.headers.get("Link") or "")
            if not link:
                return tags, ""
            try:
                following = joined(answer.url, link[1])
                if origin(following) != origin(answer.url):
                    raise ValueError("another host")
            except ValueError as error:
                raise RegistryUnavailable(
                    f"{self._tags_of}: go on at {link[1][:500]!r}: {error}; refused"
                ) from error
            return tags, following

    def mount(self, digest: Digest, source: str) -> bool:
        """Have the registry take a blob from another of its repositories; whether it did.

        A registry that does not begins an upload instead (distribution-spec, "Mounting a blob
        from another repository"): that one is given up.
        """
        query = urlencode({"mount": digest, "from": source})
        with self.ask("POST", f"blobs/uploads/?{query}", {}, body=tuple, length=0) as answer:
            answer.read(_ERROR_BODY)
            if answer.status != 202:
                return answer.status == 201
            where = location_of(answer, f"registry: {self.name.registry}")
        with self.ask("DELETE", where, {}) as answer:
            answer.read(_ERROR_BODY)
        return False

    def upload(self, blob: Descriptor, body: Body) -> None:
        """Push a blob; ``body`` gives the same bytes each time that it is asked."""
        Sending(self, body, blob, self._transport.pause).send()

    def upload_stream(self, body: Body) -> tuple[Digest, int]:
        """As :meth:`upload`, of bytes whose digest is known when they have passed."""
        return Sending(self, body, None, self._transport.pause).send()

    def put_manifest(self, target: str, media_type: str, data: bytes) -> None:
        headers = {"Content-Type": media_type}
        path = f"manifests/{target}"
        with self.ask("PUT", path, headers, body=lambda: [data], length=len(data)) as answer:
            self.expect(answer, 201)
            answer.read(_ERROR_BODY)

    def ask(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        *,
        body: Body | None = None,
        length: int = 0,
        once: bool = False,
    ) -> Answer:
        """The answer to a request below the repository (or to a whole URL), whatever it is."""
        base = self._transport.base
        url = path if "://" in path else f"{base}/v2/{self.name.repository}/{path}"
        ours = origin(url) == origin(base)
        shown = self._tokens.header(self._scope) if ours else None
        for _ in range(3):
            sent = headers | {"Authorization": shown} if shown else headers
            answer = self._transport.send(Request(method, url, sent, body, length, once))
            if answer.status != 401 or not ours:
                return answer
            challenges = parse_challenges(answer.headers.get_all("WWW-Authenticate") or [])
            shown = self._tokens.answer(challenges, self._scope, shown)
            if shown is None:
                return answer
            with answer:
                answer.read(_ERROR_BODY)
        return answer

    def expect(self, answer: Answer, status: int) -> None:
        if answer.status == status:
            return
        where = f"registry: {self.name.registry}: {self.name.repository}: {answer.status}"
        text = f"{where} {reason(answer)}"
        if answer.status in (401, 403):
            raise RegistryDenied(f"{text}: log in (pods: imagePullSecrets), or ask for access")
        if answer.status == 404:
            raise ImageNotFound(text)
        if answer.status == 429 or answer.status >= 500:
            asked = answer.headers.get("Retry-After")
            later = f": asks to be left alone for {asked[:40]!r} (Retry-After)" if asked else ""
            raise RegistryUnavailable(text + later)
        raise DockyardError(text)
