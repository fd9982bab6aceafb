"""The distribution protocol: names and digests come in, documents and blobs go out, and back."""
