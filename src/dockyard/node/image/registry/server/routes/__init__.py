"""What each path of the registry's API does: one file a group, and ``table.py`` lists them."""
