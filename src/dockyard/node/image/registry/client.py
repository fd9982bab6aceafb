"""Turns names and digests into manifests and blobs of a registry, and puts them there.

OCI distribution-spec 1.1. What comes is not trusted: callers verify bytes against digests.
"""

import http.client
import json
import re
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit

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
from dockyard.node.image.registry.hosts import Credentials, Hosts
from dockyard.node.image.registry.tokens import Tokens
from dockyard.node.image.registry.transport import Answer, Request, Transport, origin

_ERROR_BODY = 1 << 20
_RESUMES = 5
_UPLOADS = 3
_PAGES = 1000
_SOURCES = 5
"""Repositories in one token's scope: more make its URL too long for some."""
_STREAM = {"Content-Type": "application/octet-stream"}


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
    ) -> None:
        """``elsewhere``: other repositories of the registry, from which blobs may be taken."""
        self.name = name
        self._transport = Transport(hosts, name.registry)
        self._tokens = Tokens(self._transport, auth or find_credentials(hosts, name.registry))
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
        accept = ", ".join((*ACCEPT, *SCHEMA_1))
        with self._send("GET", f"manifests/{target}", {"Accept": accept}) as answer:
            if answer.status == 404:
                raise ImageNotFound(
                    f"image: {self.name}: the registry has no such "
                    f"{'manifest' if ':' in target else 'tag'}: {reason(answer)}"
                )
            self._expect(answer, 200)
            headers = answer.headers
            data = answer.read(LARGEST)
            return Fetched(data, headers.get("Content-Type"), headers.get("Docker-Content-Digest"))

    def blob(self, blob: Descriptor) -> Iterator[bytes]:
        """A blob's bytes as they come, taken up again where a connection broke."""
        received = 0
        for _ in range(_RESUMES):
            headers = {"Range": f"bytes={received}-"} if received else {}
            try:
                with self._send("GET", f"blobs/{blob.digest}", headers) as answer:
                    if answer.status == 404:
                        raise ImageNotFound(
                            f"image: {self.name}: blob {blob.digest}: {reason(answer)}"
                        )
                    self._expect(answer, 206 if received and answer.status != 200 else 200)
                    skip = received if answer.status == 200 else 0
                    for chunk in answer.chunks():
                        fresh = chunk[skip:]
                        skip -= len(chunk) - len(fresh)
                        received += len(fresh)
                        if fresh:
                            yield fresh
            except (OSError, http.client.HTTPException) as error:
                broken = error
                continue
            if received >= blob.size:
                return
            broken = http.client.IncompleteRead(b"", blob.size - received)
        raise RegistryUnavailable(
            f"registry: {self.name.registry}: blob {blob.digest}: broke off {_RESUMES} times, "
            f"last after {received} of {blob.size} bytes: {broken or type(broken).__name__}"
        )

    def has_blob(self, digest: Digest) -> bool:
        with self._send("HEAD", f"blobs/{digest}", {}) as answer:
            if answer.status == 404:
                return False
            self._expect(answer, 200)
            return True

    def check_login(self) -> None:
        """Raise :class:`RegistryDenied` where the credentials are not taken (``GET /v2/``)."""
        with self._send("GET", f"{self._transport.base}/v2/", {}) as answer:
            self._expect(answer, 200)
            answer.read(_ERROR_BODY)

    def tags(self) -> list[str]:
        """All tags of the repository, page by page (distribution-spec, "Listing Tags")."""
        found: list[str] = []
        path = "tags/list"
        for _ in range(_PAGES):
            with self._send("GET", path, {}) as answer:
                self._expect(answer, 200)
                what = f"registry: {self.name.registry}: tags of {self.name.repository}"
                value = decode_object(answer.read(LARGEST), what, limit=LARGEST)
                tags = value.get("tags") or []
                if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
                    raise RegistryUnavailable(f"{what}: the answer has no list of tags")
                found += tags
                link = re.match(r"\s*<([^>]+)>", answer.headers.get("Link") or "")
                if not link:
                    return found
                path = urljoin(answer.url, link[1])
        raise RegistryUnavailable(f"{what}: more than {_PAGES} pages; refused")

    def mount(self, digest: Digest, source: str) -> bool:
        """Have the registry take a blob from another of its repositories; whether it did.

        A registry that does not begins an upload instead (distribution-spec, "Mounting a blob
        from another repository"): that one is given up.
        """
        query = urlencode({"mount": digest, "from": source})
        with self._send("POST", f"blobs/uploads/?{query}", {}, body=tuple, length=0) as answer:
            answer.read(_ERROR_BODY)
            if answer.status != 202:
                return answer.status == 201
            where = self._location(answer)
        with self._send("DELETE", where, {}) as answer:
            answer.read(_ERROR_BODY)
        return False

    def upload(self, blob: Descriptor, body: Callable[[], Iterable[bytes]]) -> None:
        """Push a blob in one piece (distribution-spec, "POST then PUT"). What is cut off is begun
        anew: a registry keeps what has come, and would add to it."""
        for last in (*[False] * (_UPLOADS - 1), True):
            url = _with_digest(self._begin(), blob.digest)
            try:
                with self._send(
                    "PUT", url, _STREAM, body=body, length=blob.size, once=not last
                ) as answer:
                    if answer.status < 500 or last:
                        self._expect(answer, 201)
                        answer.read(_ERROR_BODY)
                        return
            except RegistryUnavailable:
                if last:
                    raise

    def upload_stream(self, chunks: Iterable[bytes]) -> tuple[Digest, int]:
        """Push bytes whose digest is known when they have passed ("POST, PATCH, PUT")."""
        hasher = Digest("sha256:").hasher()
        size = 0

        def passing() -> Iterator[bytes]:
            nonlocal size
            for chunk in chunks:
                hasher.update(chunk)
                size += len(chunk)
                yield chunk

        where = self._begin()
        with self._send("PATCH", where, _STREAM, body=passing, length=-1, once=True) as answer:
            self._expect(answer, 202)
            answer.read(_ERROR_BODY)
            where = self._location(answer)
        digest = Digest("sha256:" + hasher.hexdigest())
        url = _with_digest(where, digest)
        with self._send("PUT", url, _STREAM, body=tuple, length=0) as answer:
            self._expect(answer, 201)
            answer.read(_ERROR_BODY)
        return digest, size

    def _begin(self) -> str:
        """Where a new upload goes."""
        with self._send("POST", "blobs/uploads/", {}, body=tuple, length=0) as answer:
            self._expect(answer, 202)
            answer.read(_ERROR_BODY)
            return self._location(answer)

    def _location(self, answer: Answer) -> str:
        where = urljoin(answer.url, answer.headers.get("Location", ""))
        if urlsplit(where).scheme not in ("http", "https"):
            raise RegistryUnavailable(
                f"registry: {self.name.registry}: upload to {where!r}; refused"
            )
        return where

    def put_manifest(self, target: str, media_type: str, data: bytes) -> None:
        headers = {"Content-Type": media_type}
        path = f"manifests/{target}"
        with self._send("PUT", path, headers, body=lambda: [data], length=len(data)) as answer:
            self._expect(answer, 201)
            answer.read(_ERROR_BODY)

    def ask(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        """The answer to a request below the repository, whatever it is: for who passes it on."""
        return self._send(method, path, headers)

    def _send(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        *,
        body: Callable[[], Iterable[bytes]] | None = None,
        length: int = 0,
        once: bool = False,
    ) -> Answer:
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

    def _expect(self, answer: Answer, status: int) -> None:
        if answer.status == status:
            return
        where = f"registry: {self.name.registry}: {self.name.repository}: {answer.status}"
        text = f"{where} {reason(answer)}"
        if answer.status in (401, 403):
            raise RegistryDenied(f"{text}: log in (pods: imagePullSecrets), or ask for access")
        if answer.status == 404:
            raise ImageNotFound(text)
        if answer.status == 429 or answer.status >= 500:
            raise RegistryUnavailable(text)
        raise DockyardError(text)


def _with_digest(where: str, digest: Digest) -> str:
    return f"{where}{'&' if urlsplit(where).query else '?'}digest={digest}"


def reason(answer: Answer) -> str:
    """The registry's own words (distribution-spec, "Error Codes"), else the status' name."""
    try:
        errors = json.loads(answer.read(_ERROR_BODY))["errors"]
        said = ", ".join(f"{item['code']}: {item.get('message', '')}" for item in errors)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        said = ""
    shown = "".join(char if char.isprintable() else " " for char in said[:500])
    return shown or http.client.responses.get(answer.status, "no reason given")
