"""Turns ``--restart``, ``--health-*`` and ``--log-*`` words into a container's care."""

from __future__ import annotations

from dockyard.base.errors import Invalid, Unsupported
from dockyard.cli.common import size
from dockyard.node.engine.config import HealthSpec, LogSpec, RestartPolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from dockyard.cli.common import Parser

SHORTEST = 1e-3
"""Docker's, of each time of a health check."""
OTHER_OPTIONS = ("compress", "mode", "max-buffer-size")
SAID = ("labels", "labels-regex", "env", "env-regex", "tag")
"""Options that say what is told of the container with each line."""
FILES = ("json-file", "local")
"""Drivers that keep a file. How ``local`` writes is nobody's but its own: the same file."""
LOCAL_SIZE, LOCAL_FILES = "20m", "5"
OTHER_DRIVERS = ("syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", "gcplogs",
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
    add("--log-driver", default="json-file", metavar="DRIVER", help="json-file, local or none")
    many("--log-opt", metavar="NAME=VALUE", help="max-size=10m, max-file=3, labels, env, tag")


def restart_policy(text: str) -> RestartPolicy:
    """``on-failure:3``. Raises :class:`Invalid`."""
    from dockyard.node.engine import policy

    name, colon, count = text.partition(":")
    if colon and not (count.removeprefix("-").isdecimal() and len(count) <= 20):
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
        raise Unsupported(f"--log-driver {driver}: not implemented; json-file, local or none")
    if driver == "none" and given:
        raise Invalid("invalid logging opts for driver none")
    if driver not in (*FILES, "none"):
        raise Invalid(f'error looking up logging plugin {driver}: plugin "{driver}" not found')
    for name in given:
        if name not in ("max-size", "max-file", *(SAID if driver == "json-file" else ())):
            if name in OTHER_OPTIONS and given[name] not in ("false", "blocking"):
                raise Unsupported(f"--log-opt {name}={given[name]}: not implemented")
            if name in OTHER_OPTIONS:
                continue
            raise Invalid(f"unknown log opt '{name}' for {driver} log driver")
    if any(name in given for name in SAID):
        from dockyard.node.engine import logattributes

        logattributes.check(given)
    own = (LOCAL_SIZE, LOCAL_FILES) if driver == "local" else ("-1", "1")
    text, files = given.get("max-size", own[0]), given.get("max-file", own[1])
    most = 0 if text == "-1" else size(text)
    if not files.isdecimal() or int(files) < 1:
        raise Invalid("max-file cannot be less than 1" if files.lstrip("-").isdecimal()
                      else f"invalid max-file: '{files}': a number")  # fmt: skip
    return LogSpec(driver, "", most, int(files), tuple(given.items()))


def _option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise Invalid(f"unknown log opt '{text}' for json-file log driver")
    return name, value


def _time(flag: str, text: str) -> float:
    if not text:
        return 0.0
    from dockyard.base.oci.durations import duration

    seconds = duration(text)
    if seconds is None:
        raise Invalid(f'invalid argument "{text}" for "{flag}" flag: time: invalid duration '
                      f'"{text}"')  # fmt: skip
    if 0 < seconds < SHORTEST:
        raise Invalid(f"{flag}: {text}: cannot be less than 1ms")
    return seconds
