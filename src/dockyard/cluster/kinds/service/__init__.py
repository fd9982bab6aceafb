"""Services: defaults, rules and columns."""
