"""The kernel, typed: system calls, mounts, cgroups, seccomp. Standard library only."""
