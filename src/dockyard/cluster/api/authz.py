"""Turns a user and what it wants into yes or no: components and admins may everything."""

from __future__ import annotations

from dockyard.cluster.client.transport import Request, User
from dockyard.cluster.meta import errors
from dockyard.cluster.meta.errors import qualified

ALMIGHTY_GROUPS = frozenset({"system:masters", "system:nodes"})
ALMIGHTY_USERS = frozenset({
    "system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy",
    "system:apiserver",
})  # fmt: skip
OPEN_PATHS = frozenset({"/healthz", "/livez", "/readyz", "/version"})
SELF_REVIEWS = frozenset({"selfsubjectaccessreviews", "selfsubjectrulesreviews",
                          "selfsubjectreviews"})  # fmt: skip


def allowed(user: User) -> bool:
    """Whether a user may do everything; nobody may do a part yet."""
    return user.name in ALMIGHTY_USERS or not ALMIGHTY_GROUPS.isdisjoint(user.groups)


def authorize(request: Request, user: User) -> None:
    """Raise Forbidden, in kube-apiserver's words."""
    if allowed(user):
        return
    resource = request.resource
    if resource.plural in SELF_REVIEWS and user.groups != ("system:unauthenticated",):
        return
    what = f"{resource.plural}/{request.subresource}" if request.subresource else resource.plural
    where = f' in the namespace "{request.namespace}"' if request.namespace else (
        " at the cluster scope")  # fmt: skip
    raise errors.forbidden(
        qualified(resource.plural, resource.group),
        request.name,
        f'User "{user.name}" cannot {request.verb} resource "{what}" in API group '
        f'"{resource.group}"{where}',
    )


def authorize_path(path: str, verb: str, user: User) -> None:
    """For paths that are no resources. Raises Forbidden."""
    if path in OPEN_PATHS or allowed(user):
        return
    if user.groups != ("system:unauthenticated",) and path.startswith(("/api", "/openapi")):
        return
    raise errors.Forbidden(f'forbidden: User "{user.name}" cannot {verb} path "{path}"')
