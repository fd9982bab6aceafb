"""The version that commands print and servers tell."""

VERSION = "0.1.0"
