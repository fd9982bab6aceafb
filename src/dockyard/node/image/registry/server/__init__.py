"""A registry (OCI distribution-spec 1.1): HTTP requests come in; images are kept."""
