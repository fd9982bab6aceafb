"""`kill`: sends a signal to a container's first process, or to all of them."""

from __future__ import annotations

from dockyard.base.errors import Invalid
from dockyard.base.linux import signals
from dockyard.node.runtime.oci import container, state
from dockyard.node.runtime.oci.flags import Flag, Values
from dockyard.node.runtime.oci.verb import ID, PROGRAM, Globals, Verb


def act(found: Globals, values: Values, arguments: list[str]) -> int:
    """Send it."""
    number = signal_number(arguments[1] if len(arguments) > 1 else "TERM")
    made = state.load(found.root, arguments[0])
    container.kill(found.root, made, number, everyone=values["all"])
    return 0


def signal_number(text: str) -> int:
    """``9``, ``KILL``, ``sigkill``, ``RTMIN+3``; 0 asks whether it is there."""
    if text.isdecimal() and int(text) < signals.NSIG:
        return int(text)
    name = text.upper().removeprefix("SIG")
    base, sign, offset = name.partition("+") if "+" in name else name.partition("-")
    real = {"RTMIN": int(signals.SIGRTMIN), "RTMAX": int(signals.SIGRTMAX)}
    if base in real and (not sign or offset.isdecimal()):
        number = real[base] + int(f"{sign}{offset or 0}")
        if real["RTMIN"] <= number <= real["RTMAX"]:
            return number
    found = getattr(signals, f"SIG{name}", None) if name.isalnum() else None
    if found is None:
        raise Invalid(f'unknown signal "{text}"; a number, or a name like TERM')
    return int(found)


VERB = Verb(
    summary="kill sends the specified signal (default: SIGTERM) to the container's init process",
    usage=f"{ID} [signal]",
    act=act,
    text=f"""Where "{ID}" is the name of a container and "[signal]" the signal that its first
process gets: a number, or a name with or without SIG.

EXAMPLE:
To end the container "web" at once:

       # {PROGRAM} kill web KILL""",
    flags=(Flag(("all", "a"), "send it to every process of the container", "switch", False),),
    most=2,
)
