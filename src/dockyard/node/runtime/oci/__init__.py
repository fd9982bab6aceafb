"""Turns an OCI bundle into a container without a monitor: what `dockyard-oci` does, as runc."""
