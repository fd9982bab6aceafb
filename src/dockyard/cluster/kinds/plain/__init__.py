"""Kinds of which the schema says nearly all: one file a group, names, scope and subresources."""
