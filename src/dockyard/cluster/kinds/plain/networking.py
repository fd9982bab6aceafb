"""Network policies, and the addresses that Services have."""

from dockyard.cluster.kinds.kind import STATUS, Kind

KINDS = (
    Kind(
        "networking.k8s.io", "v1", "IPAddress", "ipaddresses", namespaced=False, short_names=("ip",)
    ),
    Kind(
        "networking.k8s.io",
        "v1",
        "NetworkPolicy",
        "networkpolicies",
        short_names=("netpol",),
        has_generation=True,
    ),
    Kind(
        "networking.k8s.io",
        "v1",
        "ServiceCIDR",
        "servicecidrs",
        namespaced=False,
        subresources=(STATUS,),
    ),
)
