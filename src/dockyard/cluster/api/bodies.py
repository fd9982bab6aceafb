"""Turns the body of an HTTP request into an object or a patch: JSON or YAML, nothing else."""

from __future__ import annotations

from dataclasses import replace

from dockyard.base.wire.http import Request as HttpRequest
from dockyard.cluster.api.patching import require_known
from dockyard.cluster.client.transport import Request
from dockyard.cluster.meta import errors
from dockyard.cluster.meta.decode import decode_json
from dockyard.cluster.meta.decodeyaml import decode_yaml

JSON, YAML = "application/json", "application/yaml"
WITH_BODY = ("create", "update", "delete", "deletecollection")


def with_body(wanted: Request, request: HttpRequest) -> Request:
    """The request with its decoded body. Raises BadRequest, UnsupportedMediaType."""
    media = request.header(b"content-type").partition(";")[0].strip().lower()
    if wanted.verb == "patch":
        require_known(media)
        return _decoded(request.body, JSON, replace(wanted, patch_type=media))
    if wanted.verb not in WITH_BODY or not request.body:
        return wanted
    if media and media not in (JSON, YAML):
        raise errors.unsupported_media_type(media, (JSON, YAML))
    return _decoded(request.body, media or JSON, wanted)


def _decoded(data: bytes, media: str, wanted: Request) -> Request:
    """Who asks for ``Ignore`` hears of no fault, so none is looked for."""
    strict = wanted.options.get("fieldValidation") != "Ignore"
    decode = decode_yaml if media == YAML else decode_json
    value, faults = decode(data, strict=strict)
    return replace(wanted, body=value, faults=tuple(faults))
