"""Volumes of a pod come in, paths of the host that its containers mount go out."""
