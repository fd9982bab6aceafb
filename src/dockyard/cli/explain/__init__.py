"""What `run --explain` prints: recorded kernel calls come in, lines for people or programs go out.

Nothing here is a script of what should happen: what was not recorded is not shown.
"""
