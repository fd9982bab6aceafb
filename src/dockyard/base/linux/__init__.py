"""The kernel, typed: system calls, mounts, cgroups, capabilities, seccomp. Standard library only."""
