"""Custom resource definitions, as objects."""

from dockyard.cluster.kinds.kind import STATUS, Kind

KINDS = (
    Kind(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        namespaced=False,
        short_names=(
            "crd",
            "crds",
        ),
        categories=("api-extensions",),
        subresources=(STATUS,),
        has_generation=True,
    ),
)
