"""Services and EndpointSlices come in, one nftables transaction goes out."""
