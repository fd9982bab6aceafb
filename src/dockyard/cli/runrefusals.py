"""Turns flags of ``run`` that this machine cannot do, or that contradict each other, into errors.

In Docker's words where Docker refuses too.
"""

from __future__ import annotations

import sys

from dockyard.base.errors import Conflict, Invalid, Unsupported
from dockyard.cli.common import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

PULLS = ("always", "missing", "never")


def _refuse_foreign(options: argparse.Namespace) -> None:
    """What `--system` and `--explain` cannot be together with."""
    without = [wall for word in options.without for wall in word.split(",")]
    if options.system:
        for given, flag, why in (
            (options.init, "--init", "the root's own init is the first process"),
            (options.pid or "pid" in without, "--pid or --without pid",
             "an init must be process 1"),
            (options.cgroupns == "host" or "cgroup" in without, "--cgroupns or --without cgroup",
             "an init makes control groups below its own"),
            (options.runtime, "--runtime", "only Dockyard's own has a console for it"),
        ):  # fmt: skip
            if given:
                raise Conflict(f"conflicting options: --system and {flag}: {why}")
    if options.runtime and getattr(options, "explain", ""):
        raise Conflict("conflicting options: --explain and --runtime: the calls of another runtime "
                       "are its own; `strace -f` shows them")  # fmt: skip


def _refuse_what_is_not_here(options: argparse.Namespace) -> None:
    if options.pull not in PULLS:
        raise Invalid(f"invalid pull option: '{options.pull}': must be one of \"always\", "
                      '"missing" or "never"')  # fmt: skip
    if options.gpus:
        _refuse_gpus(options.gpus)
    if options.isolation not in ("", "default"):
        raise Invalid(f'Invalid isolation: "{options.isolation}" - linux only supports '
                      "'default'")  # fmt: skip
    for word in options.storage_opt:
        _refuse_storage(word)
    if options.volume_driver not in ("", "local"):
        raise Unsupported(f"error looking up volume plugin {options.volume_driver}: plugin "
                          f'"{options.volume_driver}" not found')  # fmt: skip
    if options.use_api_socket:
        raise Unsupported("--use-api-socket: not implemented: there is no daemon, and so no API "
                          "socket, to hand in")  # fmt: skip
    if options.kernel_memory:
        size(options.kernel_memory, "--kernel-memory")
        print("WARNING: Specifying a kernel memory limit is deprecated: Linux has none since 5.11; "
              "it is ignored.", file=sys.stderr)  # fmt: skip
    if options.platform:
        _refuse_platform(options.platform)


def _refuse_gpus(text: str) -> None:
    for word in text.split(","):
        name, equals, _ = word.partition("=")
        if equals and name not in ("count", "driver", "device", "capabilities", "options"):
            raise Invalid(f'invalid argument "{text}" for "--gpus" flag: unexpected key '
                          f"'{name}' in '{word}'")  # fmt: skip
    raise Unsupported('could not select device driver "" with capabilities: [[gpu]]; name the '
                      "devices with --device")  # fmt: skip


def _refuse_storage(word: str) -> None:
    """A size needs a quota of the file system, which Docker has on XFS only."""
    name, equals, value = word.partition("=")
    if not equals:
        raise Invalid("invalid storage option")
    if name.lower() != "size":
        raise Invalid(f"Unknown option {name}")
    size(value)
    raise Unsupported("--storage-opt is supported only for overlay over xfs with 'pquota' mount "
                      "option; not implemented")  # fmt: skip


def _refuse_platform(text: str) -> None:
    from dockyard.base.oci.platform import parse_platform

    if text != "linux" and parse_platform(text).os != "linux":
        raise Unsupported(f"--platform {text}: not implemented; only linux images can run here")


def refuse(options: argparse.Namespace) -> None:
    """Raises for the first of them."""
    _refuse_foreign(options)
    _refuse_what_is_not_here(options)
    options.attach = [stream.lower() for stream in options.attach]
    for stream in options.attach:
        if stream not in ("stdin", "stdout", "stderr"):
            raise Invalid(f'invalid argument "{stream}" for "-a, --attach" flag: valid streams are '
                          "STDIN, STDOUT and STDERR")  # fmt: skip
    if options.attach and getattr(options, "detach", False):
        raise Invalid("conflicting options: cannot specify both --attach and --detach")
    if options.oom_score_adj is not None and not -1000 <= options.oom_score_adj <= 1000:
        raise Invalid(f"Invalid value {options.oom_score_adj}, range for oom score adj is "
                      "[-1000, 1000]")  # fmt: skip
