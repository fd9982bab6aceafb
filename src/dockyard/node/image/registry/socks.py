"""Turns a connection to a SOCKS 5 proxy into one to a host behind it (RFC 1928, RFC 1929).

Names are resolved by the proxy, for ``socks5://`` as for ``socks5h://``: as Go's client does it.
"""

import ipaddress

from dockyard.base.errors import Invalid
from dockyard.node.image.image import RegistryUnavailable
from dockyard.node.image.registry.channel import Line
from dockyard.node.image.registry.reach import Proxy

_NO_LOGIN, _LOGIN, _NONE_FITS = 0, 2, 0xFF
_REFUSALS = {
    1: "general failure", 2: "its rules do not allow it", 3: "network unreachable",
    4: "host unreachable", 5: "connection refused", 6: "TTL expired",
    7: "command not supported", 8: "kind of address not supported",
}  # fmt: skip
_ADDRESS_LENGTHS = {1: 4, 4: 16}


def ask_for(line: Line, host: str, port: int, proxy: Proxy) -> None:
    """CONNECT: from here on what goes through the line is the host's."""
    where = f"proxy {proxy.host}:{proxy.port}"
    login = proxy.login
    line.sendall(bytes((5, 2, _NO_LOGIN, _LOGIN)) if login else bytes((5, 1, _NO_LOGIN)))
    version, method = _receive(line, 2, where)
    if version != 5:
        raise RegistryUnavailable(f"{where}: speaks no SOCKS 5")
    if method == _LOGIN and login:
        user, word = (_counted(part.encode(), f"{where}: its login") for part in login)
        line.sendall(b"\x01" + user + word)
        if _receive(line, 2, where)[1] != 0:
            raise RegistryUnavailable(f"{where}: does not take this USER:PASSWORD")
    elif method != _NO_LOGIN:
        why = "" if login else ": it wants USER:PASSWORD in its URL"
        raise RegistryUnavailable(f"{where}: takes no login of ours{why}")
    line.sendall(b"\x05\x01\x00" + _address(host, where) + port.to_bytes(2, "big"))
    version, code, _, kind = _receive(line, 4, where)
    if version != 5 or code:
        why = _REFUSALS.get(code, f"answer {code}")
        raise RegistryUnavailable(f"{where}: {host}:{port}: {why}")
    bound = _ADDRESS_LENGTHS.get(kind) or _receive(line, 1, where)[0]
    _receive(line, bound + 2, where)


def _address(host: str, where: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return b"\x03" + _counted(host.encode("ascii"), f"{where}: the name of the host")
    return (b"\x01" if address.version == 4 else b"\x04") + address.packed


def _counted(data: bytes, what: str) -> bytes:
    if not 0 < len(data) < 256:
        raise Invalid(f"{what}: {len(data)} bytes: 1 to 255 are possible")
    return bytes((len(data),)) + data


def _receive(line: Line, length: int, where: str) -> bytes:
    data = bytearray(length)
    rest = memoryview(data)
    while rest:
        count = line.recv_into(rest)
        if not count:
            raise RegistryUnavailable(f"{where}: hangs up")
        rest = rest[count:]
    return bytes(data)
