"""Pods: defaults, rules and columns come from here for pods and for the templates of workloads."""
