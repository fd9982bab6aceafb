"""Turns why a request fails into a status and the specification's error document.

OCI distribution-spec 1.1, "Error Codes"; those of Docker's registry that it lacks stand below.
"""

from __future__ import annotations

from typing import Any

import orjson

JSON = b"Content-Type: application/json\r\n"

# code: (status, what is said where nothing better is known)
CODES: dict[str, tuple[int, str]] = {
    "BLOB_UNKNOWN": (404, "blob unknown to registry"),
    "BLOB_UPLOAD_INVALID": (400, "blob upload invalid"),
    "BLOB_UPLOAD_UNKNOWN": (404, "blob upload unknown to registry"),
    "DIGEST_INVALID": (400, "provided digest did not match uploaded content"),
    "MANIFEST_BLOB_UNKNOWN": (400, "manifest references a manifest or blob unknown to registry"),
    "MANIFEST_INVALID": (400, "manifest invalid"),
    "MANIFEST_UNKNOWN": (404, "manifest unknown to registry"),
    "NAME_INVALID": (400, "invalid repository name"),
    "NAME_UNKNOWN": (404, "repository name not known to registry"),
    "SIZE_INVALID": (400, "provided length did not match content length"),
    "UNAUTHORIZED": (401, "authentication required"),
    "DENIED": (403, "requested access to the resource is denied"),
    "UNSUPPORTED": (405, "the operation is unsupported"),
    "TOOMANYREQUESTS": (429, "too many requests"),
    # Docker's registry has these besides
    "TAG_INVALID": (400, "manifest tag did not match the grammar"),
    "PAGINATION_NUMBER_INVALID": (400, "invalid number of results requested"),
    "RANGE_INVALID": (416, "invalid content range"),
    "UNAVAILABLE": (503, "service unavailable"),
    "UNKNOWN": (500, "unknown error"),
}


class Refusal(Exception):
    """A request that gets an error. ``headers``: lines, each with its CRLF."""

    def __init__(
        self, code: str, message: str = "", detail: Any = None, *, status: int = 0,
        headers: bytes = b"",
    ) -> None:  # fmt: skip
        usual, words = CODES[code]
        super().__init__(message or words)
        self.code, self.detail = code, detail
        self.status, self.headers = status or usual, headers

    def body(self) -> bytes:
        """The error document."""
        return document(self.code, str(self), self.detail)


def document(code: str, message: str, detail: Any = None) -> bytes:
    """One error, as JSON."""
    error = {"code": code, "message": message}
    if detail is not None:
        error["detail"] = detail
    return orjson.dumps({"errors": [error]})


_OF_STATUS = {413: "SIZE_INVALID", 429: "TOOMANYREQUESTS", 503: "UNAVAILABLE"}


def unheard(status: int, why: str) -> tuple[bytes, bytes]:
    """The headers and body for a request that no handler sees."""
    return JSON, document(_OF_STATUS.get(status, "UNSUPPORTED"), why)
