"""API services: which server answers for a group and version."""

from dockyard.cluster.kinds.kind import STATUS, Kind
from dockyard.cluster.kinds.plain import rows

KINDS = (
    Kind(
        "apiregistration.k8s.io",
        "v1",
        "APIService",
        "apiservices",
        namespaced=False,
        categories=("api-extensions",),
        subresources=(STATUS,),
        **rows.API_SERVICE,
    ),
)
