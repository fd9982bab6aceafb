"""Turns a refusal of the API into a ``metav1.Status`` with the code, reason and words clients know.

One class for each thing a caller can act on; each is also the class of :mod:`dockyard.base.errors`
that the rest of the house catches. Wording and reasons: kube-apiserver's
``apimachinery/pkg/api/errors`` (API conventions, "Response status kind").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from dockyard.base import errors as base
from dockyard.cluster.meta.fielderrors import FieldError, aggregate


class ApiError(base.DockyardError):
    """A refusal that goes to the client as a Status object."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "InternalError"

    def __init__(self, message: str, details: Mapping[str, Any] | None = None, *, code: int = 0):
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = dict(details or {})
        self.http_code = code or self.code

    def status(self) -> dict[str, Any]:
        """The ``v1`` Status object."""
        found: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details:
            found["details"] = self.details
        found["code"] = self.http_code
        return found

    @property
    def causes(self) -> list[dict[str, Any]]:
        """``details.causes``: the single faults of an invalid object."""
        return list(self.details.get("causes", ()))

    @property
    def retry_after(self) -> int | None:
        """Seconds after which the same request may work (``Retry-After``)."""
        return self.details.get("retryAfterSeconds")


class InternalError(ApiError):
    """Something of ours failed."""

    def __init__(self, what: str, details: Mapping[str, Any] | None = None, *, code: int = 0):
        message = what if details is not None else f"Internal error occurred: {what}"
        super().__init__(message, details or {"causes": [{"message": what}]}, code=code)


class BadRequest(ApiError, base.Invalid):
    """The request can't be read: not JSON, a wrong type, an unknown parameter."""

    code = 400
    reason = "BadRequest"


class Unauthorized(ApiError, base.Denied):
    """Nobody knows who asks."""

    code = 401
    reason = "Unauthorized"

    def __init__(
        self,
        message: str = "Unauthorized",
        details: Mapping[str, Any] | None = None,
        *,
        code: int = 0,
    ):
        super().__init__(message, details, code=code)


class Forbidden(ApiError, base.Denied):
    """Who asks may not do this, or a policy refuses it."""

    code = 403
    reason = "Forbidden"


class NotFound(ApiError, base.NotFound):
    """No such object, resource or path."""

    code = 404
    reason = "NotFound"


class MethodNotAllowed(ApiError, base.Unsupported):
    """The resource has no such verb."""

    code = 405
    reason = "MethodNotAllowed"


class NotAcceptable(ApiError, base.Invalid):
    """No representation that the client accepts."""

    code = 406
    reason = "NotAcceptable"


class Conflict(ApiError, base.Conflict):
    """The object has changed since it was read; read it again and retry."""

    code = 409
    reason = "Conflict"


class AlreadyExists(ApiError, base.Conflict):
    """The name is taken."""

    code = 409
    reason = "AlreadyExists"


class Gone(ApiError, base.NotFound):
    """What was here is no more."""

    code = 410
    reason = "Gone"


class Expired(ApiError, base.NotFound):
    """The revision or continue token is too old: list again."""

    code = 410
    reason = "Expired"


class TooLarge(ApiError, base.Invalid):
    """More bytes, items or operations than are accepted."""

    code = 413
    reason = "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError, base.Invalid):
    """A body in a form that nobody here reads."""

    code = 415
    reason = "UnsupportedMediaType"


class Invalid(ApiError, base.Invalid):
    """The object can be read and breaks its kind's rules; ``causes`` has one entry a field."""

    code = 422
    reason = "Invalid"


class TooManyRequests(ApiError, base.Unavailable):
    """Come back later."""

    code = 429
    reason = "TooManyRequests"


class ServiceUnavailable(ApiError, base.Unavailable):
    """A part that is needed does not answer."""

    code = 503
    reason = "ServiceUnavailable"


class Timeout(ApiError, base.Unavailable):
    """Not done in the time given."""

    code = 504
    reason = "Timeout"


_CLASSES: tuple[type[ApiError], ...] = (
    InternalError, BadRequest, Unauthorized, Forbidden, NotFound, MethodNotAllowed,
    NotAcceptable, Conflict, AlreadyExists, Gone, Expired, TooLarge, UnsupportedMediaType,
    Invalid, TooManyRequests, ServiceUnavailable, Timeout,
)  # fmt: skip
_BY_REASON = {each.reason: each for each in _CLASSES}
_BY_CODE = {each.code: each for each in reversed(_CLASSES)}


