"""Types of the OCI specifications: JSON comes in, checked values go out."""
