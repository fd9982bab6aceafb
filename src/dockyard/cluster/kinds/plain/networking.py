"""Network policies, and the addresses that Services have."""

import ipaddress

from dockyard.cluster.kinds.kind import STATUS, Kind
from dockyard.cluster.kinds.plain import rows


def address_name(name: str) -> list[str]:
    """An IPAddress is named after itself, in the canonical form."""
    try:
        canonical = str(ipaddress.ip_address(name))
    except ValueError:
        canonical = ""
    return [] if name == canonical else ["must be a valid IP address in canonical form"]


KINDS = (
    Kind(
        "networking.k8s.io",
        "v1",
        "IPAddress",
        "ipaddresses",
        namespaced=False,
        short_names=("ip",),
        name_rule=address_name,
        **rows.ADDRESS,
    ),
    Kind(
        "networking.k8s.io",
        "v1",
        "NetworkPolicy",
        "networkpolicies",
        short_names=("netpol",),
        has_generation=True,
        **rows.NETWORK_POLICY,
    ),
    Kind(
        "networking.k8s.io",
        "v1",
        "ServiceCIDR",
        "servicecidrs",
        namespaced=False,
        subresources=(STATUS,),
        **rows.CIDR,
    ),
)