def from_status(status: Mapping[str, Any], http_code: int = 0) -> ApiError:
    """The error that a Status object of a server stands for."""
    code = int(status.get("code") or http_code or 500)
    reason = status.get("reason", "")
    found = _BY_REASON.get(reason) or _BY_CODE.get(code) or InternalError
    message = status.get("message") or f"the server answered with code {code}"
    return found(message, status.get("details") or {}, code=code)


def qualified(resource: str, group: str = "") -> str:
    """``pods``, ``deployments.apps``."""
    return f"{resource}.{group}" if group else resource


def _details(name: str, group: str, kind: str) -> dict[str, Any]:
    found = {"name": name, "group": group, "kind": kind}
    return {key: value for key, value in found.items() if value}


def not_found(resource: str, name: str, group: str = "") -> NotFound:
    """``pods "x" not found``."""
    return NotFound(
        f'{qualified(resource, group)} "{name}" not found', _details(name, group, resource)
    )


def no_such_path() -> NotFound:
    """A path that names no resource."""
    return NotFound("the server could not find the requested resource")


def already_exists(resource: str, name: str, group: str = "") -> AlreadyExists:
    """``pods "x" already exists``."""
    return AlreadyExists(
        f'{qualified(resource, group)} "{name}" already exists', _details(name, group, resource)
    )


CHANGED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def conflict(resource: str, name: str, group: str = "", why: str = CHANGED) -> Conflict:
    """``Operation cannot be fulfilled on pods "x": ...``."""
    return Conflict(
        f'Operation cannot be fulfilled on {qualified(resource, group)} "{name}": {why}',
        _details(name, group, resource),
    )


def invalid(kind: str, name: str, faults: Sequence[FieldError], group: str = "") -> Invalid:
    """``Deployment.apps "x" is invalid: spec.replicas: Invalid value: ...``."""
    details = _details(name, group, kind)
    details["causes"] = [fault.cause() for fault in faults]
    text = aggregate([str(fault) for fault in faults])
    return Invalid(f'{qualified(kind, group)} "{name}" is invalid: {text}', details)


def forbidden(resource: str, name: str, why: str, group: str = "") -> Forbidden:
    """``pods "x" is forbidden: why`` or, without a name, ``pods is forbidden: why``."""
    where = qualified(resource, group)
    if not where:
        text = f"forbidden: {why}"
    elif name:
        text = f'{where} "{name}" is forbidden: {why}'
    else:
        text = f"{where} is forbidden: {why}"
    return Forbidden(text, _details(name, group, resource))


def method_not_allowed(resource: str, verb: str, group: str = "") -> MethodNotAllowed:
    """``create is not supported on resources of kind "nodes"``."""
    return MethodNotAllowed(
        f'{verb} is not supported on resources of kind "{qualified(resource, group)}"',
        _details("", group, resource),
    )


def expired(why: str) -> Expired:
    """A list or watch of a revision that is no longer kept."""
    return Expired(why)


def too_old(wanted: int | str, oldest: int | str) -> Expired:
    """The words of a watch cache that has forgotten."""
    return Expired(f"too old resource version: {wanted} ({oldest})")


def too_large(limit: int) -> TooLarge:
    """A body over the limit."""
    return TooLarge(f"Request entity too large: limit is {limit}")


def unsupported_media_type(got: str, accepted: Iterable[str]) -> UnsupportedMediaType:
    """A Content-Type that this verb does not read."""
    what = (
        "the body of the request was in an unknown format" if got else "no Content-Type was given"
    )
    return UnsupportedMediaType(f"{what} - accepted media types include: {', '.join(accepted)}")


def timeout(resource: str, verb: str, why: str, retry_after: int = 0, group: str = "") -> Timeout:
    """``Timeout: why``, with when to try again."""
    details = _details("", group, resource)
    if retry_after:
        details["retryAfterSeconds"] = retry_after
    return Timeout(f"Timeout: {why}" if why else f"The {verb} operation timed out", details)


def future_revision(wanted: int, current: int) -> Timeout:
    """A resourceVersion that has not happened yet."""
    return Timeout(
        f"Too large resource version: {wanted}, current: {current}",
        {
            "causes": [
                {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
            ],
            "retryAfterSeconds": 1,
        },
    )
