"""The published seams, one Protocol each: OCI runtime, CRI, CNI."""
