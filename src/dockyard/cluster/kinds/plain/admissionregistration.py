"""What stands between a request and the store: webhooks and policies."""

from dockyard.cluster.kinds.kind import STATUS, Kind
from dockyard.cluster.kinds.plain import rows

KINDS = (
    Kind(
        "admissionregistration.k8s.io",
        "v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        namespaced=False,
        categories=("api-extensions",),
        has_generation=True,
        **rows.WEBHOOKS,
    ),
    Kind(
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
        namespaced=False,
        categories=("api-extensions",),
        subresources=(STATUS,),
        has_generation=True,
        **rows.POLICY,
    ),
    Kind(
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        namespaced=False,
        categories=("api-extensions",),
        has_generation=True,
        **rows.POLICY_BINDING,
    ),
    Kind(
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        namespaced=False,
        categories=("api-extensions",),
        has_generation=True,
        **rows.WEBHOOKS,
    ),
)
