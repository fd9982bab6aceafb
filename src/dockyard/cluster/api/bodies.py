"""Turns the body of an HTTP request into an object or a patch: JSON, YAML, or protobuf."""

from __future__ import annotations

from dataclasses import replace

from dockyard.base.errors import Invalid
from dockyard.base.wire.http import Request as HttpRequest
from dockyard.cluster.api.patching import require_known
from dockyard.cluster.client.transport import Request
from dockyard.cluster.kinds import protobuf
from dockyard.cluster.meta import errors
from dockyard.cluster.meta.decode import decode_json
from dockyard.cluster.meta.decodeyaml import decode_yaml

JSON, YAML = "application/json", "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
WITH_BODY = ("create", "update", "delete", "deletecollection")


def with_body(wanted: Request, request: HttpRequest) -> Request:
    """The request with its decoded body. Raises BadRequest, UnsupportedMediaType."""
    media = request.header(b"content-type").partition(";")[0].strip().lower()
    if wanted.verb == "patch":
        require_known(media)
        return _decoded(request.body, JSON, replace(wanted, patch_type=media))
    if wanted.verb not in WITH_BODY or not request.body:
        return wanted
    if media and media not in (JSON, YAML, PROTOBUF):
        raise errors.unsupported_media_type(media, (JSON, YAML, PROTOBUF))
    return _decoded(request.body, media or JSON, wanted)


def _decoded(data: bytes, media: str, wanted: Request) -> Request:
    """Who asks for ``Ignore`` hears of no fault, so none is looked for."""
    if media == PROTOBUF:
        try:
            return replace(wanted, body=protobuf.decode(data))
        except Invalid as error:
            raise errors.BadRequest(str(error)) from error
    strict = wanted.options.get("fieldValidation") != "Ignore"
    decode = decode_yaml if media == YAML else decode_json
    value, faults = decode(data, strict=strict)
    return replace(wanted, body=value, faults=tuple(faults))
