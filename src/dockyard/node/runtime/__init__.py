"""The OCI runtime: a specification comes in, a confined process goes out."""
