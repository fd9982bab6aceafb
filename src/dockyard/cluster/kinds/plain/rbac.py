"""Roles and who has them; their names may hold colons (``system:node``)."""

from dockyard.cluster.kinds.kind import Kind
from dockyard.cluster.kinds.plain import rows
from dockyard.cluster.meta.names import path_segment_name

KINDS = (
    Kind(
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRoleBinding",
        "clusterrolebindings",
        namespaced=False,
        name_rule=path_segment_name,
        **rows.BINDING,
    ),
    Kind(
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRole",
        "clusterroles",
        namespaced=False,
        name_rule=path_segment_name,
    ),
    Kind(
        "rbac.authorization.k8s.io",
        "v1",
        "RoleBinding",
        "rolebindings",
        name_rule=path_segment_name,
        **rows.BINDING,
    ),
    Kind("rbac.authorization.k8s.io", "v1", "Role", "roles", name_rule=path_segment_name),
)
