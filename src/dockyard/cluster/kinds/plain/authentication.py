"""Questions about who somebody is: created, answered, never stored."""

from dockyard.cluster.kinds.kind import Kind

KINDS = (
    Kind(
        "authentication.k8s.io",
        "v1",
        "SelfSubjectReview",
        "selfsubjectreviews",
        namespaced=False,
        verbs=("create",),
    ),
    Kind(
        "authentication.k8s.io",
        "v1",
        "TokenReview",
        "tokenreviews",
        namespaced=False,
        verbs=("create",),
    ),
)
