"""Certificate signing requests."""

from dockyard.cluster.kinds.kind import READ_WRITE, STATUS, Kind, Subresource
from dockyard.cluster.kinds.plain import rows

KINDS = (
    Kind(
        "certificates.k8s.io",
        "v1",
        "CertificateSigningRequest",
        "certificatesigningrequests",
        namespaced=False,
        short_names=("csr",),
        subresources=(
            Subresource("approval", READ_WRITE),
            STATUS,
        ),
        **rows.SIGNING_REQUEST,
    ),
)
