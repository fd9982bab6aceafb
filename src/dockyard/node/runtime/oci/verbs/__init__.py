"""One file a verb of `dockyard-oci`: its flags and its help, and what it does to a container."""
