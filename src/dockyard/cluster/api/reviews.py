"""Turns questions about users and rights into answers: kinds that are created and never stored."""

from __future__ import annotations

from typing import Any

from dockyard.cluster.api import authz
from dockyard.cluster.api.authn import Authenticator
from dockyard.cluster.client.transport import User
from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.meta import errors

Object = dict[str, Any]


def answer(kind: Kind, body: Object, user: User, authenticator: Authenticator) -> Object:
    """The review with its status."""
    spec = body.get("spec") or {}
    if kind.kind == "SelfSubjectReview":
        return body | {"status": {"userInfo": _info(user)}}
    if kind.kind == "SelfSubjectAccessReview":
        return body | {"status": _verdict(user)}
    if kind.kind in ("SubjectAccessReview", "LocalSubjectAccessReview"):
        other = User(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""))
        return body | {"status": _verdict(other)}
    if kind.kind == "SelfSubjectRulesReview":
        everything = authz.allowed(user)
        rule = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        path = {"verbs": ["*"], "nonResourceURLs": ["*"]}
        return body | {
            "status": {
                "resourceRules": [rule] if everything else [],
                "nonResourceRules": [path] if everything else [],
                "incomplete": False,
            }
        }
    if kind.kind == "TokenReview":
        found = authenticator.of_token(str(spec.get("token", "")))
        status: Object = {"authenticated": found is not None}
        if found:
            status["user"] = _info(found)
        return body | {"status": status}
    raise errors.ApiError(f"{kind.plural}: not implemented", code=501)


def _verdict(user: User) -> Object:
    if authz.allowed(user):
        return {"allowed": True}
    return {"allowed": False, "reason": "roles are not implemented: only system:masters and the "
                                        "cluster's own components may do anything"}  # fmt: skip


def _info(user: User) -> Object:
    found: Object = {"username": user.name, "groups": list(user.groups)}
    return found | {"uid": user.uid} if user.uid else found
