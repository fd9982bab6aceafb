"""Turns what a policy demands and an image lacks into errors that say which."""

from dockyard.base.errors import Denied


class PolicyRefused(Denied):
    """The policy does not let this image in; nothing of it was fetched but its manifest."""


class SignatureRefused(PolicyRefused):
    """No signature of the image is one that the policy (or the caller's key) accepts."""
