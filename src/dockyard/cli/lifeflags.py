"""Turns ``--restart``, ``--health-*`` and ``--log-*`` words into a container's care."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockyard.base.errors import Invalid, Unsupported
from dockyard.cli.common import size
from dockyard.node.engine.config import HealthSpec, LogSpec, RestartPolicy

if TYPE_CHECKING:
    import argparse

    from dockyard.cli.common import Parser

SHORTEST = 1e-3
"""Docker's, of each time of a health check."""
OTHER_OPTIONS = ("compress", "labels", "labels-regex", "env", "env-regex", "tag", "mode",
                 "max-buffer-size")  # fmt: skip
OTHER_DRIVERS = ("local", "syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", "gcplogs",
                 "etwlogs", "logentries")  # fmt: skip


def add(parser: Parser) -> None:
    """The flags."""
    add, many = parser.add_argument, parser.many
    add("--restart", default="no", metavar="POLICY",
        help="no, on-failure[:N], always, unless-stopped")  # fmt: skip
    add("--health-cmd", default="", metavar="COMMAND", help="says whether it does its work")
    add("--health-interval", default="", metavar="TIME", help="between two checks (30s)")
    add("--health-timeout", default="", metavar="TIME", help="of one check, at most (30s)")
    add("--health-retries", type=int, default=0, metavar="N", help="failures in a row (3)")
    add("--health-start-period", default="", metavar="TIME", help="failures do not count yet")
    add("--health-start-interval", default="", metavar="TIME", help="between checks in it (5s)")
    parser.flag("--no-healthcheck", help="not the image's check either")
    add("--log-driver", default="json-file", metavar="DRIVER", help="json-file, or none")
    many("--log-opt", metavar="NAME=VALUE", help="max-size=10m, max-file=3")


def restart_policy(text: str) -> RestartPolicy:
    """``on-failure:3``. Raises :class:`Invalid`."""
    from dockyard.node.engine import policy

    name, colon, count = text.partition(":")
    if colon and not count.removeprefix("-").isdecimal():
        raise Invalid("invalid restart policy format: maximum retry count must be an integer")
    return policy.check(RestartPolicy(name or "no", int(count or 0)))


def health(options: argparse.Namespace) -> HealthSpec | None:
    """The check that the flags describe; None: the image's, whole."""
    times = {
        name: _time(f"--health-{name.replace('_', '-')}", getattr(options, f"health_{name}"))
        for name in ("interval", "timeout", "start_period", "start_interval")
    }
    retries = options.health_retries
    given = bool(options.health_cmd or retries or any(times.values()))
    if options.no_healthcheck:
        if given:
            raise Invalid("--no-healthcheck conflicts with --health-* options")
        return HealthSpec(("NONE",))
    if retries < 0:
        raise Invalid("--health-retries cannot be negative")
    test = ("CMD-SHELL", options.health_cmd) if options.health_cmd else ()
    return HealthSpec(test, retries=retries, **times) if given else None


def log(options: argparse.Namespace) -> LogSpec:
    """Where output is kept, and how much of it."""
    driver, given = options.log_driver, dict(_option(text) for text in options.log_opt)
    if driver in OTHER_DRIVERS:
        raise Unsupported(f"--log-driver {driver}: not implemented; json-file or none")
    if driver not in ("json-file", "none"):
        raise Invalid(f'error looking up logging plugin {driver}: plugin "{driver}" not found')
    for name in given:
        if driver == "none" or name not in ("max-size", "max-file"):
            if name in OTHER_OPTIONS and driver == "json-file":
                raise Unsupported(f"--log-opt {name}: not implemented; max-size or max-file")
            raise Invalid(f"unknown log opt '{name}' for {driver} log driver")
    text, files = given.get("max-size", "-1"), given.get("max-file", "1")
    most = 0 if text == "-1" else size(text)
    if not files.isdecimal() or int(files) < 1:
        raise Invalid("max-file cannot be less than 1" if files.lstrip("-").isdecimal()
                      else f"invalid max-file: '{files}': a number")  # fmt: skip
    return LogSpec(driver, "", most, int(files), tuple(given.items()))


def _option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise Invalid(f"invalid --log-opt: {text!r}: not NAME=VALUE")
    return name, value


def _time(flag: str, text: str) -> float:
    if not text:
        return 0.0
    from dockyard.base.oci.durations import duration

    seconds = duration(text)
    if seconds is None:
        raise Invalid(f'invalid argument "{text}" for "{flag}" flag: a time like 30s or 1m30s')
    if 0 < seconds < SHORTEST:
        raise Invalid(f"{flag}: {text}: cannot be less than 1ms")
    return seconds
