"""Turns how a container ended into when its restart policy starts it again. Pure.

Docker's numbers: 100 ms after the first end, twice as long after each further one, a minute at
most, and from the beginning after a run of ten seconds.
"""

from __future__ import annotations

from dockyard.base.errors import Invalid
from dockyard.node.engine.config import RESTARTING, Container, RestartPolicy

FIRST, LONGEST = 0.1, 60.0
LASTED = 10.0
"""Seconds after which a run was a good one."""
NAMES = ("no", "on-failure", "always", "unless-stopped")


def delay(container: Container) -> float | None:
    """Seconds until the next start of one that has just ended; None: there is none."""
    policy = container.config.restart
    if container.stopped or policy.name in ("no", ""):
        return None
    if policy.name == "on-failure":
        tried_enough = bool(policy.maximum) and container.restarts >= policy.maximum
        if container.exit_code == 0 or tried_enough:
            return None
    if not container.delay or container.finished - container.started >= LASTED:
        return FIRST
    return min(2 * container.delay, LONGEST)


def due_at_start(container: Container) -> bool:
    """Whether it starts with the machine: as with a daemon of Docker's that starts, ``always`` does
    though somebody had stopped it, and none that has never run does."""
    policy = container.config.restart
    if container.alive or not container.started or policy.name in ("no", ""):
        return False
    if policy.name == "always":
        return True
    if container.stopped:
        return False
    if policy.name == "unless-stopped" or container.status == RESTARTING:
        return True
    return container.exit_code != 0 and not (
        policy.maximum and container.restarts >= policy.maximum
    )


def check(policy: RestartPolicy) -> RestartPolicy:
    """Refuse what Docker refuses. Raises :class:`Invalid`."""
    if policy.name not in NAMES:
        raise Invalid(f"invalid restart policy '{policy.name}'; one of {', '.join(NAMES)}")
    if policy.maximum < 0:
        raise Invalid("maximum retry count cannot be negative")
    if policy.maximum and policy.name != "on-failure":
        raise Invalid("maximum retry count cannot be used with restart policy "
                      f"'{policy.name}'")  # fmt: skip
    return policy
