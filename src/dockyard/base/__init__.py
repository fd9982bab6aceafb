"""No knowledge of containers: the kernel, the network, bytes on a wire, time, errors."""
