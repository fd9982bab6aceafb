"""Turns a step's network into its /etc/hosts and /etc/resolv.conf; no layer has them."""

import os

_HOSTS = "/etc/hosts"
_RESOLV = "/etc/resolv.conf"
_LOCAL = (
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::0\tip6-localnet\n"
    "ff00::0\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n"
)


def write_files(folder: str, network: str, hosts: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Target -> file. Without a network and without names to add there are none."""
    found: dict[str, str] = {}
    if network == "none" and not hosts:
        return found
    added = "".join(f"{address}\t{name}\n" for name, address in hosts)
    own = _read(_HOSTS) if network == "host" else _LOCAL
    found[_HOSTS] = _write(folder, "hosts", own + added)
    if network != "none":
        told = _read(_RESOLV)
        found[_RESOLV] = _write(folder, "resolv.conf", told if network == "host" else seen(told))
    return found


def seen(told: str) -> str:
    """Servers on the host's loopback can't be reached from another network namespace."""
    lines = [
        line
        for line in told.splitlines()
        if not (line.startswith("nameserver") and line.split()[-1].startswith(("127.", "::1")))
    ]
    return "\n".join(lines) + "\n"


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def _write(folder: str, name: str, text: str) -> str:
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o644)
    return path
