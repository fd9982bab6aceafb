"""Turns the names of signals into their numbers, and into what is done at one: ``signal`` without
its enumerations, half a millisecond of every command.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signal import *  # noqa: F403
else:
    from _signal import *  # noqa: F403
